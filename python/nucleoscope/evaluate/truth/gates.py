"""What a regulatory grammar makes of its motifs: the first two joined by a gate, the third added."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Gate = Callable[[Tensor], Tensor]  # how much of each motif is there [..., 3] -> [...]
BESIDE = 0.5  # what the third motif counts


def additive(h: Tensor) -> Tensor:
    """Each counts by itself."""
    return h[..., 0] + 0.75 * h[..., 1] + BESIDE * h[..., 2]


def both(h: Tensor) -> Tensor:
    """AND: neither counts without the other."""
    return h[..., 0] * h[..., 1] + BESIDE * h[..., 2]


def either(h: Tensor) -> Tensor:
    """OR: one is as good as two."""
    return 1 - (1 - h[..., 0]) * (1 - h[..., 1]) + BESIDE * h[..., 2]


def saturating(h: Tensor) -> Tensor:
    """1 - exp(-3 (a + b)): a second one adds a twentieth of the first."""
    return 1 - torch.exp(-3 * (h[..., 0] + h[..., 1])) + BESIDE * h[..., 2]


def one_alone(h: Tensor) -> Tensor:
    """XOR: one without the other."""
    return h[..., 0] + h[..., 1] - 2 * h[..., 0] * h[..., 1] + BESIDE * h[..., 2]


def cancelling(h: Tensor) -> Tensor:
    """An activator and a repressor of the same strength."""
    return h[..., 0] - h[..., 1] + BESIDE * h[..., 2]


def spaced(h: Tensor) -> Tensor:
    """Both at the right distance: they count together what exceeds one, and a quarter each anyhow."""
    return torch.relu(h[..., 0] + h[..., 1] - 1) + apart(h)


def apart(h: Tensor) -> Tensor:
    """Both at a wrong distance."""
    return 0.25 * (h[..., 0] + h[..., 1]) + BESIDE * h[..., 2]
