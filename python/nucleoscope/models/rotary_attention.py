"""Attention with rotary positions and shared keys and values, as Flashzoi's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RotaryAttention(nn.Module):
    """Softmax attention over [N, L, C]; a group of heads shares one of keys and values.

    Equivalent to, a head at a time::

        softmax(rotate(q) @ rotate(k).T / sqrt(d), -1) @ v

    where the first ``rotated`` of a head's C / heads numbers are turned by angles i / base ** (2 m / rotated),
    number m together with number m + rotated / 2. Source: Su et al. 2021 (rotary), Ainslie et al. 2023 (groups).
    """

    def __init__(
        self, channels: int, *, heads: int = 8, shared: int = 1, rotated: int | None = None,
        base: float = 10_000,
    ) -> None:  # fmt: skip
        super().__init__()
        if channels % heads or heads % shared:
            raise ValueError(
                f"{heads} heads: they must divide {channels} channels, and {shared} them"
            )
        self.heads, self.groups, self.width = heads, heads // shared, channels // heads
        self.rotated = min(rotated or self.width, self.width) // 2 * 2
        self.base = base
        self.mix = nn.Linear(channels, (heads + 2 * self.groups) * self.width)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:  # [N, L, C] -> [N, L, C]
        parts = self.mix(x).unflatten(2, (-1, self.width)).transpose(1, 2)  # [N, q + k + v, L, d]
        q, k, v = parts.split([self.heads, self.groups, self.groups], 1)
        k, v = (t.repeat_interleave(self.heads // self.groups, 1) for t in (k, v))
        angles = turning(x.shape[1], self.rotated, self.base, x)
        made = F.scaled_dot_product_attention(rotate(q, *angles), rotate(k, *angles), v)
        out: Tensor = self.out(made.transpose(1, 2).flatten(2))
        return out


def turning(length: int, rotated: int, base: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [L, rotated / 2] of every position's angles."""
    speed = base ** (
        -torch.arange(0, rotated, 2, dtype=torch.float64, device=like.device) / rotated
    )
    place = torch.arange(length, dtype=torch.float64, device=like.device)
    angles = place[:, None] * speed
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The first numbers of [..., L, d] turned, halves against each other; the others as they are."""
    half = cos.shape[1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)
