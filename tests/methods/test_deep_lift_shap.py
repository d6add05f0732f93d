"""deep_lift_shap: the definition, tangermeme's numbers, baselines, targets, views and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope import deep_lift_shap, dinucleotide_shuffle
from nucleoscope.engine.gradients.multipliers import Multipliers
from nucleoscope.naive.methods.deep_lift_shap import deep_lift_shap as naive
from tests import nets
from tests.parts import Lambda, Net, conv, lively, sequences


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        conv(4, 8, 5), nn.ReLU(), nn.MaxPool1d(3), conv(8, 6, 3), nn.GELU(), nn.MaxPool1d(4, 2),
        nn.Flatten(), nn.Linear(24, 7), nn.ELU(), nn.Linear(7, 3), nn.Sigmoid(),
    ).eval()  # fmt: skip


# In float32 rounding decides which of two equal letters' outputs a pool takes, so some scores are others.
@pytest.mark.parametrize(("precision", "count"), [("fp32", 1), ("fp64", 1), ("fp64", 5)])
def test_the_definition(precision: str, count: int) -> None:
    X, model = sequences(4, 30), small()
    B = dinucleotide_shuffle(X, n=count, random_state=0)
    made = deep_lift_shap(model, X, baselines=B, target=1, hypothetical=True, precision=precision)
    expected = naive(small().double(), X.double(), B.double(), 1)
    rtol = 1e-3 if precision == "fp32" else 1e-9
    torch.testing.assert_close(made.scores.double(), expected, rtol=rtol, atol=rtol * 1e-3)
    assert made.checks[0].name == "additivity"
    assert made.checks[0].passed


@pytest.mark.parametrize("name", ["small", "basset"])
def test_tangermeme(name: str) -> None:
    from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme

    model, length = (small(), 30) if name == "small" else (nets.build("basset"), 61)
    if name == "small":  # it has no rule for GELU
        model[4] = nn.Softplus().eval()
    model, X = model.double(), sequences(3, length).double()
    B = dinucleotide_shuffle(X, n=4, random_state=0)
    for hypothetical in (False, True):
        ours = deep_lift_shap(
            model, X, baselines=B, target=2, hypothetical=hypothetical, precision="fp64"
        )
        theirs = tangermeme(
            model, X, references=B, target=2, hypothetical=hypothetical, device="cpu"
        )
        off = (ours.scores - theirs).abs().max()
        assert off < 1e-6 * theirs.abs().max()


def test_inference_mode_changes_nothing() -> None:
    X, model = sequences(2, 30), small()
    expected = deep_lift_shap(model, X, n_shuffles=2, random_state=0).scores
    with torch.inference_mode():
        made = deep_lift_shap(model, X * 1, n_shuffles=2, random_state=0).scores
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-7)


def test_scores_add_up_to_the_difference_of_outputs() -> None:
    X, model = sequences(3, 30), small()
    B = dinucleotide_shuffle(X, n=3, random_state=1)
    made = deep_lift_shap(model, X, random_state=1, n_shuffles=3, target=[0, 2], precision="fp64")
    assert made.axes == ("sequence", "target", "letter", "site")
    double = model.double()
    change = double(X.double()) - double(B.flatten(0, 1).double()).view(3, 3, 3).mean(1)
    torch.testing.assert_close(made.scores.sum((2, 3)), change[:, [0, 2]].detach())
    assert made.facts["baselines"] == "dinucleotide"


@pytest.mark.parametrize("baselines", ["zeros", "uniform"])
@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_layouts_and_fixed_baselines(baselines: str, layout: str) -> None:
    X, model = sequences(3, 30), small()
    share = {"zeros": 0.0, "uniform": 0.25}[baselines]
    expected = naive(small().double(), X.double(), torch.full((3, 1, 4, 30), share).double())
    if layout == "NLC":
        model, X = nn.Sequential(Lambda(lambda x: x.transpose(1, 2)), *model).eval(), X.mT
    made = deep_lift_shap(
        model, X, baselines=baselines, target=0, layout=layout, hypothetical=True, precision="fp64"
    )
    torch.testing.assert_close(made.scores, expected, rtol=1e-9, atol=1e-12)


def test_many_baselines_of_one_and_one_each_of_many_are_alike() -> None:
    X, model = sequences(7, 30), small()
    made = deep_lift_shap(model, X, n_shuffles=3, random_state=0, target=0, precision="fp64")
    alone = [
        deep_lift_shap(
            model, X[i : i + 1], n_shuffles=3, random_state=0, target=0, precision="fp64"
        ).scores
        for i in range(7)
    ]
    torch.testing.assert_close(made.scores, torch.cat(alone), rtol=1e-10, atol=1e-14)


def test_models_strands_and_further_inputs() -> None:
    def forward(net: Net, x: Tensor, control: Tensor) -> Tensor:
        return net.head(torch.relu(net.first(x) * control)).mean(2)

    model = lively(Net(forward, first=conv(4, 6), head=conv(6, 2)))
    X, control = sequences(2, 25), torch.rand(2, 6, 25)
    both = deep_lift_shap([model, model], X, (control,), target=0, reverse_complement=True)
    assert both.scores.shape == (2, 4, 25)
    assert both.spread is not None
    assert both.spread.abs().max() < 1e-6
    assert len(both.checks) == 4


def test_integrated_ops_are_told() -> None:
    model, X = nets.build("recurrent"), sequences(1, 36)
    with pytest.raises(ValueError, match=r"no exact rule is known for aten\.lstm"):
        deep_lift_shap(model, X, baselines="uniform")
    made = deep_lift_shap(model, X, baselines="uniform", unknown="integrate")
    assert "aten.lstm.input" in made.facts["integrated"]
    assert "integrated, not exact" in made.checks[0].detail


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"unknown": "ignore"}, ValueError, "unknown='ignore': use one of 'refuse', 'integrate'"),
        ({"baselines": "random"}, TypeError, "baselines='random'"),
        ({"baselines": torch.zeros(2, 4, 29)}, ValueError, "baselines: its shape is"),
        ({"baselines": torch.ones(1, 4, 30)}, ValueError, "off the simplex"),
        ({"n_shuffles": 0}, ValueError, "n_shuffles=0"),
        ({"random_state": 1.5}, TypeError, "random_state=1.5"),
        ({"target": 3}, IndexError, "target=3"),
        ({"X": torch.rand(2, 4, 30)}, ValueError, "neither one letter"),
        ({"precision": "bf16"}, ValueError, "precision='bf16'"),
    ],
)
def test_bad_arguments(change, error, message) -> None:
    with pytest.raises(error, match=message):
        deep_lift_shap(**({"model": small(), "X": sequences(2, 30), "target": 0} | change))


def test_training_mode_and_an_untraceable_func() -> None:
    with pytest.raises(ValueError, match="training mode"):
        deep_lift_shap(small().train(), sequences(1, 30))

    def stubborn(y: Tensor) -> Tensor:
        return y * float(y.detach().sum() > -1e9)

    with pytest.raises(ValueError, match="func: it cannot be traced"):
        nucleoscope.deep_lift_shap(small(), sequences(1, 30), func=stubborn, target=0)


def test_additivity_is_held_of_each_sequence_and_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target a millionth of another's size is not covered by what rounding leaves of that."""
    X, baselines = sequences(2, 30), sequences(2, 30).roll(1, 1)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(120, 2)).eval()
    with torch.no_grad():
        net[1].weight[1] *= 1e-6
        net[1].bias.zero_()
    asked: dict[str, Any] = {"baselines": baselines, "target": [0, 1]}
    assert deep_lift_shap(net, X, **asked).checks[0].passed

    def off(self: Any, *given: Any) -> tuple[Tensor, Tensor]:
        values, m = right(self, *given)
        return values, m * torch.tensor([1.0, 1.5])[:, None, None]

    right = Multipliers.__call__
    monkeypatch.setattr(Multipliers, "__call__", off)
    with pytest.raises(
        nucleoscope.Disagreement, match=r"additivity: .*\(5\.0e-01 of it\).*target 1"
    ):
        deep_lift_shap(net, X, **asked)


def test_a_target_that_nothing_moves_proves_nothing() -> None:
    net = Lambda(lambda x: torch.stack([x[:, 0].sum(1), x.sum((1, 2))], 1)).eval()
    ask: dict[str, Any] = {"X": sequences(2, 30), "baselines": "uniform"}
    for target, good, said in ((1, False, "2 of 2"), ([0, 1], True, "2 of 4")):
        made = deep_lift_shap(net, target=target, **ask)
        (check,) = [each for each in made.checks if each.name == "additivity"]
        assert check.passed == good
        assert f"{said} differences are 0" in check.detail
        assert "proves nothing" in check.detail
