"""BPNet: base-resolution profiles and total counts of transcription factors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import check_track, cropped
from nucleoscope.models.widths import of_width


class BPNetOriginal(nn.Module):
    """The net of the paper: ChIP-nexus profiles of four factors on both strands.

    Input: one-hot (N, 4, L), alphabet ACGT, L = 1,000 in the paper, any here. Output: a dictionary,
    ``"profile"`` (N, 4 factors * 2 strands, L), logits over the positions, and ``"counts"`` (N, 4 * 2),
    log of 1 + the number of reads.

    A convolution of 25 taps and nine dilated ones of 3 (dilation 2 to 512), 64 wide, padded with zeros; each
    is passed through ReLU and added to what came in. A factor's profile is a transposed convolution of 25 taps,
    its counts a linear layer of the mean over the length. Receptive field 2,069 before the heads, 2,093 with
    the profile's, stride 1; 130,960 parameters without the bias terms, which are left out when the model
    is explained.

    Source: Avsec et al., Nature Genetics 53:354 (2021).
    """

    alphabet = "ACGT"

    def __init__(
        self, factors: int = 4, *, filters: int | None = None, small: bool = False
    ) -> None:
        super().__init__()
        self.length = 60 if small else 1000
        layers, taps = (3, 9) if small else (9, 25)
        width = filters or (6 if small else 64)
        self.first = nn.Conv1d(4, width, taps, padding=taps // 2)
        self.rest = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=2**i, padding=2**i) for i in range(1, layers + 1)
        )
        self.profiles = nn.ModuleList(
            nn.ConvTranspose1d(width, 2, taps, padding=taps // 2) for _ in range(factors)
        )
        self.counts = nn.ModuleList(nn.Linear(width, 2) for _ in range(factors))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = F.relu(self.first(x))
        for conv in self.rest:
            h = h + F.relu(conv(h))
        mean = h.mean(2)
        return {
            "profile": torch.cat([head(h) for head in self.profiles], 1),
            "counts": torch.cat([head(mean) for head in self.counts], 1),
        }


class BPNet(nn.Module):
    """The net as its authors went on with it: no padding, residuals before the activation.

    Input: one-hot (N, 4, 2114), alphabet ACGT; with ``controls`` also the control's profile (N, controls,
    1000), a number for each of the middle bases [557, 1557) that the profile is of (`covered`), and its log counts
    (N, controls). Output: a dictionary, ``"profile"`` (N, tracks, 1000), logits over positions, and ``"counts"``
    (N, 1), log of 1 + the number of reads.

    A convolution of 21 taps, then eight units that take the ReLU of what comes in through 3 taps of dilation 2 to
    256 and add the cropped input *before* its ReLU; 64 wide, a last ReLU. Profile: 75 taps. Counts: a linear
    layer of the mean over the length. A control is put beside the profile before a 1x1 convolution, the
    logsumexp of its log counts beside the counts before a linear layer. Receptive field 1,041 before the heads
    and 1,115 with the profile's, stride 1; 109,122 parameters with one track and no control, 113,936 with two of
    each. A port that lays the controls beside the 64 maps, in front of the 75 taps and of the linear layer, has
    114,224: another net, whose weights do not fit here.

    Source: the graph of the authors' current code; the paper is Avsec et al. 2021. Other ports add the input
    *after* its ReLU (ChromBPNet's form): same counts of parameters, other numbers. Even a mean over the
    length is a sum of local changes, so a base's effect stays local all the way.
    """

    alphabet = "ACGT"

    def __init__(
        self, tracks: int = 1, controls: int = 0, *, filters: int | None = None, small: bool = False
    ) -> None:
        super().__init__()
        layers, taps, last = (3, 7, 9) if small else (8, 21, 75)
        width = filters or (6 if small else 64)
        self.controls = controls
        self.outputs = 40 if small else 1000
        self.length = self.outputs + taps - 1 + 4 * (2**layers - 1) + last - 1
        beside = (self.length - self.outputs) // 2
        self.covered = beside, beside + self.outputs  # the bases of the profile and of a control
        self.first = nn.Conv1d(4, width, taps)
        self.rest = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=2**i) for i in range(1, layers + 1)
        )
        self.profile = nn.Conv1d(width, tracks, last)
        self.counts = nn.Linear(width, 1)
        if controls:
            self.profile_beside = nn.Conv1d(tracks + controls, tracks, 1)
            self.counts_beside = nn.Linear(2, 1)

    def forward(
        self, x: Tensor, control: Tensor | None = None, log_counts: Tensor | None = None
    ) -> dict[str, Tensor]:
        h = self.first(x)
        for conv in self.rest:
            made = conv(F.relu(h))
            h = cropped(h, made.shape[2]) + made
        h = F.relu(h)
        profile, counts = self.profile(h), self.counts(h.mean(2))
        if self.controls:
            if control is None or log_counts is None:
                raise ValueError(
                    f"controls={self.controls}: give the control's profile [N, {self.controls}, "
                    f"{profile.shape[2]}] and its log counts [N, {self.controls}]; zeros for none"
                )
            check_track("control", control, self.controls, profile.shape[2])
            of_width("log_counts", log_counts, self.controls, "a column a control")
            profile = self.profile_beside(torch.cat([profile, control], 1))
            total = torch.logsumexp(log_counts, 1, keepdim=True)
            counts = self.counts_beside(torch.cat([counts, total], 1))
        return {"profile": profile, "counts": counts}
