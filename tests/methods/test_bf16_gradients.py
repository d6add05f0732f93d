"""precision="bf16" of gradients: how far they are off, that they say so, and where they are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope import _C
from nucleoscope.engine.values import short
from nucleoscope.engine.values.short import Short
from tests.parts import Net, conv, lively, sequences

needs_bf16 = pytest.mark.skipif(
    "v4_bf16" not in _C.available_isas(), reason="this processor has not AVX512_BF16"
)


def net() -> nn.Module:
    torch.manual_seed(3)

    def forward(m: Net, x: Tensor) -> Tensor:
        h = torch.relu(m.first(x))
        h = h + torch.relu(m.second(h))
        return m.last(torch.relu(m.third(h)).mean(2))

    return lively(
        Net(
            forward, first=conv(4, 128), second=conv(128, 128, dilation=2), third=conv(128, 160, 4),
            last=nn.Linear(160, 2),
        )
    )  # fmt: skip


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths of layers whose products were of bfloat16."""
    seen: list[int] = []
    back = Short._back

    def watched(self: Short, *given: Any) -> Tensor:
        seen.append(self.channels)
        return back(self, *given)

    monkeypatch.setattr(Short, "_back", watched)
    return seen


METHODS: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 16},
    "expected_gradients": {"n_shuffles": 2, "n_steps": 2, "random_state": 0},
    "smooth_grad": {"n_samples": 4, "random_state": 0},
    "saliency": {},
    "input_x_gradient": {},
}


@needs_bf16
@pytest.mark.parametrize("method", METHODS)
def test_it_is_near_and_says_what_it_is(method: str, rounded: list[int]) -> None:
    model, X = net(), sequences(3, 70)
    run = getattr(nucleoscope, method)
    asked = {"target": 1, "hypothetical": True, **METHODS[method]}
    exact = run(model, X, precision="fp64", **asked).scores
    assert rounded == []
    near = run(model, X, precision="bf16", **asked)
    assert set(rounded) == {128, 160}
    off = (near.scores - exact).norm() / exact.norm()
    assert 1e-5 < off < 0.1
    assert near.scores.dtype == torch.float32
    assert near.facts["precision"] == "float32, products of bfloat16"
    (said,) = [check for check in near.checks if check.name == "bf16"]
    assert said.passed
    again = run(model, X, **asked).scores
    assert (again - exact).norm() < 1e-4 * exact.norm()  # float32 is what it was


@needs_bf16
def test_targets_stay_float32() -> None:
    model, X = net(), sequences(2, 70)
    made = nucleoscope.integrated_gradients(model, X, target=0, precision="bf16")
    with torch.no_grad():
        torch.testing.assert_close(made.original[:, 0], model(X)[:, 0], rtol=1e-5, atol=1e-6)


@needs_bf16
def test_where_no_layer_is_wide_it_says_so() -> None:
    torch.manual_seed(0)
    small = Net(
        lambda m, x: m.last(torch.relu(m.one(x)).mean(2)), one=conv(4, 8), last=nn.Linear(8, 1)
    )
    made = nucleoscope.saliency(small.eval(), sequences(1, 40), precision="bf16")
    (said,) = [check for check in made.checks if check.name == "bf16"]
    assert said.passed
    assert f"{short.WIDE} channels" in said.detail


class ByHand(torch.autograd.Function):
    """A derivative of the model's own making."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_ctx: Any, by_output: Tensor) -> Tensor:
        return by_output * 2


@needs_bf16
def test_without_a_trace_it_is_refused() -> None:
    model = Net(lambda m, x: ByHand.apply(m.one(x)).mean(2), one=conv(4, 128)).eval()
    with pytest.raises(
        ValueError, match=r"precision='bf16': .*derivative of its own making.*'fp32'"
    ):
        nucleoscope.saliency(model, sequences(1, 40), target=0, precision="bf16")


def test_deep_lift_refuses_it() -> None:
    with pytest.raises(ValueError, match="precision='bf16': contributions add up"):
        nucleoscope.deep_lift_shap(net(), sequences(1, 40), target=0, precision="bf16")


@needs_bf16
def test_what_is_off_by_much_fails_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = Short._pack
    monkeypatch.setattr(Short, "_pack", lambda self, taps: pack(self, taps * 1.5))
    made = nucleoscope.saliency(net(), sequences(1, 70), target=0, precision="bf16")
    (said,) = [check for check in made.checks if check.name == "bf16"]
    assert not said.passed


class Gated(nn.Module):
    """A small target beside a large one, and a wide branch that opens where base 0 is A."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = net()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        made = self.wide(x) * x[:, :1, 0]
        flat = x.mean((1, 2))
        return torch.stack([made[:, 0] + flat, 1e-3 * flat, 0 * made[:, 1]], 1)


@needs_bf16
def test_each_sequence_and_target_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = Short._pack
    monkeypatch.setattr(Short, "_pack", lambda self, taps: pack(self, taps * 1.5))
    model, X = Gated(), sequences(1, 70)
    opened, shut = X.clone(), X.clone()
    opened[0, :, 0], shut[0, :, 0] = torch.eye(4)[0], torch.eye(4)[3]

    def said(X: Tensor, target: Any, **views: Any) -> list[bool]:
        made = nucleoscope.saliency(model, X, target=target, precision="bf16", **views)
        return [check.passed for check in made.checks if check.name.startswith("bf16")]

    assert said(opened, 1) == [True]
    assert said(opened, [1, 0]) == [False]
    assert said(opened, 0) == [False]
    assert said(opened, 2) == [True]  # a gradient of 0 is not off
    assert said(opened, 0, reverse_complement=True) == [False, False]


@needs_bf16
def test_a_tolerance_is_of_float32() -> None:
    with pytest.raises(ValueError, match=r"tolerance=0.01: .*'fp32'"):
        nucleoscope.integrated_gradients(
            net(), sequences(1, 70), target=0, tolerance=0.01, precision="bf16"
        )
