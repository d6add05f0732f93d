"""Models as they come: wrapped, compiled, scripted, half, Lightning's, functions, channels last."""

# ruff: noqa: ARG005 - every forward is called alike, whatever it uses

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 23)
run = nucleoscope.saturation_mutagenesis


class Small(nn.Module):
    """A net that can be scripted."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = conv(4, 5), conv(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x))).mean(2)

    def doubled(self, x: Tensor) -> Tensor:
        return 2 * self.forward(x)


def small() -> Small:
    return Small().eval()


def same(model: Any, want: Tensor, by: str = "delta", **given: Any) -> nucleoscope.Attribution:
    got = run(model, X, target=1, hypothetical=True, center="none", **given)
    assert_close(got.scores[:, None], want, 1e-5 * largest(want))
    assert got.facts["engine"] == by
    return got


@pytest.mark.parametrize(
    "around", ["DataParallel", "compiled", "both", "compiled in place", "compiled within"]
)
def test_wrappers_are_taken_off(around: str) -> None:
    model = small()
    want = truth(model, X, target=1)
    given: Any = model
    if around in ("compiled", "both"):
        given = torch.compile(model, backend="eager")
    if around in ("DataParallel", "both"):
        given = nn.DataParallel(given)
    if around == "compiled in place":
        model.compile(backend="eager")
    if around == "compiled within":
        model.first = torch.compile(model.first, backend="eager")
    got = same(given.eval(), want, verify=0)
    said = {"DataParallel": "out of DataParallel", "compiled": "out of OptimizedModule",
            "both": "out of DataParallel of OptimizedModule"}  # fmt: skip
    assert got.facts.get("model_taken") == said.get(around)
    if around == "compiled within":
        assert "_orig_mod" in dict(model.first.named_children())


def test_distributed_wrappers_are_taken_off() -> None:
    model, wrapper = (
        small(),
        nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel),
    )
    nn.Module.__init__(wrapper)  # without a process group
    wrapper.module = model
    got = same(wrapper, truth(model, X, target=1))
    assert got.facts["model_taken"] == "out of DistributedDataParallel"


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # people still have such models
@pytest.mark.parametrize("how", ["script", "trace", "frozen", "within"])
def test_scripted_models_run_the_plain_loop_with_the_reason(how: str) -> None:
    model = small()
    want = truth(model, X, target=1)
    scripted: Any = torch.jit.trace(model, X) if how == "trace" else torch.jit.script(model)
    if how == "frozen":
        scripted = torch.jit.freeze(scripted)
    if how == "within":
        scripted = Net(lambda net, x: net.inner(x), inner=scripted)
    with pytest.warns(nucleoscope.NaiveFallback, match=r"scripted.*give the Python module"):
        got = run(scripted, X, target=1, hypothetical=True, center="none")
    assert_close(got.scores[:, None], want, 1e-4 * largest(want))


SMALL = small()


def by_global(x: Tensor) -> Tensor:
    return SMALL(x)[:, 1:] ** 2


def called(what: str, model: Small) -> Any:
    return {
        "lambda": lambda x: model(x)[:, 1:] ** 2,
        "global": by_global,
        "partial": functools.partial(lambda net, x: net(x)[:, 1:] ** 2, model),
        "nested": (lambda inner: lambda x: inner(x)[:, 1:] ** 2)(lambda x: model(x)),
    }[what]


@pytest.mark.parametrize("what", ["lambda", "global", "partial", "nested"])
def test_functions_of_modules(what: str) -> None:
    model = SMALL if what == "global" else small()
    want = truth(Net(lambda net, x: net.inner(x)[:, 1:] ** 2, inner=model), X)
    got = run(called(what, model), X, hypothetical=True, center="none")
    assert_close(got.scores[:, None], want, 1e-5 * largest(want))
    assert got.facts["engine"] == "delta"
    assert "calls 1 modules" in got.facts["model_taken"]
    assert got.checks[0].passed


def test_bound_methods_and_objects_that_are_called() -> None:
    class Predictor:
        def __init__(self, net: nn.Module) -> None:
            self.net = net

        def __call__(self, x: Tensor) -> Tensor:
            return 2 * self.net(x)

    model = small()
    want = 2 * truth(model, X, target=1)
    same(model.doubled, want)
    same(Predictor(model), want)


def test_a_function_s_modules_must_be_in_eval_mode() -> None:
    model = small()
    model.first.train()
    with pytest.raises(ValueError, match=r"training mode .*first"):
        run(lambda x: model(x), X)


def test_a_function_that_cannot_be_traced_says_why() -> None:
    model = small()

    def through_numpy(x: Tensor) -> Tensor:
        return torch.from_numpy(model(x).detach().numpy())

    with pytest.warns(nucleoscope.NaiveFallback, match="cannot be traced"):
        got = run(through_numpy, X, target=1, hypothetical=True, center="none")
    assert_close(got.scores[:, None], truth(model, X, target=1), torch.tensor([1e-5]))


@pytest.mark.parametrize("given", [3, "model.pt", None, Small, {"weight": torch.ones(3)}], ids=str)
def test_what_is_no_model(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^model: expected a torch.nn.Module, or a function"):
        run(given, X)


class Trainer:
    """Counts, and cannot be copied."""

    def __init__(self) -> None:
        self.steps, self.lock = 0, threading.Lock()


class Lightning(Small):
    """What LightningModule adds, as far as it can be in the way."""

    def __init__(self) -> None:
        super().__init__()
        self._trainer: Trainer | None = None
        self.hparams = {"lr": 1e-3}
        self.example_input_array = X[:1]

    @property
    def trainer(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("not attached to a Trainer")
        return self._trainer

    def training_step(self, batch: Any) -> Tensor:
        return self(batch[0]).sum()


@pytest.mark.parametrize("attached", [False, True])
def test_lightning_modules(attached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Lightning().eval()
    model._trainer = Trainer() if attached else None
    got = same(model, truth(small(), X, target=1))
    assert "float64" in got.checks[0].detail
    monkeypatch.setattr(
        "nucleoscope.engine.tracing.cache.trace", None
    )  # it would be an error to trace again
    if model._trainer:
        model._trainer.steps += 1
    same(model, truth(small(), X, target=1))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision(kind: torch.dtype) -> None:
    model = small().to(kind)
    want = truth(model, X, target=1)  # of its weights as they are, in float64
    got = same(model, want)
    assert [c.name for c in got.checks] == ["verification", "half precision"]
    assert "float64" in got.checks[0].detail
    assert "answers are off by" in got.checks[1].detail
    assert next(model.parameters()).dtype == kind
    with torch.no_grad():
        model.last.weight.mul_(2)
    same(model, truth(model, X, target=1))


def test_half_precision_that_forward_insists_on_is_named() -> None:
    model = Net(lambda net, x: net.first(x.half()).mean(2), first=conv(4, 2)).half().eval()
    with pytest.raises(ValueError, match=r"^model: its weights are torch.float16, and .*cast"):
        run(model, X)


def test_a_model_that_is_another_in_half_precision_is_refused() -> None:
    model = Net(
        lambda net, x: net.first(x).mean(2) + (9 if net.first.weight.dtype == torch.float16 else 0),
        first=conv(4, 2),
    ).half()
    with pytest.raises(ValueError, match="something else in half precision"):
        run(model.eval(), X)


@pytest.mark.parametrize("fails", [AssertionError("length must be 1000"), ValueError("bad length"),
                                   AssertionError(), IndexError("position 99")], ids=repr)  # fmt: skip
def test_a_model_that_refuses_the_length_names_x(fails: Exception) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        if x.shape[2] != 1000:
            raise fails
        return net.first(x)

    with pytest.raises(
        ValueError, match=r"^X: the model fails on one sequence of shape \(4, 23\)"
    ) as caught:
        run(Net(forward, first=conv(4, 2)).eval(), X)
    assert (str(fails) or "raise fails") in str(caught.value)


def test_channels_last() -> None:
    model = small()
    flipped = Net(lambda net, x: {"y": net.inner(x.mT)}, inner=model).eval()
    got = run(flipped, X.mT.contiguous(), layout="NLC", target=("y", 1), hypothetical=True,
              center="none", reverse_complement=True)  # fmt: skip
    plain = run(model, X, target=1, hypothetical=True, center="none", reverse_complement=True)
    torch.testing.assert_close(got.scores, plain.scores)


def test_a_function_is_asked_as_it_is_now() -> None:
    model: Callable[[float], Small] = lambda s: small()  # noqa: E731
    one = model(1.0)
    scale = [1.0]
    before = engine(lambda x: one(x) * scale[0], X)
    scale[0] = 2.0
    torch.testing.assert_close(engine(lambda x: one(x) * scale[0], X), 2 * before)
