"""DeepCRE (Peleke et al. 2024): is a plant gene highly expressed, from its flanks."""

from __future__ import annotations

from torch import Tensor, nn

from nucleoscope.models.layers import SamePad

TAPS, CELL = 8, 8


class DeepCRE(nn.Module):
    """Probability that a gene is among the highly expressed quarter, not the lowly expressed one.

    Input: one-hot (N, 4, 3020), alphabet ACGT: 1,000 bases before the gene and its first 500, 20 columns of
    zeros, its last 500 and 1,000 behind it; the start and stop codon (columns 1000 to 1002 and 2017 to
    2019) are zeros too. Output: (N, 1) probability; attribute log-odds.

    Three times two convolutions of 8 taps that keep the length (64, 128, 64 wide), ReLU, a max-pool of 8; the 6
    positions that are left into layers of 128, 64 and 1. Receptive field 1,534, stride 512 before the
    flatten: one base touches at most 3 of 6 positions; 387,841 parameters.

    Source: Peleke et al., Nature Communications 15:3488 (2024). Convolutions and pools are padded as
    TensorFlow's "same": an even kernel has 3 before and 4 behind, pools are filled up to 3,024, 384 and 48
    columns, which no symmetric padding gives. Keras flattens positions before channels, here it is after.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        self.length = 1100 if small else 3020
        widths, hidden = ((5, 6, 5), (9, 7)) if small else ((64, 128, 64), (128, 64))
        layers: list[nn.Module] = []
        wide, cells = 4, self.length
        for width in widths:
            for channels in (wide, width):
                layers += [SamePad(TAPS), nn.Conv1d(channels, width, TAPS), nn.ReLU()]
            layers += [SamePad(CELL, CELL, -float("inf")), nn.MaxPool1d(CELL), nn.Dropout(0.25)]
            wide, cells = width, -(-cells // CELL)
        self.tower = nn.Sequential(*layers)
        a, b = hidden
        self.head = nn.Sequential(
            nn.Linear(wide * cells, a), nn.ReLU(), nn.Dropout(0.25), nn.Linear(a, b), nn.ReLU(),
            nn.Linear(b, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
