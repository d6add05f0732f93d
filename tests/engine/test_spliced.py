"""Insertions and deletions through windows are the model's own answers in float64."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.indels import spliced
from nucleoscope.engine.indels.moved import Splices
from nucleoscope.naive.methods.variant_effect import variant_effect as naive
from tests import nets
from tests.parts import lively, sequences
from tests.truth import reading

LENGTH = 60


class Dilated(nn.Module):
    """Crops, stride 1 throughout, a channel of concatenation, and one output a position."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 5)
        self.depth = nn.Conv1d(8, 8, 3, groups=8, padding=4, dilation=4)
        self.mix, self.last = nn.Conv1d(16, 6, 1), nn.Conv1d(6, 2, 7, padding="same")
        self.pool, self.mean = nn.MaxPool1d(3, 1, 1), nn.AvgPool1d(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        h = torch.nn.functional.gelu(self.mix(torch.cat([h, self.depth(h)], 1)))
        return self.last(self.mean(self.pool(h)))[..., 3:-2]


class Cropped(nn.Module):
    """Crops wider than what lies before them reaches: one joins a convolution, one is the output's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.next = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, 8, 3, dilation=6)
        self.last = nn.Conv1d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        return self.last(torch.relu(self.next(h)) + h[..., 6:-6])[..., 4:-9]


class Preactivated(nn.Module):
    """Of what enters the block a ReLU reads more than the crop does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.next, self.last = (
            nn.Conv1d(4, 8, 5),
            nn.Conv1d(8, 8, 3),
            nn.Conv1d(8, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.nn.functional.gelu(self.first(x))
        return self.last(torch.relu(self.next(torch.relu(h)) + h[:, :, 1:-1]))


class Placed(Dilated):
    """Each position has a number of its own: nothing behind that moves along."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(1, 56))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.relu(self.first(x)) * self.place).mean(2)


MODELS: dict[str, Any] = {
    "bpnet": lambda: nets.bpnet(LENGTH), "basset": lambda: nets.basset(LENGTH),
    "attention": lambda: nets.attention(LENGTH), "dilated": Dilated, "cropped": Cropped,
    "preactivated": Preactivated, "placed": Placed,
}  # fmt: skip


def net(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively(MODELS[name]())


def variants(X: Tensor, count: int, seed: int) -> tuple[Any, ...]:
    """Random insertions and deletions, at the ends too, and some longer than a window."""
    random, rows = np.random.default_rng(seed), []
    sizes = [(0, 1), (1, 0), (0, 3), (3, 1), (2, 14), (4, 8), (8, 4), (30, 0), (0, 12), (12, 0)]
    for at in range(count):
        wide, added = sizes[at % len(sizes)]
        n, begin = int(random.integers(len(X))), int(random.integers(LENGTH - wide))
        begin = (0, LENGTH - max(wide, 1), begin)[min(at // 2 % 7, 2)]
        ref = "".join("ACGT"[i] for i in X[n].argmax(0)[begin : begin + wide].tolist())
        rows.append((n, begin, ref, "".join(random.choice(list("ACGT"), added))))
    return tuple(map(list, zip(*rows, strict=True)))


@pytest.fixture(params=[False, True], ids=["right", "left"])
def left(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_windows_are_the_model_s(name: str, left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spliced, "WORTH", 0.0)  # all of them, however little is saved
    monkeypatch.setattr(spliced, "AT_ONCE", 30_000)  # some batches
    model, X = net(name), sequences(3, LENGTH, seed=4)
    given = variants(X, 40, seed=1)
    tracks = name in ("dilated", "cropped", "preactivated")
    targets: list[Any] = [None, (1, 20), (slice(None), 34)] if tracks else [None, 1]
    got = nucleoscope.variant_effect(model, X, *given, target=targets, left=left, verify=3)
    double = copy.deepcopy(model).double()
    want = naive(double, X.double(), *given, left=left, read=reading(targets))
    assert got.facts["spliced"] == 40
    assert (got.changes - want).abs().max() <= 1e-6 * want.abs().max()
    assert any("insertions and deletions" in check.detail for check in got.checks)


@pytest.mark.parametrize(
    ("begin", "removed", "added"), [(0, 0, 3), (1, 2, 7), (30, 3, 0), (30, 0, 3), (59, 1, 4)]
)
def test_what_comes_in_from_behind_a_crop(
    begin: int, removed: int, added: int, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself: in a batch, positions beside those of another edit are made anew with them."""
    monkeypatch.setattr(spliced, "WORTH", 0.0)
    model, X = net("cropped"), sequences(1, LENGTH, seed=4)
    ref = "".join("ACGT"[i] for i in X[0].argmax(0)[begin : begin + removed].tolist())
    given = ([0], [begin], [ref], ["GATTACA"[:added]])
    asked: list[Any] = [(1, at) for at in range(35)]
    got = nucleoscope.variant_effect(model, X, *given, target=asked, left=left, verify=0)
    double = copy.deepcopy(model).double()
    want = naive(double, X.double(), *given, left=left, read=lambda out: out[:, 1])
    assert got.facts["spliced"] == 1
    torch.testing.assert_close(got.changes, want, rtol=0, atol=1e-7, check_dtype=False)


def test_one_output_reads_its_cone_alone(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X = net("dilated"), sequences(2, LENGTH, seed=4)
    given = variants(X, 30, seed=2)
    monkeypatch.setattr(spliced, "WORTH", 0.0)
    got = nucleoscope.variant_effect(model, X, *given, target=(0, 24), left=left)
    double = copy.deepcopy(model).double()
    want = naive(double, X.double(), *given, left=left, read=reading([(0, 24)]))[:, 0]
    assert got.facts["recomputed"] == 0
    assert (got.changes - want).abs().max() <= 1e-6 * want.abs().max()


def test_what_saves_nothing_is_for_the_model() -> None:
    X = sequences(2, LENGTH, seed=4)
    got = nucleoscope.variant_effect(net("attention"), X, *variants(X, 10, seed=3))
    assert (got.facts["spliced"], got.facts["recomputed"]) == (0, 10)


def test_sequences_go_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spliced, "WORTH", 0.0)
    model, X = net("bpnet"), sequences(120, LENGTH, seed=4)
    given = variants(X, 30, seed=2)
    whole = nucleoscope.variant_effect(model, X, *given)
    groups = nucleoscope.variant_effect(model, X, *given, memory=1 << 20)
    torch.testing.assert_close(groups.changes, whole.changes)


def test_functions_and_further_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spliced, "WORTH", 0.0)

    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 6, 3, padding=1)

        def forward(self, x: Tensor, c: Tensor) -> Tensor:
            return torch.relu(self.conv(x)).mean(2) * c

    torch.manual_seed(0)
    model, X, c = Given().eval(), sequences(3, LENGTH, seed=4), torch.rand(3, 6)
    given = variants(X, 20, seed=5)
    got = nucleoscope.variant_effect(model, X, *given, (c,), func=torch.exp, target=2)
    want = naive(
        copy.deepcopy(model).double(), X.double(), *given, (c.double(),),
        read=lambda out: out.exp()[:, 2:3],
    )  # fmt: skip
    assert (got.changes - want[:, 0]).abs().max() <= 1e-6 * want.abs().max()


def test_letters_of_edited_sequences() -> None:
    letters = np.arange(6)[None]
    one = np.array([0])
    edits = Splices(one, one + 2, one + 4, one, one + 1, np.array([[8, 9]]))  # X[2] gone, two put
    places = np.arange(8)[None]
    assert edits.letters(letters, places).tolist() == [[0, 1, 8, 9, 3, 4, 5, -1]]


class Padded(nn.Module):
    """More positions than the sequence has: what is made anew at an end reaches beyond it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, 3, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x) + 1)
        return self.last(nn.functional.pad(h, (0, 4))).relu().mean(2)


def test_what_lies_beyond_a_layer_is_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spliced, "WORTH", 0.0)
    torch.manual_seed(0)
    model, X = Padded().double().eval(), sequences(1, LENGTH).double()
    places = [30, LENGTH - 1]  # a batch: the piece at the end is as wide as that in the middle
    ref = ["ACGT"[int(X[0, :, p].argmax())] for p in places]
    given = ([0, 0], places, ref, [each + "GAT" for each in ref])
    for left in (False, True):
        got = nucleoscope.variant_effect(
            model, X, *given, left=left, target=[0, 2], verify=0, precision="fp64"
        )
        assert got.facts["spliced"] == 2
        want = naive(model, X, *given, left=left, read=reading([0, 2]))
        torch.testing.assert_close(got.changes, want, rtol=1e-9, atol=1e-12)
