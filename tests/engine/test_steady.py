"""Which models answer for a sequence by that sequence alone, and which are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.steady import Unsteady, check_steady
from nucleoscope.engine.graph import FixedBatch
from tests.parts import sequences

LENGTH = 12
X = sequences(1, LENGTH)
BLANK = torch.zeros(1, 4, LENGTH)
EVEN = torch.full((1, 4, LENGTH), 0.25)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(4 * LENGTH, 2)
        self.calls = 0
        self.kept = torch.zeros(64, 2)

    def net(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(torch.tanh(x).flatten(1))
        return made


class Plain(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Reused(Net):
    """It writes into the same memory at every call."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept[: len(x)] = self.net(x).detach()
        return self.kept[: len(x)]


class RandomReused(Net):
    def forward(self, x: Tensor) -> Tensor:
        self.kept[: len(x)] = self.net(x).detach() + torch.randn(len(x), 2)
        return self.kept[: len(x)]


class InTurns(Net):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x) + self.calls % 2


class ByTheFirst(Net):
    """Its answers are told from that for the first of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        made = self.net(x)
        return made + 5 * (made - made[:1])


class Single(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        if len(x) != 1:
            raise RuntimeError("one at a time")
        made: Tensor = self.model(x)
        return made


@pytest.mark.parametrize("x", [X, BLANK, EVEN], ids=["letters", "blank", "even"])
@pytest.mark.parametrize("model", [Plain, Reused])
def test_steady(model: type[Net], x: Tensor) -> None:
    held = model().eval()
    with torch.no_grad():
        torch.testing.assert_close(check_steady(held, x, (), Read(0)), held.net(x))
    with pytest.raises(FixedBatch, match="one at a time"):
        check_steady(Single(held), x, (), Read(0))


@pytest.mark.parametrize("model", [RandomReused, InTurns])
def test_answers_that_differ(model: type[Net]) -> None:
    for held in (model(), Single(model())):
        with pytest.raises(Unsteady, match="two calls with the same sequence"):
            check_steady(held.eval(), X, (), Read(0))


@pytest.mark.parametrize("x", [X, BLANK, EVEN], ids=["letters", "blank", "even"])
def test_what_lies_beside_a_sequence(x: Tensor) -> None:
    with pytest.raises(Unsteady, match="depends on the batch"):
        check_steady(ByTheFirst().eval(), x, (), Read(0))
