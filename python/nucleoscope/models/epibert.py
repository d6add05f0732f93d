"""EpiBERT (Javed et al. 2025): accessibility from sequence, accessibility around and motifs of the cell type."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import Residual, SamePad, check_track
from nucleoscope.models.linear_attention import LinearAttention
from nucleoscope.models.widths import of_width

BIN = 4  # bases of accessibility


class Geometry(NamedTuple):
    """Widths and lengths; the defaults are the published ones."""

    length: int = 524_288
    stem: int = 512
    tower: tuple[int, ...] = (512, 640, 640, 768, 896, 1024)
    motifs: int = 693
    motif_layers: tuple[int, int] = (32, 8)
    atac: tuple[int, int, int] = (32, 32, 64)
    atac_taps: int = 50
    layers: int = 8
    heads: int = 8
    features: int = 256  # of linear attention
    dense: int = 2048
    crop: int = 2
    final: int = 170


SMALL = Geometry(512, 6, (6, 10, 10, 10, 10, 12), 5, (4, 2), (3, 3, 4), 10, 2, 2, 8, 12, 1, 6)


class EpiBERT(nn.Module):
    """The accessibility profile of a cell type, where parts of it are masked.

    Inputs: one-hot (N, 4, 524288), alphabet ACGT, N a column of zeros; accessibility (N, 1, 131072) in bins of 4
    bases, 0 where masked, clipped softly (min(x, 150) + sqrt(relu(x - 150))); motif activity of the cell
    type (N, 693), between 0 and 1. Output: (N, 1, 4092), coverage in bins of 128 bases.

    A sequence tower with softmax pools and an accessibility tower with max-pools to 4,096 positions of 128
    bases, the motifs' two dense layers laid beside every position; eight layers of linear attention with
    rotary positions; a crop of 2 on either side; a pointwise head with softplus. Receptive field of the
    sequence 646, stride 128 before attention; of accessibility 121 bins, stride 32; 84,303,037 parameters.

    Source: Javed et al., Cell Genomics 5:100762 (2025), pretraining model. As in the released models: 1e-3 is
    added to attention's features; the random projection of its features is no part of a checkpoint there and
    a buffer here (export it with the weights); the convolutions' GELU is the tanh form, the motifs' the erf
    form. The original runs in bfloat16 and adds noise of about 1e-4 to accessibility, at inference on some
    paths too: here it does not, so two calls agree. Its attention has rank 256 at most, by construction.
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
            SoftmaxPool(g.stem),
        )
        self.tower = nn.Sequential(
            *(
                nn.Sequential(*block(a, b, 5), SoftmaxPool(b))
                for a, b in zip((g.stem, *g.tower[:-1]), g.tower, strict=True)
            )
        )
        a, b, c = g.atac
        self.atac = nn.Sequential(
            SamePad(g.atac_taps), nn.Conv1d(1, a, g.atac_taps), Residual(*block(a, a)), nn.MaxPool1d(2),
            *block(a, b, 5), nn.MaxPool1d(4), *block(b, c, 5), nn.MaxPool1d(4),
        )  # fmt: skip
        wide, narrow = g.motif_layers
        self.motifs = nn.Sequential(
            nn.Linear(g.motifs, wide),
            nn.GELU(),
            nn.Dropout(0.25),
            nn.Linear(wide, narrow),
            nn.Dropout(0.0625),
        )
        self.join = nn.Linear(last + c + narrow, last, bias=False)
        self.transformer = nn.Sequential(*(layer(g, last) for _ in range(g.layers)))
        self.norm = nn.LayerNorm(last)
        self.final = nn.Sequential(
            *block(last, g.final), nn.Dropout(0.1), nn.GELU(approximate="tanh")
        )
        self.head = nn.Conv1d(g.final, 1, 1)

    def forward(self, x: Tensor, atac: Tensor, motifs: Tensor) -> Tensor:
        whole = 2 ** (1 + len(self.geometry.tower))
        if x.shape[2] % whole:
            raise ValueError(
                f"x: shape {tuple(x.shape)}, where a length in whole bins of {whole} bases is needed; the model "
                f"was made for {self.length}"
            )
        check_track("atac", atac, 1, x.shape[2] // BIN)
        of_width("motifs", motifs, self.geometry.motifs, "a column a motif")
        towers = torch.cat([self.tower(self.stem(x)), self.atac(atac)], 1).transpose(1, 2)
        beside = self.motifs(motifs)[:, None].expand(-1, towers.shape[1], -1)
        tokens = self.transformer(self.join(torch.cat([towers, beside], 2)))
        crop = self.geometry.crop
        kept = self.norm(tokens).transpose(1, 2)
        made = F.softplus(self.head(self.final(kept)))
        return made[:, :, crop : made.shape[2] - crop]


class SoftmaxPool(nn.Module):
    """Pairs of positions, averaged with weights from a softmax of one logit that all channels share.

    Equivalent to::

        pairs = x.mT.unflatten(1, (-1, 2)); (pairs * softmax(pairs @ w, 2)).sum(2).mT
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logit = nn.Linear(channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, L] -> [N, C, L / 2]
        pairs: Tensor = x.transpose(1, 2).unflatten(1, (-1, 2))  # [N, L / 2, 2, C]
        return (pairs * torch.softmax(self.logit(pairs), 2)).sum(2).transpose(1, 2)


def block(a: int, b: int, taps: int = 1) -> list[nn.Module]:
    """BatchNorm, GELU, convolution."""
    conv = nn.Conv1d(a, b, taps, padding=taps // 2)
    return [nn.BatchNorm1d(a), nn.GELU(approximate="tanh"), conv]


def layer(g: Geometry, channels: int) -> nn.Sequential:
    """Linear attention and two dense layers, each behind a LayerNorm and added to what came in."""
    attention = LinearAttention(channels, heads=g.heads, features=g.features)
    return nn.Sequential(
        Residual(nn.LayerNorm(channels), attention, nn.Dropout(0.2)),
        Residual(
            nn.LayerNorm(channels), nn.Linear(channels, g.dense), nn.Dropout(0.2), nn.ReLU(),
            nn.Linear(g.dense, channels), nn.Dropout(0.2),
        ),
    )  # fmt: skip
