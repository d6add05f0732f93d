"""Whatever an explainer changes about a model, or about its process, is told and put back."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nucleoscope import evaluate
from nucleoscope.evaluate import Data, Results, metrics
from nucleoscope.evaluate.explainers import Explainer
from nucleoscope.evaluate.state import put_back, state
from nucleoscope.result import Attribution
from tests.evaluate.closed_forms import Additive, letters

X = letters(3, 12).float()
METRICS = [metrics.Sparseness()]


class Holding(Additive):
    """A model with all kinds of attributes."""

    def __init__(self) -> None:
        super().__init__(12)
        self.scale, self.steps = 1.0, [1, 2]
        self.options = {"deep": [1, {2}]}
        self.table = np.zeros(3)
        self.config = SimpleNamespace(gain=1.0)
        self.mask = torch.ones(2)
        self.float()


def sizes(inputs: Tensor) -> Tensor:
    return inputs.sum(1) * torch.arange(12.0)


def changing(change: Callable[[Any], Any]) -> Callable[..., Tensor]:
    def explain(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
        change(model)
        return sizes(inputs)

    return explain


def asked(call: Any, model: Any = None) -> Results:
    return evaluate.run({"it": call}, {"m": model or Holding().eval()}, Data(X), METRICS)


def reason(call: Any, model: Any = None) -> str:
    return asked(call, model).answers[0].reason


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale", lambda m: setattr(m, "scale", 2.0)),
        ("steps", lambda m: m.steps.append(3)),
        ("options", lambda m: m.options["deep"][1].add(5)),
        ("table", lambda m: m.table.fill(1)),
        ("config", lambda m: setattr(m.config, "gain", 2.0)),
        ("mask", lambda m: m.mask.zero_()),
        ("new", lambda m: setattr(m, "new", 1)),
    ],
)
def test_a_changed_attribute_is_told_and_put_back(name: str, change: Callable[[Any], Any]) -> None:
    model = Holding().eval()
    held = {k: repr(v) for k, v in vars(model).items()}
    assert f"it changed the model's attribute {name}" in reason(changing(change), model)
    assert {k: repr(v) for k, v in vars(model).items()} == held


class Counting(Additive):
    """It counts how often it is asked, and keeps its last answer, as nobody's fault."""

    def __init__(self) -> None:
        super().__init__(12)
        self.asked, self.last, self.scale = 0, None, 1.0
        self.float()

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        self.last = super().forward(x)
        return self.last


def test_what_a_model_changes_of_itself_is_no_explainers_fault() -> None:
    def by_asking(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
        model(inputs)
        return sizes(inputs)

    def and_more(model: Any, inputs: Tensor, targets: Any) -> Tensor:
        model.scale = 3.0
        return by_asking(model, inputs, targets)

    assert reason(by_asking, Counting().eval()) == ""
    assert reason(and_more, Counting().eval()).endswith("it changed the model's attribute scale")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("torch's grad mode", lambda _: torch.set_grad_enabled(False)),
        ("torch's default dtype", lambda _: torch.set_default_dtype(torch.float64)),
        ("torch's anomaly mode", lambda _: torch.autograd.set_detect_anomaly(True)),
        ("numpy's handling of errors", lambda _: np.seterr(all="ignore")),
        ("the working directory", lambda _: os.chdir("/")),
    ],
)
def test_settings_of_the_process_are_told_and_put_back(
    name: str, change: Callable[[Any], Any]
) -> None:
    before = torch.is_grad_enabled(), torch.get_default_dtype(), np.geterr(), Path.cwd()
    assert f"it changed {name}" in reason(changing(change))
    after = torch.is_grad_enabled(), torch.get_default_dtype(), np.geterr(), Path.cwd()
    assert before == after
    assert not torch.is_anomaly_enabled()


def test_random_numbers_are_from_the_seed_and_nobody_elses() -> None:
    drawn: list[tuple[float, ...]] = []

    def draws(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
        drawn.append((random.random(), np.random.rand(), float(torch.rand(1))))
        return sizes(inputs) * random.random()

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), float(torch.rand(1))
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    assert reason(draws) == ""
    assert drawn[0] == drawn[1]
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == expected


def test_letters_and_error_bars_are_compared_too() -> None:
    calls = [0]

    def drifts(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
        calls[0] += 1
        return torch.where(inputs > 0, 1.0, float(calls[0]))

    assert "its scores of letters differ" in reason(Explainer(drifts, hypothetical=True))

    def doubts(model: Any, inputs: Tensor, targets: Any) -> Attribution:  # noqa: ARG001
        calls[0] += 1
        bars = torch.full((len(inputs), 1), float(calls[0]))
        axes = ("sequence", "letter", "site")
        return Attribution(inputs, axes, "ACGT", 0, torch.zeros(len(inputs), 1), error_bar=bars)

    assert "its error bars differ" in reason(doubts)


def test_complex_scores_are_refused() -> None:
    assert "complex64; scores are real" in reason(lambda _, inputs, __: sizes(inputs) * 1j)


def test_ours_explain_a_model_in_float64() -> None:
    given = ("mutagenesis", "saliency")  # those that edit and those that differentiate
    model, data = Additive(12).double(), Data(X.double())
    found = evaluate.run({name: name for name in given}, {"m": model}, data, METRICS)
    assert [each.reason for each in found.answers] == [""] * len(given)


def leaves(*_: Any) -> Tensor:
    raise SystemExit(3)


def test_one_that_exits_is_a_failure() -> None:
    assert reason(leaves) == "SystemExit: 3"


def dies(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
    os._exit(9)


def fine(model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG001
    return sizes(inputs)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_process_that_dies_is_its_explainers_failure(workers: int) -> None:
    found = evaluate.run(
        {"dies": dies, "fine": fine, "random": "random"}, {"m": Additive(12).float()}, Data(X), METRICS,
        workers=workers,
    )  # fmt: skip
    told = {each.cell.explainer: (each.status, each.reason) for each in found.answers}
    assert told["fine"] == told["random"] == ("ok", "")
    assert told["dies"][0] == "failed"
    assert "the process that ran it died" in told["dies"][1]


@pytest.mark.slow
def test_a_job_that_cannot_be_read_is_told() -> None:
    class Local:
        def __reduce__(self) -> Any:
            return int, ("no number",)

        def __call__(self, model: Any, inputs: Tensor, targets: Any) -> Tensor:  # noqa: ARG002
            return sizes(inputs)

    with pytest.raises(RuntimeError, match=r"a worker cannot read what it is to do: .*no number"):
        evaluate.run(
            {"a": Local(), "b": "random"}, {"m": Holding().eval()}, Data(X), METRICS, workers=2
        )


def test_what_cannot_be_written_to_is_left_alone_where_nothing_changed() -> None:
    """An expanded buffer, a tensor of inference mode, a dict that takes nothing, arrays that are only read."""

    class Locked(dict[str, int]):
        def update(self, *_: Any, **__: Any) -> None:
            raise TypeError("locked")

    model: Any = Additive(12)
    model.register_buffer("mask", torch.ones(1, 1).expand(4, 12))
    with torch.inference_mode():
        model.last = torch.ones(3)
    model.told, model.genome = Locked(a=1), np.ones(4)
    model.genome.setflags(write=False)
    held = state(model)
    assert not any(each.of is model.genome for each in held)
    put_back(held)
    model.mask = model.mask * 2
    put_back(held)
    assert torch.equal(model.mask, torch.ones(4, 12))
