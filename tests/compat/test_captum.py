"""captum's own classes and ours on the same calls: numbers, shapes, structures and deltas."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.compat import captum as ours
from tests.parts import Net, conv

theirs = pytest.importorskip(
    "captum.attr", reason="captum is not installed: pip install captum==0.9.0"
)
METHODS = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle")


def net() -> Net:
    """Smooth, several outputs a position: [N, 4, L] (and a track [N, 2]) -> [N, 3, 5]."""

    def forward(m: Net, x: Tensor, track: Tensor | None = None, scale: float = 1.0) -> Tensor:
        h = F.gelu(m.first(x))
        if track is not None:
            h = h * torch.sigmoid(m.mix(track))[:, :, None]
        return m.last(F.adaptive_avg_pool1d(m.second(h) ** 2, 5)) * scale

    torch.manual_seed(0)
    return Net(
        forward, first=conv(4, 8), second=nn.Sequential(conv(8, 8), nn.Tanh()), last=conv(8, 3, 1),
        mix=nn.Linear(2, 8),
    ).eval()  # fmt: skip


def flat(m: Net) -> Any:
    return lambda x, *more: m(x, *more).mean(2)


torch.manual_seed(1)
X, START, TRACK = torch.rand(3, 4, 20), torch.rand(3, 4, 20), torch.rand(3, 2)


def alike(got: Any, want: Any) -> None:
    assert type(got) is type(want)
    if isinstance(want, tuple | list):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            alike(g, w)
    else:
        torch.testing.assert_close(got, want.detach(), rtol=1e-4, atol=2e-6)
        assert got.dtype == want.dtype


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "target", [1, torch.tensor(2), torch.tensor([0, 2, 1]), [0, 2, 1]], ids=str
)
def test_integrated_gradients(method: str, target: Any) -> None:
    model = flat(net())
    settings: dict[str, Any] = {"n_steps": 7, "method": method, "return_convergence_delta": True}
    got = ours.IntegratedGradients(model).attribute(X, START, target, **settings)
    alike(got, theirs.IntegratedGradients(model).attribute(X, START, target, **settings))


@pytest.mark.parametrize("target", [(1, 2), [(0, 1), (2, 4), (1, 0)]], ids=str)
@pytest.mark.parametrize(
    "baselines", [None, 0.25, START, START[:1]], ids=["none", "number", "each", "one"]
)
def test_baselines_and_targets_of_profiles(target: Any, baselines: Any) -> None:
    model = net()
    for multiply in (True, False):
        got = ours.IntegratedGradients(model, multiply).attribute(X, baselines, target)
        alike(got, theirs.IntegratedGradients(model, multiply).attribute(X, baselines, target))


def test_several_inputs_and_further_arguments() -> None:
    model = flat(net())
    for additional in (None, 2.0, (2.0,)):
        for given, more in (((X, TRACK), additional), ((X,), (TRACK, 2.0)), (X, TRACK)):
            settings: dict[str, Any] = {
                "target": [0, 2, 1], "additional_forward_args": more, "return_convergence_delta": True,
            }  # fmt: skip
            got = ours.IntegratedGradients(model).attribute(
                given, internal_batch_size=4, **settings
            )
            alike(
                got,
                theirs.IntegratedGradients(model).attribute(
                    given, internal_batch_size=6, **settings
                ),
            )


def test_the_trapezoid_sums_to_one() -> None:
    """Where captum's weights sum to (n - 1) / n: a linear model's attributions are then short by 1 / n."""
    model = nn.Linear(6, 1, bias=False)
    x = torch.rand(2, 6)
    want = x * model.weight.detach()
    got = ours.IntegratedGradients(model).attribute(x, n_steps=10, method="riemann_trapezoid")
    torch.testing.assert_close(got, want)
    short = theirs.IntegratedGradients(model).attribute(x, n_steps=10, method="riemann_trapezoid")
    torch.testing.assert_close(short.detach(), 0.9 * want)


def test_convergence_delta_of_any_attribution() -> None:
    model, made = flat(net()), torch.rand(3, 4, 20)
    both = [m.IntegratedGradients(model) for m in (ours, theirs)]
    alike(*(m.compute_convergence_delta(made, START, X, 1) for m in both))
    assert both[0].has_convergence_delta()
    assert both[0].multiplies_by_inputs


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require gradients")  # captum's
@pytest.mark.parametrize("absolute", [True, False])
def test_saliency_and_input_x_gradient(absolute: bool) -> None:
    model = flat(net())
    for given, more in ((X, None), ((X, TRACK), 3.0)):
        got = ours.Saliency(model).attribute(given, 1, absolute, more)
        alike(got, theirs.Saliency(model).attribute(given, 1, absolute, more))
        got = ours.InputXGradient(model).attribute(given, 1, more)
        alike(got, theirs.InputXGradient(model).attribute(given, 1, more))


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_layer_integrated_gradients(before: bool, several: bool) -> None:
    model = net()
    layer: Any = [model.first, model.mix] if several else model.second
    settings: dict[str, Any] = {
        "target": (1, 2), "additional_forward_args": TRACK, "n_steps": 9, "return_convergence_delta": True,
        "attribute_to_layer_input": before,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's, of several layers
        want = theirs.LayerIntegratedGradients(model, layer).attribute(X, START, **settings)
    got = ours.LayerIntegratedGradients(model, layer).attribute(X, START, **settings)
    alike(got, want)


def test_a_layer_behind_whole_numbers() -> None:
    torch.manual_seed(0)
    model = Net(
        lambda m, i: m.last(torch.tanh(m.embed(i)).mean(1)), embed=nn.Embedding(5, 6), last=nn.Linear(6, 2)
    ).eval()  # fmt: skip
    tokens = torch.randint(5, (3, 11))
    settings: Any = {"baselines": 0, "target": 1, "return_convergence_delta": True}
    got = ours.LayerIntegratedGradients(model, model.embed).attribute(tokens, **settings)
    alike(got, theirs.LayerIntegratedGradients(model, model.embed).attribute(tokens, **settings))


@pytest.mark.parametrize("stdevs", [0.0, 0.1])
def test_gradient_shap_draws_as_captum_does(stdevs: float) -> None:
    model = flat(net())
    for given, rows in (
        (X, torch.rand(6, 4, 20)),
        ((X, TRACK), (torch.rand(6, 4, 20), torch.rand(4, 2))),
    ):
        settings: Any = {
            "n_samples": 4, "stdevs": stdevs, "target": [0, 2, 1], "return_convergence_delta": True,
        }  # fmt: skip
        made = []
        for side in (ours, theirs):
            np.random.seed(3)
            torch.manual_seed(3)
            made.append(side.GradientShap(model).attribute(given, rows, **settings))
        alike(*made)


def test_baselines_of_gradient_shap_may_be_functions() -> None:
    model = flat(net())
    rows = torch.rand(1, 4, 20)
    np.random.seed(0)
    want = ours.GradientShap(model).attribute(X, rows, target=0)
    for function in (lambda: rows, lambda x: rows.to(x)):
        np.random.seed(0)
        assert torch.equal(ours.GradientShap(model).attribute(X, function, target=0), want)


FAULTY: list[tuple[Any, type, str]] = [
    (lambda m: m.IntegratedGradients(net()).attribute(X), ValueError, "has 15 numbers an example"),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, target=(3, 0)),
        IndexError,
        "target: it is not in",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, target=(1, 1, 1)),
        IndexError,
        "3 indices into",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, target=[1, 2]),
        ValueError,
        "2 of them for 3",
    ),
    (lambda m: m.IntegratedGradients(net()).attribute(X, target="a"), TypeError, "target='a'"),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, target=[0.5] * 3),
        TypeError,
        "whole numbers",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X.long(), target=0),
        TypeError,
        "there is no gradient",
    ),
    (lambda m: m.IntegratedGradients(net()).attribute("x"), TypeError, "inputs: a tensor"),
    (
        lambda m: m.IntegratedGradients(net()).attribute((X, TRACK[:2])),
        ValueError,
        "one row an example",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, START[:2], (0, 0)),
        ValueError,
        "1 row for all",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, "a", (0, 0)),
        TypeError,
        "tensors or numbers",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, (0, 0), (0, 0)),
        ValueError,
        "2 for 1 inputs",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, 0, (0, 0), method="x"),
        ValueError,
        "method='x'",
    ),
    (
        lambda m: m.IntegratedGradients(net()).attribute(X, 0, (0, 0), n_steps=0),
        ValueError,
        "n_steps=0",
    ),
    (
        lambda m: m.IntegratedGradients(noisy()).attribute(X, 0, 0),
        ValueError,
        "'1' is in training mode",
    ),
    (lambda m: m.Saliency(3).attribute(X), TypeError, "expected a torch.nn.Module"),
    (
        lambda m: m.LayerIntegratedGradients(net(), nn.Linear(2, 2)).attribute(X, 0, (0, 0)),
        ValueError,
        "layer: number 0 is not called",
    ),
    (
        lambda m: m.GradientShap(net()).attribute(X, 0.0),
        TypeError,
        "baselines: a tensor whose rows",
    ),
    (lambda m: m.GradientShap(net()).attribute(X, START[:, :, 1:]), ValueError, "baselines: shape"),
    (lambda m: m.GradientShap(net()).attribute(X, START, 0), ValueError, "n_samples=0"),
    (lambda m: m.GradientShap(net()).attribute(X, START, 2, -1.0), ValueError, "stdevs=-1.0"),
]


def noisy() -> nn.Module:
    return nn.Sequential(conv(4, 2), nn.Dropout(), nn.Flatten())


@pytest.mark.parametrize(("call", "error", "said"), FAULTY)
def test_bad_input_is_named(call: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        call(ours)
