"""Puffin (Dudnyk et al. 2024): transcription initiation at every base, as a sum of motifs' effects."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOTIFS = ("SP", "ETS", "CREB", "NFY", "YY1", "U1 snRNP", "Long Inr", "NRF1", "ZNF143", "TATA")
TRACKS = 10  # five assays on the strand that is given, then on the other in reverse order


class Puffin(nn.Module):
    """Initiation in five assays (FANTOM CAGE, ENCODE CAGE, RAMPAGE, GRO-cap, PRO-cap) on both strands.

    Input: one-hot (N, 4, L), alphabet ACGT, any L; 325 bases at either end see padding, so 1,650 make the 1,000
    of the paper. Output: (N, 10, L), ln(count + 1); channels 0 to 4 are the strand that is given, 9 to 5 the
    other one.

    Three banks of convolutions run over both strands (motifs: 51 taps, 10 channels; initiators: 15, 10;
    trinucleotides: 3, 32) and are passed through softplus; each bank's maps go through one wide linear
    convolution (601, 15, 601 taps), and the sum through softplus. Before that last softplus the model is a
    plain sum: `activations` and `effects` give its terms, `link` is the softplus. Receptive field 651, stride 1,
    nothing global; 510,946 parameters (the published file holds two scalars more, which nothing reads).

    Source: Dudnyk et al., Science 384:eadj0116 (2024). The published weights are for academic research only.
    The original convolves its 601 taps by FFT; here they are ordinary convolutions, the same sums.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        motifs, starts, threes = (3, 3, 4) if small else (10, 10, 32)
        taps, short, wide = (11, 7, 61) if small else (51, 15, 601)
        self.length = 50 if small else 1650
        self.motif = nn.Conv1d(4, motifs, taps, padding=taps // 2)
        self.start = nn.Conv1d(4, starts, short, padding=short // 2)
        self.three = nn.Conv1d(4, threes, 3, padding=1)
        self.motif_effect = nn.Conv1d(2 * motifs, TRACKS, wide, padding=wide // 2)
        self.start_effect = nn.ConvTranspose1d(2 * starts, TRACKS, short, padding=short // 2)
        self.three_effect = nn.Conv1d(2 * threes, TRACKS, wide, padding=wide // 2)

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """The banks' maps, given strand first: ``"motif"`` (N, 20, L), ``"start"``, ``"three"``."""
        banks = {"motif": self.motif, "start": self.start, "three": self.three}
        return {name: F.softplus(both_strands(bank, x)) for name, bank in banks.items()}

    def effects(self, x: Tensor) -> dict[str, Tensor]:
        """Each bank's term of the sum, its bias included: (N, 10, L)."""
        return {name: self.effect(name, maps) for name, maps in self.activations(x).items()}

    def effect(self, bank: str, maps: Tensor) -> Tensor:  # [N, C, L] -> [N, 10, L]
        """The linear layer that a bank's maps go through, its bias included."""
        made: Tensor = getattr(self, f"{bank}_effect")(maps)
        return made

    def link(self, total: Tensor) -> Tensor:
        """The outputs, from the sum of the banks' effects."""
        return F.softplus(total)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 10, L]
        motif, start, three = self.effects(x).values()
        return self.link(motif + start + three)


def both_strands(bank: nn.Module, x: Tensor) -> Tensor:
    """A bank of filters on the sequence and on its reverse complement, which is turned back: [N, 2 C, L]."""
    back: Tensor = bank(x.flip([1, 2])).flip([2])
    return torch.cat([bank(x), back], 1)
