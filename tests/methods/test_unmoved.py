"""Targets that no letter changes: every gradient method says so, and says it of no other."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.result import Check
from tests.parts import Net, conv, sequences

METHODS = [
    nucleoscope.saliency, nucleoscope.input_x_gradient, nucleoscope.integrated_gradients,
    nucleoscope.expected_gradients, nucleoscope.smooth_grad, nucleoscope.deep_lift_shap,
]  # fmt: skip
X = sequences(3, 21)


def summed(output: Tensor) -> Tensor:
    return output.sum(1)


def classes(scale: float = 1.0, seed: int = 0) -> Net:
    """Three classes' probabilities, steeper with the scale."""
    torch.manual_seed(seed)
    return Net(
        lambda net, x: (scale * net.last(torch.relu(net.first(x)).flatten(1))).softmax(1),
        first=conv(4, 5), last=nn.Linear(105, 3),
    )  # fmt: skip


STEEP = classes(30.0)


def shifted(offset: float, slope: float) -> Net:
    """A class's probability, made small beside an offset."""
    return Net(lambda net, x: offset + slope * net.inner(x)[:, :1], inner=classes())


def failed(method: Any, model: Any, **settings: Any) -> list[Check]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = method(model, X, **settings)
    return [check for check in made.checks if check.name.startswith("target")]


@pytest.mark.parametrize("method", METHODS)
def test_a_softmax_summed_over_all_classes(method: Any) -> None:
    (check,) = failed(method, STEEP, func=summed)
    assert not check.passed
    assert "softmax summed over all classes" in check.detail
    assert failed(method, STEEP, target=1) == []


@pytest.mark.parametrize("method", METHODS[:3])
def test_the_column_is_named(method: Any) -> None:
    """The second output is dead, the third reads nothing."""
    inner = classes()

    def three(_: nn.Module, x: Tensor) -> Tensor:
        one = inner(x)[:, :1]
        return torch.cat([one, torch.relu(one - 2), one * 0 + 7], 1)

    (check,) = failed(method, Net(three), target=[0, 1, 2])
    assert "targets 1, 2 " in check.detail
    (check,) = failed(method, Net(three), target=2)
    assert "target 2 " in check.detail


@pytest.mark.parametrize("method", METHODS[1:3])
def test_a_small_effect_beside_a_large_offset_is_none(method: Any) -> None:
    """Of 1e-7 of the output float32's gradients know, its differences do not: float64 is asked."""
    assert failed(method, shifted(100.0, 1e-4)) == []


def test_below_what_counts() -> None:
    (check,) = failed(nucleoscope.saliency, shifted(1000.0, 1e-7))
    assert "rounding" in check.detail


def test_saturated_at_every_sequence() -> None:
    """A probability of 1 has no slope left, though elsewhere it has."""
    inner = classes()
    model = Net(lambda _, x: torch.sigmoid(40 + inner(x)[:, :1]))
    assert len(failed(nucleoscope.saliency, model)) == 1


def test_what_only_lengths_change_is_told_from_letters() -> None:
    """The sum of X is the number of letters: its gradient points off the simplex alone."""
    model = Net(lambda _, x: x.sum((1, 2)).unsqueeze(1))
    assert len(failed(nucleoscope.saliency, model)) == 1
    assert failed(nucleoscope.saliency, model, center="none") == []


def test_a_first_sequence_without_letters_does_not_count_as_one_that_stays() -> None:
    blank = X.clone()
    blank[0] = 0
    made = nucleoscope.saliency(shifted(1.0, 1e-5), blank)
    assert float(made.scores.abs().max()) < 1e-5  # so little that it may be rounding
    assert [check for check in made.checks if check.name == "target"] == []


def test_each_view_is_named() -> None:
    checks = failed(nucleoscope.saliency, [classes(), classes(seed=1)], func=summed)
    assert [check.name for check in checks] == ["target (model 1 of 2)", "target (model 2 of 2)"]


def test_a_model_that_pins_its_number_type_is_held_to_its_own_rounding() -> None:
    inner = STEEP
    model = Net(lambda _, x: inner.float()(x.float()).sum(1, keepdim=True))
    assert len(failed(nucleoscope.saliency, model)) == 1
    assert failed(nucleoscope.saliency, Net(lambda _, x: inner.float()(x.float())), target=0) == []


def test_in_float64_and_with_letters_last() -> None:
    model = classes()
    flipped = Net(lambda _, x: model(x.transpose(1, 2)).sum(1, keepdim=True))
    made = nucleoscope.saliency(flipped, X.transpose(1, 2), layout="NLC")
    assert [check.name for check in made.checks] == ["target"]
    assert len(failed(nucleoscope.saliency, model, func=summed, precision="fp64")) == 1  # fmt: skip
