"""Vanishing gradients: closed forms of each number, layers by name, bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.constructed import Head, Plateau, Pooled, letters, tower
from nucleoscope.diagnostics import vanishing
from nucleoscope.diagnostics.vanishing import DEAD
from nucleoscope.evaluate.truth import analytic


def test_a_linear_model_has_a_tenth_of_its_path_at_the_end() -> None:
    found = vanishing(Head(1.0, nn.Identity()).eval().double(), letters(3), n_steps=200)
    assert found.values["flat"] == pytest.approx(0.1, abs=0.0051)  # nodes lie half a step in
    assert found.values["head"] is None
    assert found.values["layers"] == []


def test_the_flat_share_of_a_known_path() -> None:
    """|df| integrated past the point from which on the answer stays within a tenth, by a fine grid."""
    found = vanishing(Plateau().eval().double(), letters(2), n_steps=2000)
    a = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    f = torch.tanh(20 * a) + 0.05 * torch.sin(150 * a)
    near = (f - f[-1]).abs() <= 0.1 * f[-1]
    begins = int((~near).nonzero()[-1]) + 1
    steps = f.diff().abs()
    assert found.values["flat"] == pytest.approx(
        float(steps[begins:].sum() / steps.sum()), abs=0.01
    )


def test_what_a_head_lets_through() -> None:
    model = Head(0.01, nn.Sigmoid(), 1.0).eval()
    X = letters(4)
    found = vanishing(model, X)
    p = model(X).detach()[:, 0]
    # with one weight of 1 for each sequence's output, the ratio of norms is that of slopes
    expected = (p * (1 - p)).norm() / len(X) ** 0.5
    assert found.values["head"] == pytest.approx(float(expected), rel=1e-4)
    log_odds = vanishing(model, X, func=torch.logit)
    assert log_odds.values["silent"] == 0


def test_elasticity_does_not_move_with_the_scale_of_layers() -> None:
    model, X = Pooled().eval().double(), letters(4)
    before = vanishing(model, X).values["layers"][0]
    with torch.no_grad():
        model.conv.weight *= 50
        model.conv.bias *= 50
        model.head.weight /= 50
    after = vanishing(model, X).values["layers"][0]
    assert after["elasticity"] == pytest.approx(before["elasticity"], rel=1e-9)
    assert after["dead"] == before["dead"]


class Twice(nn.Module):
    """Channels last, activations by functions, one in place, one twice in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 6)
        self.outer = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.inner(x.transpose(1, 2)), inplace=True)
        return self.outer(torch.tanh(h) + h.sigmoid()).mean(1)


def test_functions_are_seen_and_units_are_found_on_either_axis() -> None:
    model = Twice().eval()
    with torch.no_grad():
        model.inner.bias.fill_(-50)
        model.inner.bias[:2] = 5
    layers = vanishing(model, letters(2)).values["layers"]
    assert [row["function"] for row in layers] == ["relu", "tanh", "sigmoid"]
    assert [row["layer"] for row in layers] == ["the model", "the model #2", "the model #3"]
    assert layers[0]["dead"] == pytest.approx(4 / 6)


def test_layers_have_their_modules_names_and_hooks_are_gone() -> None:
    model = tower(nn.GELU, 2, 1.0)
    layers = vanishing(model, letters(1)).values["layers"]
    assert [row["layer"] for row in layers] == ["1", "3"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_sequence_without_gradient() -> None:
    found = vanishing(nn.Sequential(Head(1.0, nn.ReLU(), -1e4)).eval(), letters(2))
    assert found.fires
    assert found.values["silent"] == 1.0
    assert "mutagenesis needs none" in found.sentence


@pytest.mark.parametrize(
    ("through", "bias"),
    [(F.relu6, 50.0), (F.hardtanh, 50.0), (torch.sigmoid, 200.0), (F.relu, -50.0)],
)
def test_units_that_are_one_number_everywhere_are_dead(through: Any, bias: float) -> None:
    """Stuck at the top as at the bottom."""

    class Stuck(Pooled):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(through(self.conv(x)).mean(2))

    torch.manual_seed(0)
    model = Stuck(20).eval()
    assert vanishing(model, letters(3)).values["dead"] == 0
    with torch.no_grad():
        model.conv.bias[:19] = bias
    found = vanishing(model, letters(3))
    assert found.values["dead"] == pytest.approx(19 / 20)
    assert "95% of the units" in found.sentence


def test_a_function_of_one_number_a_sequence() -> None:
    """exp of [N], which has no axis of units."""
    model, data = analytic("saturating")
    (row, *_) = vanishing(model, data.X[:4]).values["layers"][-1:]
    assert (row["function"], row["dead"]) == ("exp", 0)
    assert row["elasticity"] > 0


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="n_steps=2"):
        vanishing(Pooled().eval(), letters(1), n_steps=2)
    with pytest.raises(ValueError, match="training mode"):
        vanishing(Pooled(), letters(1))


def test_a_detector_of_motifs_is_alive_where_its_motif_is() -> None:
    """Filters that are above 0 at one position or so; then filters that are so nowhere."""
    model, data = analytic("additive")
    assert vanishing(model, data.X[:6]).values["dead"] <= DEAD
    pooled = Pooled(40, 9).eval()
    X = letters(2)
    with torch.no_grad():
        top = pooled.conv(X).amax((0, 2))
        pooled.conv.bias -= top - 0.01
        assert (pooled.conv(X) > 0).double().mean() < 1 - DEAD
    assert vanishing(pooled, X).values["dead"] == 0
    with torch.no_grad():
        pooled.conv.bias[:38] = -50
    found = vanishing(pooled, X)
    assert found.values["dead"] == pytest.approx(38 / 40)
    assert found.fires
