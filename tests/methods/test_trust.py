"""What must neither be refused without cause nor answered wrongly: casts, masks, settings, the plain loop."""

# ruff: noqa: ARG005 - every forward and every change is called alike, whatever it uses

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.precision import ALLOWED
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 20)


def test_a_model_that_ends_in_a_cast_is_not_refused() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return (torch.relu(net.first(x)).mean(2) + 1000.0).float()

    result = nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)).eval(), X)
    assert result.checks[0].passed


def test_a_mask_of_minus_infinity_is_no_broken_weight() -> None:
    model = Net(
        lambda net, x: torch.softmax(net.first(x) + net.mask, 1)[:, :2].mean(2), first=conv(4, 3)
    ).eval()
    model.register_buffer("mask", torch.tensor([[0.0], [0.0], [-torch.inf]]))
    want = truth(model, X, target=0)
    assert_close(engine(model, X, target=0), want, 1e-5 * largest(want))


def test_changed_fields_of_a_settings_object_are_seen() -> None:
    model = Net(lambda net, x: net.first(x).mean(2) * net.settings.scale, first=conv(4, 3)).eval()
    model.settings = SimpleNamespace(scale=1.0)
    before = nucleoscope.saturation_mutagenesis(model, X).scores
    model.settings.scale = 2.0
    after = nucleoscope.saturation_mutagenesis(model, X).scores
    torch.testing.assert_close(after, 2.0 * before)


def test_the_plain_loop_does_not_return_nan() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.first(x).mean(2)
        return h if float(h.sum()) > 1e9 else torch.log(x[:, :1, 5] + 0.0 * h)

    given = X.clone()
    given[:, :, 5] = torch.tensor([1.0, 0.0, 0.0, 0.0])  # every edit of this site makes log(0)
    with (
        pytest.warns(nucleoscope.NaiveFallback),
        pytest.raises(ValueError, match="NaN or infinite"),
    ):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)).eval(), given)


CANCELLING: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda y: torch.softmax(y, 1),
    "layer norm": lambda y: F.layer_norm(y, (6,)),
    "centred": lambda y: y - y.mean(1, keepdim=True),
}


@pytest.mark.parametrize("what", CANCELLING)
def test_effects_that_cancel_in_the_mean_are_no_disagreement(what: str) -> None:
    model = Net(
        lambda net, x: CANCELLING[what](torch.tanh(net.first(x)).mean(2) * 3), first=conv(4, 6)
    )
    result = nucleoscope.saturation_mutagenesis(model, X)
    assert result.checks[0].passed
    assert result.scores.abs().max() < 1e-6


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(s, marks=pytest.mark.slow) for s in (2, 3))])
def test_behind_a_seam_the_plain_loop_s_own_rounding_is_allowed(seed: int) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.gru(torch.relu(net.first(x)).transpose(1, 2))[0].mean(1)
        y = F.softplus(h + 200.0).log()
        return y[:, 0] - y[:, 1]

    torch.manual_seed(seed)
    model = Net(forward, first=conv(4, 6), gru=nn.GRU(6, 4, batch_first=True))
    assert nucleoscope.saturation_mutagenesis(model, sequences(1, 20, seed)).checks[0].passed


@pytest.mark.parametrize(
    "held", [threading.Lock(), torch.ones(3, requires_grad=True) * 2], ids=["lock", "non-leaf"]
)
def test_a_model_that_cannot_be_copied_judges_itself(held: Any) -> None:
    model = Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(4, 3))
    model.held = held
    assert "float32" in nucleoscope.saturation_mutagenesis(model, X, target=0).checks[0].detail


@pytest.mark.parametrize("target", [None, [0, slice(1, 3)]], ids=str)
def test_the_loop_that_a_disagreement_recommends_runs(
    target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def func(y: Tensor) -> Tensor:
        return y.square() if target else y[:, 0].square()

    model = Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(4, 3))
    monkeypatch.setitem(ALLOWED, "fp32", -1.0)
    monkeypatch.setattr("nucleoscope.engine.edits.verify.MEASURED", 0)
    with pytest.raises(Disagreement) as caught:
        nucleoscope.saturation_mutagenesis(model, X, target=target, func=func, start=2, end=9)
    *imports, call = str(caught.value).splitlines()[-3:]
    names: dict[str, Any] = {"model": model, "X": X, "func": func}
    exec("\n".join(imports), names)
    want = naive(model, X, sites=range(2, 9), read=Read(target, func))
    assert torch.equal(eval(call, names), want)


def test_the_plain_loop_takes_outputs_of_one_number() -> None:
    assert naive(Net(lambda net, x: x[:, 0, 0]), X, sites=range(2)).shape == (2, 1, 4, 2)


def test_the_plain_loop_warns_of_rounded_outputs() -> None:
    model = Net(lambda net, x: net.first(x).mean(2), first=conv(4, 3))
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.warns(UserWarning, match=r"autocast.*Call it outside"),
    ):
        naive(model, X, sites=range(2))


def test_the_plain_loop_s_batch_is_checked() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.first(x).mean(2) * (2 if float(x[0].sum()) > 1e9 else 1)
        return h + (torch.arange(len(x)) >= 30)[:, None]

    with (
        pytest.warns(nucleoscope.NaiveFallback),
        pytest.raises(ValueError, match="depends on the batch: as number 31 of 64"),
    ):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)), X)


def test_control_flow_is_named_by_its_line() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h: Tensor = net.first(x).mean(2)
        return h * 2 if float(h.sum()) > 1e9 else h

    with pytest.warns(nucleoscope.NaiveFallback, match=r"test_trust\.py, line \d+: return h \* 2"):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)), X, start=2, end=4)


def test_a_shape_that_the_data_make_is_refused() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.first(x).relu().flatten(1)
        return h[:, h.sum(0) > 0.1]

    with pytest.raises(ValueError, match="shape depends on the data"):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)), X, start=2, end=4)


def test_an_output_in_half_precision_runs_the_plain_loop() -> None:
    model = Net(lambda net, x: net.first(x).mean(2).half(), first=conv(4, 3))
    with pytest.warns(nucleoscope.NaiveFallback, match=r"output is torch\.float16"):
        nucleoscope.saturation_mutagenesis(model, X)


def test_alternatives_at_n_are_all_letters() -> None:
    given = X.clone()
    given[0, :, 4] = 0
    model = Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(4, 3))
    got = nucleoscope.saturation_mutagenesis(
        model, given, target=0, hypothetical=True, center="alternatives"
    ).scores
    assert got[0, :, 4].sum().abs() < 1e-6 * got.abs().max()


def test_func_may_work_in_place() -> None:
    model = Net(lambda net, x: net.first(x).tanh(), first=conv(4, 3))
    given: dict[str, Any] = {"target": 0, "precision": "fp64"}
    got = nucleoscope.saturation_mutagenesis(model, X, func=lambda y: y.exp_(), **given).scores
    want = nucleoscope.saturation_mutagenesis(model, X, func=lambda y: y.exp(), **given).scores
    assert torch.equal(got, want)


def test_a_func_that_gives_nan_is_blamed_itself() -> None:
    model = Net(lambda net, x: net.first(x).mean(2), first=conv(4, 3))
    with pytest.raises(ValueError, match=r"^func: .*NaN"):
        nucleoscope.saturation_mutagenesis(model, X, func=lambda y: y * torch.nan)


def test_a_model_that_writes_into_what_it_is_given_leaves_it_to_the_caller() -> None:
    def fill_gaps(net: Net, x: Tensor) -> Tensor:
        gap = x.sum(1) == 0
        if bool(gap.any()):  # only a sequence behind the first has one
            x[gap[:, None].expand_as(x)] = 0.25
        return net.conv(x).mean(2)

    X = sequences(2, 20)
    X[1, :, 7] = 0
    before = X.clone()
    with pytest.warns(nucleoscope.NaiveFallback):
        nucleoscope.saturation_mutagenesis(Net(fill_gaps, conv=nn.Conv1d(4, 3, 3)), X)
    torch.testing.assert_close(X, before, rtol=0, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_a_wrong_answer_is_told_below_what_the_output_is_rounded_to(offset: float) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.first(x)).mean(2)
        return offset + 1e-4 * (3 * h if torch.compiler.is_exporting() else h)

    with pytest.raises(nucleoscope.Disagreement):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)).eval(), X)


def test_sites_that_hardly_matter_are_not_withheld() -> None:
    torch.manual_seed(0)
    far = conv(4, 64, 5)

    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.first(x))
        return (h[:, ::2] - h[:, 1::2] * (1 - 1e-4)).mean((1, 2))[:, None] + 1.0

    with torch.no_grad():
        far.weight[1::2], far.bias[1::2] = far.weight[::2], far.bias[::2]
    model = Net(forward, first=far).eval()
    want = truth(model, X, target=0)
    got = nucleoscope.saturation_mutagenesis(model, X, target=0, center="none", hypothetical=True)
    assert got.checks[0].passed
    assert float(largest(got.scores[:, None] - want).max()) < 1e-3 * float(largest(want).max())
