"""Linear attention by random ReLU features with rotary positions, as EpiBERT's (Performer)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.relative_attention import split
from nucleoscope.models.rotary_attention import turning

OFFSET = 1e-3  # added to every feature, so that the sum that is divided by is not 0


class LinearAttention(nn.Module):
    """Attention over [N, L, C] whose weights are products of features; time and memory grow with L alone.

    Equivalent to, a head at a time::

        a = phi(rotate(q)) @ phi(rotate(k)).T      # [L, L], of rank `features` at most
        out = (a / a.sum(-1, keepdim=True)) @ v,   phi(u) = relu(u @ projection.T / sqrt(features)) + 1e-3

    Q, K, V and the output have no bias. Rotary positions turn neighbouring pairs of a head's numbers. The
    projection is fixed, in blocks of orthogonal rows as long as rows of a Gaussian matrix.
    Source: Choromanski et al., ICLR 2021; Su et al. 2021.
    """

    projection: Tensor

    def __init__(self, channels: int, *, heads: int = 8, features: int = 256) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.keys, self.values, self.out = (
            nn.Linear(channels, channels, bias=False) for _ in range(4)
        )
        self.register_buffer("projection", orthogonal_rows(features, channels // heads))

    def forward(self, x: Tensor) -> Tensor:  # [N, L, C] -> [N, L, C]
        q, k, v = (split(layer(x), self.heads) for layer in (self.query, self.keys, self.values))
        cos, sin = turning(x.shape[1], q.shape[-1], 10_000, x)
        q, k = (self.features(rotate_pairs(t, cos, sin)) for t in (q, k))
        summed = k.transpose(2, 3) @ v  # [N, heads, features, d]
        total = (q * k.sum(2, keepdim=True)).sum(3, keepdim=True)
        made: Tensor = self.out(((q @ summed) / total).transpose(1, 2).flatten(2))
        return made

    def features(self, u: Tensor) -> Tensor:
        """[..., d] -> [..., features], all positive."""
        return F.relu(u @ self.projection.T * len(self.projection) ** -0.5) + OFFSET


def orthogonal_rows(rows: int, columns: int, seed: int = 0) -> Tensor:
    """[rows, columns]: blocks of orthogonal directions, each as long as a row of Gaussian numbers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("cpu"):
        blocks = [
            torch.linalg.qr(torch.randn(columns, columns, generator=generator))[0].T
            for _ in range(-(-rows // columns))
        ]
        length = torch.randn(rows, columns, generator=generator).norm(dim=1, keepdim=True)
        made: Tensor = torch.cat(blocks)[:rows] * length
        return made


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Numbers 0 and 1, 2 and 3, ... of [..., L, d] turned against each other."""
    pairs: Tensor = x.unflatten(-1, (-1, 2))
    a, b = pairs.unbind(-1)
    turned = torch.stack([a * cos - b * sin, b * cos + a * sin], -1)
    return turned.flatten(-2)
