"""What a benchmark is given is checked, and complaints name what to change."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nucleoscope.evaluate import Data, Pair
from nucleoscope.evaluate import quality as of_quality
from nucleoscope.evaluate.quality import Quality, judged

N, L = 3, 11
LETTERS = torch.randint(4, (N, L), generator=torch.Generator().manual_seed(0))
X = torch.nn.functional.one_hot(LETTERS, 4).transpose(1, 2).float()
MASK = torch.zeros(N, L, dtype=torch.bool)
MASK[:, 3:6] = True
PAIRS = [Pair(0, (0, 3), (5, 8), True), Pair(2, (0, 3), (5, 8), False)]


def test_what_is_given_is_kept() -> None:
    exact = torch.randn(N, L, dtype=torch.float64)
    data = Data(X, 1, planted=MASK, exact=exact, pairs=PAIRS, labels=torch.tensor([0.0, 1.0, 2.0]))
    assert (len(data), data.length, data.target) == (N, L, 1)
    assert data.planted is MASK
    assert data.exact is exact
    assert data.pairs == tuple(PAIRS)


def full(row: int, value: bool) -> torch.Tensor:
    mask = MASK.clone()
    mask[row] = value
    return mask


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"X": X[:, :3]}, ValueError, "X: axis 1 must hold the 4 letters"),
        ({"X": X[:0]}, ValueError, "X: it holds nothing"),
        ({"X": X * 0.7}, ValueError, "neither one letter"),
        ({"target": [0, 1]}, TypeError, "one number a sequence"),
        ({"planted": MASK[:, :-1]}, ValueError, "planted: its shape is"),
        ({"planted": MASK.float()}, TypeError, "is bool"),
        ({"planted": MASK.tolist()}, TypeError, "expected a torch.Tensor"),
        ({"planted": full(1, False)}, ValueError, "of sequence 1 no position is marked"),
        ({"planted": full(2, True)}, ValueError, "of sequence 2 every position is marked"),
        ({"exact": torch.zeros(N, 4, L)}, ValueError, "exact: its shape"),
        ({"exact": torch.zeros(N, L)}, TypeError, "float64"),
        ({"exact": torch.full((N, L), torch.nan, dtype=torch.float64)}, ValueError, "exact: it holds NaN"),
        ({"labels": torch.arange(N - 1)}, ValueError, "labels: its shape"),
        ({"labels": torch.tensor([0.0, 1.0, torch.nan])}, ValueError, "not measured"),
        ({"labels": torch.zeros(N, dtype=torch.cfloat)}, TypeError, "real numbers"),
        ({"labels": torch.ones(N)}, ValueError, "all are 1.0"),
        ({"pairs": [(0, (0, 3), (5, 8), True)]}, TypeError, "use evaluate.Pair"),
        ({"pairs": [*PAIRS, Pair(3, (0, 1), (2, 3), True)]}, IndexError, "of sequence 3; X has 3"),
        ({"pairs": [*PAIRS, Pair(0, (0, 1), (2, 12), True)]}, ValueError, "number 2 has the site 2:12"),
        ({"pairs": [*PAIRS, Pair(0, (0, 3), (2, 5), True)]}, ValueError, "overlap"),
        ({"pairs": PAIRS[:1]}, ValueError, "pairs that do not"),
        ({"quality": 0.9}, TypeError, "an evaluate.Quality"),
        ({"pairs": []}, ValueError, "pairs that do not"),
    ],
)  # fmt: skip
def test_a_complaint_names_the_argument(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Data(**({"X": X} | given))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"low": float("nan")}, ValueError, "low=nan: a finite"),
        ({"high": float("inf")}, ValueError, "high=inf: a finite"),
        ({"low": 0.85}, ValueError, "must hold the value, 0.8"),
        ({"high": 0.75}, ValueError, "must hold the value, 0.8"),
        ({"value": "0.8"}, TypeError, "value='0.8': a number"),
        ({"chance": None}, TypeError, "chance=None: a number"),
    ],
)
def test_a_stated_quality_is_checked(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    sound = {"measure": "AUROC", "value": 0.8, "low": 0.7, "high": 0.9, "chance": 0.5}
    assert Quality(**sound).passed  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        Quality(**(sound | given))


def test_an_interval_holds_its_value() -> None:
    for seed in range(5):
        said = torch.randn(9, generator=torch.Generator().manual_seed(seed))
        for labels in (said, said * 3 + 1, said > 0, torch.arange(9.0)):
            found = judged(said, labels)
            assert found.low <= found.value <= found.high


@pytest.mark.parametrize("classes", [True, False])
def test_orders_of_labels_come_in_blocks(monkeypatch: pytest.MonkeyPatch, classes: bool) -> None:
    """All at once they would be gigabytes of ten thousand sequences; the blocks draw the same orders."""
    draws = torch.Generator().manual_seed(3)
    truth = torch.rand(23, generator=draws)
    said = truth + torch.rand(23, generator=draws)
    labels = (truth > 0.5).long() if classes else truth
    found = []
    for at_once in (10**9, 1000, 1):  # whole, uneven blocks, an order a block
        monkeypatch.setattr(of_quality, "AT_ONCE", at_once)
        if at_once == 1:
            monkeypatch.setattr(of_quality, "RANDOM_ORDERS", 50)
        found.append(judged(said, labels).p)
    assert found[0] == found[1]
    assert found[2] is not None
    assert 1 / 51 <= found[2] < 0.2
