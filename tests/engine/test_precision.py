"""Products of TF32 and bfloat16 by the naive forms, which run anywhere: how far off, and how far is allowed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope import ops
from nucleoscope.engine import prepare
from nucleoscope.engine.precision import ALLOWED
from nucleoscope.naive import ops as naive
from tests.nets import ZOO, kept
from tests.parts import sequences
from tests.truth import engine, largest


@pytest.fixture
def naive_forms(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Chains run in their naive form; the links that were run."""
    seen: list[Any] = []

    def chain(links: Any, *rest: Any) -> list[Tensor]:
        seen.extend(links)
        return naive.delta_chain(links, *rest)

    monkeypatch.setattr(prepare, "check_precision", lambda *_: None)
    monkeypatch.setattr(ops, "delta_chain", chain)
    return seen


@pytest.mark.parametrize("name", ["bpnet", "basset", "splice", "conv_next_permute", "gated"])
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_rounded_products_are_off_by_less_than_is_allowed(
    name: str, precision: str, naive_forms: list[Any]
) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(1, length)
    want = engine(model, X, target=target, precision="fp64")
    naive_forms.clear()
    got = engine(model, X, target=target, precision=precision)
    convolutions = [link for link in naive_forms if link.op == "delta_conv"]
    assert convolutions
    if precision == "tf32":
        assert all(link.tf32 for link in convolutions)
    gap = largest(got - want) / largest(want)
    assert (gap < 0.6 * ALLOWED[precision]).all()
    assert (gap > 1e-3 * ALLOWED[precision]).all()  # something was rounded
    checked = nucleoscope.saturation_mutagenesis(model, X, target=target, precision=precision)
    assert checked.checks[0].passed


def test_an_original_is_never_rounded(naive_forms: list[Any]) -> None:
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    X = sequences(1, length)
    by = {
        precision: nucleoscope.saturation_mutagenesis(model, X, precision=precision).original
        for precision in ("fp32", "tf32", "bf16")
    }
    assert naive_forms
    assert torch.equal(by["tf32"], by["fp32"])
    assert torch.equal(by["bf16"], by["fp32"])


def test_what_is_allowed_follows_the_number_type() -> None:
    assert ALLOWED["bf16"] == pytest.approx(0.05)
    assert ALLOWED["tf32"] == ALLOWED["bf16"] / 8  # three more bits
    assert ALLOWED["fp32"] < ALLOWED["tf32"]
