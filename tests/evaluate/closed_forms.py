"""Models whose every metric can be written down: additive ones, and a rule of two positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.evaluate import Background, Case, Data, Explained

UNIFORM = Background("uniform")


def letters(count: int = 5, length: int = 23, seed: int = 0) -> Tensor:
    drawn = torch.randint(4, (count, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(drawn, 4).transpose(1, 2).double()


class Additive(nn.Module):
    """The sum of a weight for each letter at each position."""

    def __init__(self, length: int = 23, seed: int = 1) -> None:
        super().__init__()
        drawn = torch.randn(4, length, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(drawn.double())
        self.eval()

    def forward(self, X: Tensor) -> Tensor:
        return (X * self.weight).sum((1, 2))[:, None]

    def exact(self, X: Tensor) -> Tensor:
        """Against equal parts of all letters, [N, L]."""
        return ((X - 0.25) * self.weight.detach()).sum(1)

    def letters(self, X: Tensor) -> Tensor:
        """The same for every letter, [N, 4, L]."""
        weight = self.weight.detach()
        return (weight - weight.mean(0)).expand_as(X).clone()


class Either(nn.Module):
    """1 where position 2 or position 7 holds an A, whichever: each hides the other."""

    def forward(self, X: Tensor) -> Tensor:
        return torch.maximum(X[:, 0, 2], X[:, 0, 7])[:, None]


class Rounded(nn.Module):
    """1, less a half where position 0 holds an A; batches of three, six, ... round it up."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.asked: list[int] = []
        self.eval()

    def forward(self, X: Tensor) -> Tensor:
        self.asked.append(len(X))
        up = torch.finfo(X.dtype).eps if len(X) % 3 == 0 else 0.0
        return 1 + up - self.weight * X[:, :1, 0]


def case(
    model: nn.Module, X: Tensor, scores: Tensor, seed: int = 0, batch_size: int = 256, **known: Any
) -> Case:
    data = Data(X, **known)
    return Case(
        model, data, Explained.read(scores, X, scores.ndim == 3), seed=seed, batch_size=batch_size
    )


def additive_case(count: int = 5, length: int = 23, **given: Any) -> Case:
    """An additive model and its exact attribution."""
    model, X = Additive(length), letters(count, length)
    return case(model, X, model.exact(X), exact=model.exact(X), **given)
