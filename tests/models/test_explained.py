"""Every model of the catalog under every explanation that fits it, each held to its definition or to its sum."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.gradients.quadrature import rule
from nucleoscope.models import CATALOG
from nucleoscope.naive.methods.integrated_gradients import integrated_gradients as naive
from nucleoscope.result import Attribution
from tests.field import published
from tests.truth import reading

REFUSED = {"DanQ": "aten.lstm.input"}  # by DeepLIFT
TARGET = 0  # of an output over the length its mean, which every site reaches


def asked_of(name: str) -> tuple[nn.Module, Tensor, dict[str, Any]]:
    net, X, others, told = published(name)
    return net, X[:1], {"args": tuple(t[:1] for t in others) or None, **told}


def passed(made: Attribution, check: str) -> None:
    held = {each.name: each for each in made.checks}
    assert held[check].passed, str(held[check])
    assert made.scores.isfinite().all()
    assert made.scores.abs().max() > 0


@pytest.mark.parametrize("name", CATALOG)
def test_edits(name: str) -> None:
    net, X, given = asked_of(name)
    middle = X.shape[2] // 2
    made = nucleoscope.saturation_mutagenesis(
        net, X, target=TARGET, start=middle, end=middle + 2, verify=2, **given
    )
    passed(made, "verification")


@pytest.mark.parametrize("name", CATALOG)
def test_paths(name: str) -> None:
    net, X, given = asked_of(name)
    made = nucleoscope.integrated_gradients(
        net, X, target=TARGET, n_steps=8, method="midpoint", precision="fp64", hypothetical=True, **given
    )  # fmt: skip
    by, (one, *others) = rule("midpoint", 8), [t.double() for t in (X, *(given["args"] or ()))]
    want = naive(
        net.double(), one, torch.full_like(one, 1 / X.shape[1]), tuple(others), nodes=by.nodes.tolist(),
        weights=by.weights.tolist(), read=reading(TARGET),
    )[:, 0]  # fmt: skip
    torch.testing.assert_close(made.scores, want, rtol=1e-8, atol=1e-10 * float(want.abs().max()))
    assert want.abs().max() > 0


@pytest.mark.parametrize("name", CATALOG)
def test_deep_lift(name: str) -> None:
    net, X, given = asked_of(name)
    asked: dict[str, Any] = {"target": TARGET, "n_shuffles": 2, "random_state": 0, **given}
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]):
            nucleoscope.deep_lift_shap(net, X, **asked)
    else:
        passed(nucleoscope.deep_lift_shap(net, X, precision="fp64", **asked), "additivity")


@pytest.mark.parametrize("name", [n for n, entry in CATALOG.items() if entry.attention])
def test_rollout(name: str) -> None:
    net, X, given = asked_of(name)
    rows = nucleoscope.attention_rollout(net, X, controls=0, **given).scores
    torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows.sum(-1)), rtol=0, atol=1e-5)
