"""Attention with relative positions, as Enformer's and Borzoi's: Transformer-XL's, over fixed features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RelativeAttention(nn.Module):
    """Softmax attention over [N, L, C], whose logits are of content and of distance.

    Equivalent to, a head at a time::

        logits[i, j] = (q[i] / sqrt(d) + u) @ k[j] + (q[i] / sqrt(d) + v) @ (W basis[j - i])
        out = softmax(logits, -1) @ values

    `basis` [2 L - 1, F] holds the features of the distances -(L - 1) .. L - 1; u and v are learned, a head each.
    Q, K and V have no bias, the output has one. Source: Dai et al., ACL 2019; Avsec et al. 2021.
    """

    basis: Tensor

    def __init__(
        self,
        channels: int,
        basis: Tensor,  # [2 L - 1, F]
        *,
        heads: int = 8,
        key: int = 64,
        value: int = 192,
    ) -> None:
        super().__init__()
        self.heads, self.key = heads, key
        self.query = nn.Linear(channels, heads * key, bias=False)
        self.keys = nn.Linear(channels, heads * key, bias=False)
        self.values = nn.Linear(channels, heads * value, bias=False)
        self.out = nn.Linear(heads * value, channels)
        self.distance = nn.Linear(basis.shape[1], heads * key, bias=False)
        self.content_bias = nn.Parameter(torch.randn(heads, 1, key))
        self.distance_bias = nn.Parameter(torch.randn(heads, 1, key))
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, L, C] -> [N, L, C]
        if 2 * x.shape[1] - 1 != len(self.basis):
            raise ValueError(
                f"x: {x.shape[1]} positions reach attention, which was made for "
                f"{(len(self.basis) + 1) // 2}: its features of distance depend on the length"
            )
        q, k, v = (
            split(layer(x), self.heads) for layer in (self.query, self.keys, self.values)
        )  # [N, heads, L, d]
        q = q * self.key**-0.5
        r = split(self.distance(self.basis)[None], self.heads)  # [1, heads, 2 L - 1, key]
        content = (q + self.content_bias) @ k.transpose(2, 3)
        distance = by_pairs((q + self.distance_bias) @ r.transpose(2, 3))
        weights = torch.softmax(content + distance, -1)
        made: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return made


def split(x: Tensor, heads: int) -> Tensor:
    """[N, L, heads * d] -> [N, heads, L, d]."""
    made: Tensor = x.unflatten(2, (heads, -1)).transpose(1, 2)
    return made


def by_pairs(of_distance: Tensor) -> Tensor:
    """[..., L, 2 L - 1], row i by distance -> [..., L, L], row i by the other position j.

    Equivalent to::

        out[i, j] = of_distance[i, j - i + L - 1]

    which in memory is 2 L - 2 numbers further in each row.
    """
    length = of_distance.shape[-2]
    flat = of_distance.flatten(-2)[..., length - 1 : length - 1 + length * (2 * length - 2)]
    made: Tensor = flat.unflatten(-1, (length, 2 * length - 2))[..., :length]
    return made


def distances(length: int) -> Tensor:
    """-(L - 1) .. L - 1, float64: in float32 the logarithm of the gamma function loses 2.5e-3."""
    return torch.arange(-(length - 1), length, dtype=torch.float64)


def signed(features: Tensor, distance: Tensor) -> Tensor:
    """[D, F] -> [D, 2 F]: the features, then the features times the distance's sign."""
    return torch.cat([features, features * distance.sign()[:, None]], 1)


def exponential(distance: Tensor, count: int, length: int) -> Tensor:
    """[D, count]: 2 ** -(|d| / h), half-lives h from 2 ** 3 to L, evenly spaced in their logarithm."""
    top = max(math.log2(length), 3.0)
    half = 2.0 ** torch.linspace(3.0, top, count, dtype=distance.dtype)
    return torch.exp2(-distance.abs()[:, None] / half)


def central_mask(distance: Tensor, widths: Tensor) -> Tensor:
    """[D, count]: whether |d| is below a width."""
    return (widths > distance.abs()[:, None]).to(distance.dtype)


def gamma(distance: Tensor, count: int, length: int) -> Tensor:
    """[D, count]: densities of gamma distributions at |d|, each over its largest value.

    Means from L / count to L in even steps, standard deviations L / (2 count).
    """
    mean = torch.linspace(length / count, length, count, dtype=distance.dtype)
    spread = length / (2 * count)
    shape, rate = (mean / spread) ** 2, mean / spread**2
    at = distance.abs()[:, None]
    log_density = torch.xlogy(shape - 1, at) - rate * at - torch.lgamma(shape) + shape * rate.log()
    density = log_density.exp() + 1e-8
    return density / density.amax(0, keepdim=True)
