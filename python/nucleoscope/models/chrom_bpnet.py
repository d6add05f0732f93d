"""ChromBPNet (Pampari et al. 2024): accessibility at base resolution, with the enzyme's bias taken apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import cropped

TAPS, LAST = 21, 75


class ProfileNet(nn.Module):
    """One of the two nets: dilated convolutions without padding, a profile and a counts head.

    One-hot (N, 4, L) -> ``"profile"`` (N, 1, L - trimmed) logits over positions, ``"counts"`` (N, 1) log counts.
    21 taps with ReLU, then units of 3 taps (dilation 2, 4, ...) with ReLU, added to the cropped input *after*
    its ReLU; profile of 75 taps; counts from the mean over the length. The profile is cut by ``trim`` positions
    more on either side, so that a shallow net's ends where a deep one's does.
    """

    alphabet = "ACGT"

    def __init__(
        self, width: int, layers: int, *, trim: int = 0, taps: int = TAPS, last: int = LAST
    ) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, width, taps)
        self.rest = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=2**i) for i in range(1, layers + 1)
        )
        self.trim = trim
        self.profile = nn.Conv1d(width, 1, last)
        self.counts = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = F.relu(self.first(x))
        for conv in self.rest:
            made = F.relu(conv(h))
            h = cropped(h, made.shape[2]) + made
        profile = self.profile(h)
        if self.trim:
            profile = profile[:, :, self.trim : profile.shape[2] - self.trim]
        return {"profile": profile, "counts": self.counts(h.mean(2))}


class ChromBPNet(nn.Module):
    """ATAC or DNase cut sites: what the sequence does, beside what the enzyme prefers.

    Input: one-hot (N, 4, 2114), alphabet ACGT. Output: a dictionary, ``"profile"`` (N, 1, 1000), logits over
    positions, and ``"counts"`` (N, 1), log counts. The accessibility net (512 wide, 8 dilated units) and the
    bias net (128, 4) are summed in logits; their log counts are joined by log(exp a + exp b), computed with
    the larger taken out, so that it does not overflow. ``model.accessibility`` alone is what is explained, as a
    rule. Receptive field 1,041 before the heads and 1,115 with the profile's, stride 1; 6,377,986 and
    217,730 parameters.

    Source: Pampari et al., bioRxiv 10.1101/2024.12.25.630221 (2024). The mean that feeds the bias net's counts
    runs over all its positions, not only those under the output.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        wide, deep, narrow, shallow = (6, 3, 4, 2) if small else (512, 8, 128, 4)
        taps, last, outputs = (7, 9, 40) if small else (TAPS, LAST, 1000)
        self.length = outputs + taps - 1 + 4 * (2**deep - 1) + last - 1
        trim = 2 * (2**deep - 2**shallow)
        self.accessibility = ProfileNet(wide, deep, taps=taps, last=last)
        self.bias = ProfileNet(narrow, shallow, trim=trim, taps=taps, last=last)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        main, bias = self.accessibility(x), self.bias(x)
        return {
            "profile": main["profile"] + bias["profile"],
            "counts": torch.logaddexp(main["counts"], bias["counts"]),
        }
