"""The plain loop stays in the memory it was given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.methods.edits.loop_batch import MOST, loop_batch
from tests.parts import sequences

LENGTH = 40
X = sequences(2, LENGTH)


class Wide(nn.Module):
    """It is not traced: a number of its output decides which way it goes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, width, 3, padding=1)
        self.last = nn.Linear(width, 2)
        self.row = 4 * width * LENGTH  # bytes of the hidden values of one sequence
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        made: Tensor = self.last(torch.tanh(self.first(x)).mean(2))
        return made if float(made.detach().abs().sum()) > -1 else -made


class Long(nn.Module):
    """Each of its values is gone when the next but one is made."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(50):
            x = x + 1.0
        return x


def mutagenesis(model: nn.Module, memory: int) -> Tensor:
    return nucleoscope.saturation_mutagenesis(model, X, memory=memory, target=0).scores


def substitutions(model: nn.Module, memory: int) -> Tensor:
    rows = [(n, at, (letter + 1) % 4) for n in (0, 1) for at, letter in enumerate(X[n].argmax(0))]
    which = [n for n, _, _ in rows]
    edits = [(i, at, letter) for i, (_, at, letter) in enumerate(rows)]
    made = nucleoscope.substitution_effect(model, X, edits, sequence=which, memory=memory, target=0)
    return made.changes


@pytest.mark.parametrize(("rows", "least", "most"), [(0.5, 1, 1), (8, 2, 7), (1e6, MOST, MOST)])
def test_as_many_as_there_is_room_for(rows: float, least: int, most: int) -> None:
    model = Wide(64).eval()
    assert least <= loop_batch(model, X, (), int(rows * model.row)) <= most


def test_what_is_gone_is_not_counted() -> None:
    one = 4 * X[0].numel()
    assert loop_batch(Long(), X, (), 16 * one) >= 3  # of 51 values


@pytest.mark.parametrize("method", [mutagenesis, substitutions])
@pytest.mark.filterwarnings("ignore:the model cannot be traced")
def test_methods_keep_to_it(method: Callable[[nn.Module, int], Tensor]) -> None:
    found = []
    for memory, most in (
        (1 << 20, 3),
        (1 << 30, MOST),
    ):  # two rows of 655 kB do not fit into the first
        model = Wide(4096).eval()
        found.append(method(model, memory))
        assert max(model.batches) <= most
    torch.testing.assert_close(*found)


def test_what_the_model_does_not_take_is_named() -> None:
    with pytest.raises(ValueError, match="fails on one sequence"):
        loop_batch(nn.Linear(7, 2), X, (), 1 << 20)
