"""m6Aformer: N6-methyladenosine sites of RNA by convolutions and a small transformer encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nucleoscope.models.layers import Residual


class M6AFormer(nn.Module):
    """Whether the middle base, an A, is methylated.

    Input: one-hot (N, 4, 201) or (N, 4, 801) of RNA, alphabet ACGT with T for U. Output: (N, 1), a logit.

    A convolution of 15 taps with a max-pool of 2, four parallel ones of 3 to 11 taps, two residual pairs; two
    layers of `nn.TransformerEncoder` (128 wide, 4 heads) with sine positions; the mean, the maximum and an
    attention-weighted mean over the length into a small head. Receptive field 60, stride 2 before the attention;
    718,658 parameters.

    Source: the package m6aformer 0.1.2 (MIT), which holds its weights. Torch runs an encoder like this one by a
    fused path that shows no attention.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        self.length = 31 if small else 201
        stem, width, heads = (8, 8, 2) if small else (64, 128, 4)
        branch = max(8, width // 4)
        self.stem = nn.Sequential(
            nn.Conv1d(4, stem, 15, padding=7),
            nn.BatchNorm1d(stem),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.MaxPool1d(2),
        )
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(stem, branch, taps, padding=taps // 2), nn.BatchNorm1d(branch), nn.GELU()
            )
            for taps in (3, 5, 7, 11)
        )
        self.join = nn.Sequential(
            nn.Conv1d(4 * branch, width, 1), nn.BatchNorm1d(width), nn.GELU(), nn.Dropout(0.1)
        )
        self.residuals = nn.Sequential(pair(width, 1), nn.GELU(), pair(width, 2), nn.GELU())
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.score = nn.Linear(width, 1)
        self.head = nn.Sequential(
            nn.Linear(3 * width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        h = self.stem(x)
        h = self.residuals(self.join(torch.cat([branch(h) for branch in self.branches], 1)))
        h = h.transpose(1, 2)
        h = self.transformer(h + places(h))
        weights = torch.softmax(self.score(h), 1)
        pooled = torch.cat([(h * weights).sum(1), h.mean(1), h.amax(1)], 1)
        made: Tensor = self.head(pooled)
        return made


def pair(width: int, dilation: int) -> Residual:
    """Two convolutions of 3 taps with BatchNorm, added to what came in."""

    def conv() -> list[nn.Module]:
        made = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        return [made, nn.BatchNorm1d(width)]

    return Residual(*conv(), nn.GELU(), nn.Dropout(0.1), *conv(), nn.Dropout(0.1))


def places(like: Tensor) -> Tensor:
    """Sines and cosines of the position, [L, C]."""
    length, width = like.shape[1:]
    place = torch.arange(length, dtype=like.dtype, device=like.device)[:, None]
    speed = torch.arange(0, width, 2, dtype=like.dtype, device=like.device)
    angle = place * torch.exp(speed * (-math.log(10_000.0) / width))
    made: Tensor = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)
    return made
