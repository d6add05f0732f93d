"""Layers made only where they are read: exact, nothing that is read left out, little else made."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.rules.pool import MaxPool
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.windows import whole
from tests.parts import AttentionPool, Net, Residual, conv, lively, sequences
from tests.truth import assert_exact, reading

LENGTH = 97


def unit(dilation: int, taps: int = 3) -> nn.Module:
    """A residual unit as SpliceAI's: norm, ReLU and a dilated convolution, twice."""
    half = [nn.BatchNorm1d(6), nn.ReLU(), conv(6, 6, taps, dilation=dilation)]
    again = [nn.BatchNorm1d(6), nn.ReLU(), conv(6, 6, taps, dilation=dilation)]
    return Residual(*half, *again)


def stack(*dilations: int) -> nn.Module:
    return nn.Sequential(conv(4, 6, 3), *(unit(d) for d in dilations), conv(6, 2, 1))


def parts() -> dict[str, nn.Module]:
    made: dict[str, nn.Module] = {f"d{d}": conv(6, 6, 3, dilation=d) for d in (2, 3, 4, 6, 12)}
    made |= {"first": conv(4, 6, 5), "wide": conv(6, 6, 5), "last": conv(6, 2, 1)}
    made |= {f"s{s}": nn.Conv1d(6, 6, 2 * s - 1, stride=s) for s in (2, 3)}
    made |= {"norm": nn.LayerNorm(6), "join": nn.Conv1d(12, 6, 1), "pool": AttentionPool(6, 3)}
    return made


FORWARDS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "even and odd": lambda net, h: net.d4(torch.tanh(net.d6(torch.tanh(net.d12(h))))),
    "strides and a crop": lambda net, h: net.d2(torch.tanh(net.s2(torch.tanh(net.s3(h))[:, :, 3:-2]))),
    "steps": lambda net, h: net.d4(torch.tanh(net.wide(h)))[:, :, 1::3],
    "two readers that disagree": lambda net, h: (
        net.d12(torch.tanh(net.d4(h))) + net.d3(torch.tanh(net.d6(h))) * torch.sigmoid(net.d6(h))
    ),
    "down and side": lambda net, h: torch.cat([net.d12(F.gelu(h)), net.d4(torch.relu(h))], 1)[:, 3:9],
    "skips": lambda net, h: net.join(torch.cat([net.d4(h.relu()), net.d12(net.d4(h).relu())], 1)),
    "max pools with gaps": lambda net, h: net.d2(F.max_pool1d(torch.tanh(net.wide(h)), 2, 5)),
    "average pools with gaps": lambda net, h: net.d2(
        F.avg_pool1d(net.wide(h).tanh(), 2, 3, padding=1, count_include_pad=False)
    ),
    "pool of a lattice": lambda net, h: F.max_pool1d(net.d4(h).relu(), 3, 1, dilation=4, padding=1),
    "attention pools": lambda net, h: net.d2(net.pool(torch.tanh(net.d3(h))[:, :, :96])),
    "flips": lambda net, h: net.d6(net.d4(h).tanh().flip(2)) + net.d6(h.relu()).flip(2),
    "channels last": lambda net, h: net.d4(
        net.norm(net.d12(h).transpose(1, 2)).transpose(1, 2).softmax(1)
    ),
    "a constant a position": lambda net, h: net.d12(net.d4(h).tanh() * torch.linspace(0, 1, LENGTH)),
    "pads": lambda net, h: net.d4(F.pad(net.d12(h).tanh(), (5, 2))),
    "one position outside": lambda net, h: net.d12(F.pad(net.d4(h.tanh()), (9, 0))),
}  # fmt: skip


@functools.cache  # one trace for all its targets
def net(name: str) -> nn.Module:
    torch.manual_seed(4)
    if name.startswith("stack"):
        return lively(stack(*map(int, name.split()[1:])))
    body = FORWARDS[name]
    return lively(Net(lambda net, x: net.last(body(net, net.first(x).tanh())), **parts()))


NETS = ["stack 1 2 5 10", "stack 2 4 8", "stack 6 4 9", *FORWARDS]


def targets(length: int) -> list[Any]:
    middle = length // 2
    return [
        (1, middle),
        (0, 0),
        (slice(None), slice(1, length, 6)),
        [(0, middle), (1, min(middle + 4, length - 1)), (0, slice(2, None, 2))],
        (0, slice(middle, middle + 3)),
    ]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("name", NETS)
def test_lattices_are_exact(name: str, which: int) -> None:
    model, X = net(name), sequences(2, LENGTH)
    target = targets(model(X).shape[2])[which]
    assert_exact(model, X, target=target, local=True, start=30, end=66)


def positions(plan: Plan, name: str) -> set[int]:
    """The positions of a layer that the plan has read, from 0 of the traced layer."""
    made, (lo, hi) = plan.thinned.lattices[name], plan.cones[name]
    return {made.first + made.step * k for k in range(lo, hi)}


def read_by_gradient(plan: Plan, X: Tensor, target: Any) -> dict[str, set[int]]:
    """The positions of each layer that the target's gradient reaches."""
    graph, seen = plan.traced, {}
    x = X.double().requires_grad_()

    def keep(name: str, value: Tensor) -> None:
        if value.requires_grad:
            value.retain_grad()
            seen[name] = value

    output = Forward(graph, torch.float64, X.device).original({graph.edited: x}, keep)
    reading(target)(output).sum().backward()
    found = {}
    for name in plan.order:
        value, node = seen.get(name), graph.nodes.get(name)
        if node is not None and node.axes is not None and value is not None:
            grad = torch.zeros_like(value) if value.grad is None else value.grad
            reached = node.axes.rows(grad).abs().amax((0, 2)) > 0
            found[name] = set(reached.nonzero()[:, 0].tolist())
    return found


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("name", NETS)
def test_all_that_is_read_is_made(name: str, which: int) -> None:
    model, X = net(name), sequences(1, LENGTH)
    target = targets(model(X).shape[2])[which]
    plan = nucleoscope.plan(model, X, target=target)
    read = read_by_gradient(plan, X, target)
    assert read
    for layer, reached in read.items():
        assert reached <= positions(plan, layer), layer


@pytest.mark.parametrize("name", ["even and odd", "steps", "strides and a crop"])
def test_nothing_else_is_made_where_one_reads_after_the_other(name: str) -> None:
    model, X = net(name), sequences(1, LENGTH)
    middle = model(X).shape[2] // 2
    plan = nucleoscope.plan(model, X, target=(1, middle))
    read = read_by_gradient(plan, X, (1, middle))
    thinned = {n for n in read if plan.thinned.lattices[n] != whole(plan.length(n))}
    assert len(thinned) > 1
    for layer in thinned:
        made = positions(plan, layer)
        assert {min(read[layer]), max(read[layer])} == {min(made), max(made)}, layer
        assert plan.thinned.lattices[layer].step == np.gcd.reduce(np.diff(sorted(read[layer])))


def test_one_output_of_a_dilated_stack_costs_its_lattice() -> None:
    model, X, sites = net("stack 1 2 5 10"), sequences(1, LENGTH), np.arange(40, 57)
    one, around = (nucleoscope.plan(model, X, target=t) for t in ((0, 48), (0, slice(47, 50))))
    assert one.work(sites)[0] < 0.35 * around.work(sites)[0]
    text = repr(one)
    assert " by 10" in text
    assert " by 5" in text
    assert " by " not in repr(around)


def test_a_whole_output_is_left_as_it_is() -> None:
    model, X = net("stack 2 4 8"), sequences(1, LENGTH)
    plan = nucleoscope.plan(model, X)
    assert dict(plan.graph.nodes) == dict(plan.traced.nodes)
    assert plan.graph.needed == plan.traced.needed


def test_what_a_tail_reads_is_whole() -> None:
    model = lively(Net(
        lambda net, x: net.last(torch.roll(net.d4(net.d12(net.first(x)).tanh()), 1, 2)), **parts()
    ))  # fmt: skip
    X = sequences(1, LENGTH)
    assert_exact(model, X, target=(0, 48), local=False, start=40, end=50)
    plan = nucleoscope.plan(model, X, target=(0, 48))
    assert all(plan.thinned.lattices[n] == whole(LENGTH) for n in plan.order)


def test_a_rule_that_knows_no_lattices_keeps_its_layers_dense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(MaxPool, "thin")
    model, X = net("max pools with gaps"), sequences(1, LENGTH)
    plan = nucleoscope.plan(model, X, target=(0, 9))
    made = {type(plan.graph.nodes[n].rule).__name__: plan.thinned.lattices[n] for n in plan.order}
    assert made["MaxPool"] == whole(20)
    assert any(plan.thinned.lattices[n] != whole(plan.length(n)) for n in plan.order)
    assert_exact(model, X, target=(0, 9), local=True, start=40, end=50)


def test_less_of_the_originals_is_kept() -> None:
    model, X = net("stack 1 2 5 10"), sequences(1, LENGTH)
    one, around = (nucleoscope.plan(model, X, target=t) for t in ((0, 48), (0, slice(47, 50))))
    assert one.original_bytes(40, 57) < 0.6 * around.original_bytes(40, 57)


def test_bf16_goes_the_same_way() -> None:
    if not nucleoscope.ops.has_bf16():
        pytest.skip("this processor multiplies no bfloat16")
    model, X = net("stack 1 2 5 10"), sequences(1, LENGTH)
    found = [
        nucleoscope.saturation_mutagenesis(model, X, target=(0, 48), precision=p, verify=0).scores
        for p in ("fp32", "bf16")
    ]
    assert (found[0] - found[1]).abs().max() < 0.05 * found[0].abs().max()
