"""Scores held against effects: their correlation within groups, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nucleoscope.methods.attention.rank_controls import ranks

AGREES = 0.3  # correlation that the scores of a model's own answer reach
DRAWS, TAIL = 1000, 0.025
BESIDE = 1.96  # of a normal number's spread, as far out as TAIL


@dataclass(frozen=True)
class Compared:
    """The correlation of scores with effects, its 95 % interval, and the number of pairs."""

    r: float
    low: float
    high: float
    n: int
    constant: bool  # the scores are the same everywhere, where the effects are not

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below what scores of the model's own reach."""
        return self.constant or self.high < AGREES

    @property
    def agrees(self) -> bool:
        """Whether there is agreement, beyond chance."""
        return self.r >= AGREES and self.low > 0

    def __str__(self) -> str:
        return f"{self.r:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, eq=False)
class Pairs:
    """What scores say of edits, and what these do; each [M]."""

    said: Tensor
    done: Tensor
    least: Tensor  # what edits of a group must differ by, to be told from rounding
    group: Tensor  # pairs that are compared with each other
    sequence: Tensor
    places: int  # how many scores they are made of


def compared(held: Pairs, signed: bool) -> Compared | None:
    """The correlation within groups; None where no effect varies within any."""
    said, done = (each if signed else each.abs() for each in (held.said, held.done))
    pairs = []
    for g in held.group.unique().tolist():
        of = held.group == g
        a, b = (each[of] if signed else ranks(each[of]) for each in (said, done))
        reach = (done[of] - done[of].mean()).abs().amax()
        if len(b) > 2 and bool(reach > held.least[of].amax()):
            pairs.append(torch.stack([_standard(a), _standard(b), held.sequence[of].double()]))
    if not pairs:
        return None
    a, b, of = torch.cat(pairs, 1)
    if not a.any():
        return Compared(0.0, 0.0, 0.0, len(a), True)
    r = float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())
    low, high = _interval(a, b, of.long(), r, min(len(a), held.places) - len(pairs))
    return Compared(r, low, high, len(a), False)


def _standard(values: Tensor) -> Tensor:
    """Centred, and of spread 1; zeros where all are the same."""
    centred = values.double() - values.double().mean()
    spread = centred.square().mean().sqrt()
    even = centred.abs().amax() <= 1e-12 * values.abs().amax()
    return torch.zeros_like(centred) if even else centred / spread


def _interval(a: Tensor, b: Tensor, sequence: Tensor, r: float, free: int) -> tuple[float, float]:
    """The wider of two 95 % intervals: Fisher's, and of sequences and their pairs drawn again."""
    if free <= 3:
        return -1.0, 1.0
    middle, wide = (
        torch.tensor(r).double().clamp(-1 + 1e-12, 1 - 1e-12).atanh(),
        BESIDE / (free - 3) ** 0.5,
    )
    draws = torch.Generator().manual_seed(0)
    _, of = sequence.unique(return_inverse=True)
    count = int(of.amax()) + 1
    often = torch.zeros(DRAWS, count).double().scatter_add_(
        1, torch.randint(count, (DRAWS, count), generator=draws), torch.ones(DRAWS, count).double()
    )  # fmt: skip
    weights = often[:, of] * torch.poisson(torch.ones(DRAWS, len(a)).double(), draws)
    sizes = (weights @ a.square()) * (weights @ b.square())
    drawn = torch.where(sizes > 0, (weights @ (a * b)) / sizes.sqrt(), 0.0)
    low, high = drawn.quantile(torch.tensor([TAIL, 1 - TAIL]).double()).tolist()
    return min(low, float((middle - wide).tanh())), max(high, float((middle + wide).tanh()))
