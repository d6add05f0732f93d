"""Enformer (Avsec et al. 2021): 5,313 human and 1,643 mouse tracks from 196 kb."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import Residual, SigmoidGelu
from nucleoscope.models.relative_attention import (
    RelativeAttention,
    central_mask,
    distances,
    exponential,
    gamma,
    signed,
)

LN_EPS = 1e-5


class Geometry(NamedTuple):
    """Widths and lengths; the defaults are the published ones."""

    length: int = 196_608
    stem: int = 768
    tower: tuple[int, ...] = (768, 896, 1024, 1152, 1280, 1536)
    layers: int = 11
    heads: int = 8
    key: int = 64
    value: int = 192
    features: int = 192  # of a distance
    crop: int = 320
    tracks: tuple[tuple[str, int], ...] = (("human", 5313), ("mouse", 1643))


SMALL = Geometry(128, 6, (6, 8), 2, 2, 4, 6, 12, 2, (("human", 3), ("mouse", 2)))


class Enformer(nn.Module):
    """Coverage of CAGE, DNase, ATAC and ChIP experiments in bins of 128 bases.

    Input: one-hot (N, 4, 196608), alphabet ACGT, N a column of zeros. Output: a dictionary of species,
    ``"human"`` (N, 5313, 896) and ``"mouse"`` (N, 1643, 896), reads a bin, over the middle 114,688 bases.

    A tower of convolutions with attention pools to 1,536 positions of 128 bases, eleven transformer layers with
    relative positions, a crop of 320 positions on either side, a pointwise head with softplus. Receptive
    field 646, stride 128 before the first attention, so one base changes at most 6 of 1,536 positions before
    everything changes; 251,221,292 parameters.

    Source: Avsec et al., Nature Methods 18:1196 (2021). The GELU is x sigmoid(1.702 x). The features of
    distance (exponential, central mask, gamma; 192 with their signed halves) have rank 119, since 22 mask
    features are alike at this length: weights of distance are not identifiable. They are made in float64 here;
    in float32, as the original, the gamma features are off by up to 2.5e-3. In the released module a window
    of 393,216 bases is cropped to this length first.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False, geometry: Geometry | None = None) -> None:
        super().__init__()
        g = geometry or (SMALL if small else Geometry())
        self.length, self.geometry = g.length, g
        last = g.tower[-1]
        self.stem = nn.Sequential(
            nn.Conv1d(4, g.stem, 15, padding=7),
            Residual(*block(g.stem, g.stem)),
            AttentionPool(g.stem),
        )
        self.tower = nn.Sequential(
            *(
                nn.Sequential(*block(a, b, 5), Residual(*block(b, b)), AttentionPool(b))
                for a, b in zip((g.stem, *g.tower[:-1]), g.tower, strict=True)
            )
        )
        basis = distance_features(g.length >> (len(g.tower) + 1), g.features)
        self.transformer = nn.Sequential(*(layer(g, last, basis) for _ in range(g.layers)))
        self.final = nn.Sequential(*block(last, 2 * last), nn.Dropout(0.05), SigmoidGelu())
        self.heads = nn.ModuleDict({name: nn.Conv1d(2 * last, n, 1) for name, n in g.tracks})

    def trunk(self, x: Tensor) -> Tensor:
        """[N, 4, length] -> [N, 2 C, bins], what all heads read."""
        tokens = self.transformer(self.tower(self.stem(x)).transpose(1, 2))
        kept = tokens[:, self.geometry.crop : tokens.shape[1] - self.geometry.crop]
        made: Tensor = self.final(kept.transpose(1, 2))
        return made

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.trunk(x)
        return {name: F.softplus(head(found)) for name, head in self.heads.items()}


class AttentionPool(nn.Module):
    """Pairs of positions, averaged with weights from a softmax of a linear map, a channel each.

    Equivalent to::

        pairs = x.unflatten(2, (-1, 2)); (pairs * softmax(W @ pairs, -1)).sum(-1)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, L] -> [N, C, L / 2]
        pairs: Tensor = x.unflatten(2, (-1, 2))
        return (pairs * torch.softmax(self.logits(pairs), -1)).sum(-1)


def block(a: int, b: int, taps: int = 1) -> list[nn.Module]:
    """BatchNorm, GELU, convolution."""
    return [nn.BatchNorm1d(a), SigmoidGelu(), nn.Conv1d(a, b, taps, padding=taps // 2)]


def layer(g: Geometry, channels: int, basis: Tensor) -> nn.Sequential:
    """Attention and two dense layers, each behind a LayerNorm and added to what came in."""
    attention = RelativeAttention(channels, basis, heads=g.heads, key=g.key, value=g.value)
    return nn.Sequential(
        Residual(nn.LayerNorm(channels, eps=LN_EPS), attention, nn.Dropout(0.4)),
        Residual(
            nn.LayerNorm(channels, eps=LN_EPS), nn.Linear(channels, 2 * channels), nn.Dropout(0.4),
            nn.ReLU(), nn.Linear(2 * channels, channels), nn.Dropout(0.4),
        ),
    )  # fmt: skip


def distance_features(length: int, count: int) -> Tensor:
    """[2 L - 1, count]: a third each of exponential, central mask and gamma, and their signed halves."""
    each = count // 6
    d = distances(length)
    widths = 2.0 ** torch.arange(1, each + 1, dtype=d.dtype) - 1
    features = [exponential(d, each, length), central_mask(d, widths), gamma(d, each, length)]
    return signed(torch.cat(features, 1), d).to(torch.get_default_dtype())
