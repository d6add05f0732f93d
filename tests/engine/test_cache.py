"""One trace per model, and never a stale one: whatever changes in the model, the numbers follow."""

# ruff: noqa: ARG005 - every forward and every change is called alike, whatever it uses

from __future__ import annotations

import argparse
import functools
import gc
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.tracing import cache
from tests.parts import Net, conv, lively, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 20)
TARGET = [None, (0, 0)]


class Small(nn.Module):
    """A model whose every kind of setting its forward reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = conv(4, 4, 5), nn.BatchNorm1d(4), conv(4, 2, 3)
        self.pool = nn.MaxPool1d(2)
        self.register_buffer("level", torch.rand(4, 1))
        self.register_buffer("hidden", torch.rand(4, 1), persistent=False)
        self.plain = torch.rand(4, 1)  # neither parameter nor buffer
        self.crop, self.span, self.choices = 2, [1, 3], {"slope": 0.1}
        self.act: Callable[[Tensor], Tensor] = torch.relu
        self.mixer = nn.Parameter(torch.eye(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.pool(self.act(self.norm(self.first(x)) * self.level + self.hidden) * self.plain)
        h = F.leaky_relu(self.last(h)[:, :, self.crop :], self.choices["slope"])
        return F.linear(h[:, :, self.span[0] : self.span[1]].transpose(1, 2), self.mixer)


@pytest.fixture
def model() -> Small:
    return lively(Small())  # type: ignore[return-value]


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every export."""
    made: list[int] = []
    real = cache.trace

    def counting(*args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(cache, "trace", counting)
    return made


def assert_fresh(model: nn.Module, given: Tensor = X, target: Any = TARGET) -> Tensor:
    """The engine's numbers are those of the model as it is now."""
    want = truth(model, given, target=target)
    got = engine(model, given, target=target)
    assert_close(got, want, 1e-5 * largest(want) + 1e-12)
    return want


def test_the_trace_is_paid_for_once(model: Small, traces: list[int]) -> None:
    for start in (0, 3, 7):
        engine(model, X, start=start, target=[(0, 0), None])
    engine(model, sequences(5, 20, seed=9), precision="fp64")
    assert len(traces) == 1


def test_new_weights_keep_the_trace(model: Small, traces: list[int]) -> None:
    assert_fresh(model)
    with torch.no_grad():
        model.first.weight.mul_(1.5)
    assert_fresh(model)
    assert len(traces) == 1


def test_another_length_is_another_trace(model: Small, traces: list[int]) -> None:
    for length in (20, 26, 20):
        assert_fresh(model, sequences(1, length))
    assert len(traces) == 2


def set_in_place(model: Small) -> None:
    with torch.no_grad():
        model.last.weight.add_(0.5)


def set_data_in_place(model: Small) -> None:
    model.last.weight.data.add_(0.5)


def set_one_number(model: Small) -> None:
    model.first.weight.data[0, 0, 0] += 0.7


def swap_data(model: Small) -> None:
    model.last.weight.data = torch.randn_like(model.last.weight)


def permute_data(model: Small) -> None:
    model.mixer.data.copy_(model.mixer.data.flip(0))  # same rows, same columns, same sums


def swap_rows(model: Small) -> None:
    model.first.weight.data.copy_(model.first.weight.data.flip(0))


def through_numpy(model: Small) -> None:
    model.first.weight.detach().numpy()[:] *= 2


def replace_parameter(model: Small) -> None:
    model.last.weight = nn.Parameter(torch.randn_like(model.last.weight))


def load(model: Small) -> None:
    model.load_state_dict(lively(Small(), seed=5).state_dict())


def load_assigned(model: Small) -> None:
    model.load_state_dict(lively(Small(), seed=5).state_dict(), assign=True)


def optimize(model: Small) -> None:
    step = torch.optim.SGD(model.parameters(), lr=0.5)
    model(X).square().sum().backward()
    step.step()


def change_buffer(model: Small) -> None:
    model.level.mul_(3)


def change_hidden_buffer(model: Small) -> None:
    model.hidden.data.add_(1)


def change_statistics(model: Small) -> None:
    model.norm.running_var.data.mul_(4)


def change_plain_tensor(model: Small) -> None:
    model.plain.mul_(-2)


def replace_plain_tensor(model: Small) -> None:
    model.plain = model.plain * -2


def change_crop(model: Small) -> None:
    model.crop = 4


def change_list(model: Small) -> None:
    model.span[1] = 5


def change_dictionary(model: Small) -> None:
    model.choices["slope"] = 0.9


def change_function(model: Small) -> None:
    model.act = torch.tanh


def change_pool(model: Small) -> None:
    model.pool.stride = 1


def change_eps(model: Small) -> None:
    model.norm.eps = 1.0


def replace_module(model: Small) -> None:
    model.pool = nn.AvgPool1d(2).eval()


def add_hook(model: Small) -> None:
    model.first.register_forward_hook(lambda *call: call[-1] * 2)


def replace_forward(model: Small) -> None:
    def doubled(self: nn.Conv1d, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight * 2, padding=2)

    model.first.forward = types.MethodType(doubled, model.first)  # type: ignore[method-assign]


def tie(model: Small) -> None:
    model.norm.weight = model.norm.bias


CHANGES = [
    set_in_place, set_data_in_place, set_one_number, swap_data, permute_data, swap_rows,
    through_numpy,
    replace_parameter, load, load_assigned, optimize, change_buffer, change_hidden_buffer,
    change_statistics,
    change_plain_tensor, replace_plain_tensor, change_crop, change_list, change_dictionary,
    change_function,
    change_pool, change_eps, replace_module, add_hook, replace_forward, tie,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_no_stale_answer(model: Small, change: Callable[[Small], None]) -> None:
    before = assert_fresh(model)
    change(model)
    after = truth(model, X, target=TARGET)
    assert (after - before).abs().max() > 1e-3 * before.abs().max(), "the change must show"
    assert_fresh(model)


def test_back_and_forth(model: Small) -> None:
    weights = model.first.weight.data.clone()
    for factor in (1.0, 2.0, 1.0):
        model.first.weight.data = weights * factor
        assert_fresh(model)


def test_another_number_type(model: Small) -> None:
    assert_fresh(model)
    model.plain = model.plain.double()
    want = truth(model.double(), X)
    got = engine(model, X, precision="fp64")
    assert_close(got, want, 1e-10 * largest(want))


def test_two_models_of_one_class_do_not_mix() -> None:
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert_fresh(lively(Small(), seed=seed))


def test_a_model_that_is_gone_holds_no_memory() -> None:
    model = lively(Small())
    engine(model, X)
    dead, weight = weakref.ref(model), weakref.ref(model.first.weight)
    gc.collect()  # those of other tests
    held = len(cache._held)
    del model
    gc.collect()
    assert dead() is None
    assert weight() is None
    assert len(cache._held) == held - 1


def test_the_model_is_left_as_it_was(model: Small) -> None:
    before = {
        name: (t, t.clone(), t.requires_grad)
        for name, t in model.state_dict(keep_vars=True).items()
    }
    modes = [m.training for m in model.modules()]
    engine(model, X, verify=3)
    for name, t in model.state_dict(keep_vars=True).items():
        assert t is before[name][0]
        assert torch.equal(t, before[name][1])
        assert t.requires_grad == before[name][2]
        assert t.grad is None
    assert modes == [m.training for m in model.modules()]


def test_a_net_of_functions_is_traced_too() -> None:
    net = Net(lambda net, x: net.first(x).mean(2), first=conv(4, 2))
    assert_fresh(net, target=0)
    net.body = lambda net, x: net.first(x).square().mean(2)
    assert_fresh(net, target=0)


class Act:
    """A callable object, or one of slots and class attributes."""

    __slots__ = ("k",)
    base = 1.0

    def __init__(self) -> None:
        self.k = 1.0

    def __call__(self, h: Tensor) -> Tensor:
        return torch.tanh(h * self.k) * self.base


class Scaled(nn.Module):
    """A model whose factor lies where few look."""

    times = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.names = conv(4, 3), Act(), {"plain"}
        self.cfg = types.SimpleNamespace(
            head=types.SimpleNamespace(scale=1.0), levels=types.SimpleNamespace(each=np.ones(3))
        )
        self.power = functools.partial(torch.pow, exponent=2)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x)).mean(2) * self.cfg.head.scale * self.times * WORLD["factor"]
        return self.power(h * float(self.cfg.levels.each[0])) * (3 if "triple" in self.names else 1)


WORLD = {"factor": 1.0}
HIDDEN: dict[str, Callable[[Scaled], Any]] = {
    "field of a field": lambda model: setattr(model.cfg.head, "scale", 3.0),
    "slot of a callable": lambda model: setattr(model.act, "k", 5.0),
    "array in an object": lambda model: model.cfg.levels.each.__setitem__(0, 4.0),
    "member of a set": lambda model: model.names.add("triple"),
    "attribute of the class": lambda model: setattr(Scaled, "times", 4.0),
    "attribute of a callable's class": lambda model: setattr(Act, "base", 4.0),
    "function's argument": lambda model: setattr(
        model, "power", functools.partial(torch.pow, exponent=3)
    ),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_no_setting_hides(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scaled, "times", 1.0)
    monkeypatch.setattr(Act, "base", 1.0)
    model = Scaled()
    before = assert_fresh(model, target=0)
    HIDDEN[what](model)
    assert (truth(model, X, target=0) - before).abs().max() > 1e-3 * before.abs().max()
    assert_fresh(model, target=0)


def test_what_no_key_holds_is_found_by_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scaled()
    engine(model, X, target=0)
    monkeypatch.setitem(WORLD, "factor", 3.0)
    want = truth(model, X, target=0)
    assert_close(engine(model, X, target=0, verify=1), want, 1e-5 * largest(want))


def test_a_shifted_output_is_found_by_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Net(lambda net, x: net.first(x).mean(2) + WORLD["factor"], first=conv(4, 3))
    nucleoscope.saturation_mutagenesis(model, X, target=0)
    monkeypatch.setitem(WORLD, "factor", 3.0)
    got = nucleoscope.saturation_mutagenesis(model, X, target=0)
    with torch.no_grad():
        torch.testing.assert_close(got.original, model(X)[:, :1])


class Keeping(nn.Module):
    """Counts its calls and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.calls, self.scale = conv(4, 3), 0, 1.0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        h = self.first(x).relu()
        self.seen = h.detach()
        return h.mean(2) * self.scale


def test_what_forward_only_writes_costs_no_trace(traces: list[int]) -> None:
    model = Keeping()
    for _ in range(3):
        assert_fresh(model, target=0)
        model(X)
    assert len(traces) == 1
    model.scale = 2.0
    assert_fresh(model, target=0)


def test_first_calls_of_several_threads() -> None:
    model, got = Scaled(), list[Tensor]()
    threads = [
        threading.Thread(target=lambda: got.append(engine(model, X, target=0))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert all(torch.equal(each, got[0]) for each in got)


def test_a_call_under_autocast_is_an_ordinary_one() -> None:
    model = Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(4, 3))
    with torch.autocast("cpu", torch.bfloat16):
        under = nucleoscope.saturation_mutagenesis(model, X, target=0)
    assert torch.equal(under.scores, nucleoscope.saturation_mutagenesis(model, X, target=0).scores)


def test_a_second_name_for_a_module_counts() -> None:
    model = Retied().eval()
    X = sequences(1, 20)
    first = nucleoscope.saturation_mutagenesis(model, X, verify=0).scores
    model.last = model.other
    second = nucleoscope.saturation_mutagenesis(model, X, verify=0).scores
    assert not torch.equal(first, second)


class Retied(nn.Module):
    """Its last layer is one of the others, under a second name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv1d(4, 3, 3), nn.Conv1d(4, 3, 3)
        self.last = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x).mean(2)


def test_a_namespace_of_arguments_counts() -> None:
    model = Net(lambda net, x: net.conv(x).mean(2) * net.settings.scale, conv=nn.Conv1d(4, 3, 3))
    model.settings = argparse.Namespace(scale=1.0)
    X = sequences(1, 20)
    first = nucleoscope.saturation_mutagenesis(model.eval(), X, verify=0).scores
    model.settings.scale = 3.0
    second = nucleoscope.saturation_mutagenesis(model, X, verify=0).scores
    torch.testing.assert_close(second, 3.0 * first)
