"""Borzoi (Linder et al. 2025): RNA-seq and other coverage at 32 bp from 524 kb; and Flashzoi's attention."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import KERAS_EPS, Residual
from nucleoscope.models.relative_attention import RelativeAttention, central_mask, distances, signed
from nucleoscope.models.rotary_attention import RotaryAttention


class Geometry(NamedTuple):
    """Widths and lengths; the defaults are the published ones."""

    length: int = 524_288
    stem: int = 512
    taps: int = 15  # of the first convolution
    tower: tuple[int, ...] = (608, 736, 896, 1056, 1280, 1536)
    layers: int = 8
    heads: int = 8
    key: int = 64
    value: int = 192
    features: int = 32  # of a distance
    up: int = 1536  # channels of the upsampling part
    taps_up: int = 3
    crop: int = 5120
    final: int = 1920  # 0: none
    tracks: tuple[tuple[str, int], ...] = (("human", 7611), ("mouse", 2608))
    rotary: bool = False


SMALL = Geometry(
    128, 6, 7, (6, 8, 8), 2, 2, 4, 4, 8, 8, 3, 4, 10, (("human", 3), ("mouse", 2))
)  # fmt: skip


class Borzoi(nn.Module):
    """Coverage of RNA-seq, CAGE, DNase, ATAC and ChIP experiments in bins of 32 bases.

    Input: one-hot (N, 4, 524288), alphabet ACGT, N a column of zeros. Output: a dictionary of species,
    ``"human"`` (N, 7611, 6144) and ``"mouse"`` (N, 2608, 6144) over the middle 196,608 bases; coverage, for
    RNA-seq squashed by a power of 3/4 and a soft clip, which the user takes back.

    Convolutions with max-pools to 4,096 positions of 128 bases, eight transformer layers with relative positions
    (central masks only), two steps of nearest upsampling to 32 bases to which the tower's maps of that scale
    are added, a crop of 5,120 bins on either side, a pointwise head with softplus. Receptive field 646, stride
    128 before the first attention: one base changes at most 6 of 4,096 positions before everything changes.
    171,271,968 parameters, 14,620,731 more for the human tracks and 5,009,968 for the mouse's.

    ``flash=True`` is Flashzoi: the same net, its attention with rotary positions and half as many heads of keys
    and values.

    Source: Linder et al., Nature Genetics 57:949 (2025); Flashzoi: Hingerl et al., Bioinformatics (2025). The GELU
    is the tanh form, BatchNorm's eps Keras', 1e-3. One of the signed distance features is zero throughout.
    """

    alphabet = "ACGT"

    def __init__(
        self, *, small: bool = False, flash: bool = False, geometry: Geometry | None = None
    ) -> None:
        super().__init__()
        g = geometry or (SMALL if small else Geometry())
        g = g._replace(rotary=g.rotary or flash)
        self.length, self.geometry = g.length, g
        wide = g.tower[-1]
        self.stem = nn.Conv1d(4, g.stem, g.taps, padding=g.taps // 2)
        self.tower = nn.ModuleList(
            block(a, b, 5) for a, b in zip((g.stem, *g.tower[:-1]), g.tower, strict=True)
        )
        tokens = g.length >> (len(g.tower) + 1)
        basis = None if g.rotary else distance_features(tokens, g.features)
        self.transformer = nn.Sequential(*(layer(g, wide, basis) for _ in range(g.layers)))
        up, skips = (wide, g.up), (g.tower[-1], g.tower[-2])
        self.up = nn.ModuleList(block(a, g.up) for a in up)
        self.skips = nn.ModuleList(block(a, g.up) for a in skips)
        self.joins = nn.ModuleList(separable(g.up, g.taps_up) for _ in skips)
        last = [block(g.up, g.final), nn.Dropout(0.1)] if g.final else []
        self.final = nn.Sequential(*last, nn.GELU(approximate="tanh"))
        self.heads = nn.ModuleDict({name: nn.Conv1d(g.final or g.up, n, 1) for name, n in g.tracks})

    def trunk(self, x: Tensor) -> Tensor:
        """[N, 4, length] -> [N, final, bins], what all heads read."""
        h = self.stem(x)
        before: list[Tensor] = []  # the tower's maps before their pools
        for part in self.tower:
            h = part(F.max_pool1d(h, 2))
            before.append(h)
        h = self.transformer(F.max_pool1d(h, 2).transpose(1, 2)).transpose(1, 2)
        scales = (before[-1], before[-2])
        for up, skip, join, scale in zip(self.up, self.skips, self.joins, scales, strict=True):
            h = join(F.interpolate(up(h), scale_factor=2.0) + skip(scale))
        h = h[:, :, self.geometry.crop : h.shape[2] - self.geometry.crop]
        made: Tensor = self.final(h)
        return made

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.trunk(x)
        return {name: F.softplus(head(found)) for name, head in self.heads.items()}


def block(a: int, b: int, taps: int = 1) -> nn.Sequential:
    """BatchNorm, GELU, convolution."""
    conv = nn.Conv1d(a, b, taps, padding=taps // 2)
    return nn.Sequential(nn.BatchNorm1d(a, eps=KERAS_EPS), nn.GELU(approximate="tanh"), conv)


def separable(channels: int, taps: int) -> nn.Sequential:
    """A convolution a channel, then one across channels."""
    depthwise = nn.Conv1d(channels, channels, taps, padding=taps // 2, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv1d(channels, channels, 1))


def layer(g: Geometry, channels: int, basis: Tensor | None) -> nn.Sequential:
    """Attention and two dense layers, each behind a LayerNorm and added to what came in."""
    attention: nn.Module
    if basis is None:
        attention = RotaryAttention(
            channels, heads=g.heads, shared=2, rotated=2 * g.key, base=20_000
        )
    else:
        attention = RelativeAttention(channels, basis, heads=g.heads, key=g.key, value=g.value)
    return nn.Sequential(
        Residual(nn.LayerNorm(channels, eps=KERAS_EPS), attention, nn.Dropout(0.2)),
        Residual(
            nn.LayerNorm(channels, eps=KERAS_EPS), nn.Linear(channels, 2 * channels),
            nn.Dropout(0.2), nn.ReLU(), nn.Linear(2 * channels, channels), nn.Dropout(0.2),
        ),
    )  # fmt: skip


def distance_features(length: int, count: int) -> Tensor:
    """[2 L - 1, count]: central masks of widths that grow geometrically to L, and their signed halves."""
    each = count // 2
    d = distances(length)
    growth = math.exp(math.log(length + 1) / each)
    widths = growth ** torch.arange(1, each + 1, dtype=d.dtype) - 1
    return signed(central_mask(d, widths), d).to(torch.get_default_dtype())
