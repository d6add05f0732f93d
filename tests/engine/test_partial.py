"""Originals made where they are read are those of a whole forward, and nothing else is made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.windows import Lattice, Mirror, Stencil
from tests.engine.test_thin import LENGTH, NETS, net, targets
from tests.parts import lively, sequences
from tests.truth import assert_exact


def positions(cut: Cut) -> list[int]:
    return [cut.first + k * cut.step for k in range(cut.count)]


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_is_read_as_its_positions_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, step, count = random.integers(-9, 9), random.integers(1, 6), random.integers(1, 7)
    cut, length = Cut(int(first), int(step), int(count)), int(random.integers(2, 40))
    assert positions(cut.within(length)) == [p for p in positions(cut) if 0 <= p < length]
    taps, stride, dilation, pad = (int(random.integers(1, 6)) for _ in range(4))
    made = cut.read(Stencil(taps, stride, dilation, pad))
    read = {p * stride - pad + t * dilation for p in positions(cut) for t in range(taps)}
    assert read <= set(positions(made))
    assert {made.first, made.last} == {min(read), max(read)}
    steps = np.gcd.reduce(np.array(sorted(read)) - min(read))
    assert made.step == (steps or 1)
    mirrored = cut.read(Mirror(length))
    assert positions(mirrored) == sorted(length - 1 - p for p in positions(cut))


@pytest.mark.parametrize("seed", range(20))
def test_cuts_join_into_the_fewest_positions(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = (
        Cut(int(random.integers(0, 9)), int(random.integers(1, 7)), int(random.integers(0, 5)))
        for _ in range(2)
    )
    both = one.join(two)
    held = {*positions(one), *positions(two)}
    assert held <= set(positions(both))
    assert both.join(one) == both.join(two) == both or not held
    if held:
        assert {both.first, both.last} == {min(held), max(held)}
        assert both.step == (np.gcd.reduce(np.array(sorted(held)) - min(held)) or 1)
        assert not one.count or positions(both)[both.index(one)] == positions(one)


def test_one_position_is_the_same_whatever_the_step() -> None:
    assert Cut(3, 4, 1) == Cut(3, 1, 1) != Cut(4, 1, 1)
    assert Cut.of(Lattice(3, 4), (0, 1)) == Cut(3, 1, 1)


def test_a_norm_of_which_one_position_is_read_on_a_lattice() -> None:
    """Its op gives several tensors, of which no positions can be taken."""
    torch.manual_seed(0)
    inner = torch.nn.Conv1d(4, 4, 2, padding=4, dilation=4, groups=4)
    model, X = lively(torch.nn.Sequential(torch.nn.BatchNorm1d(4), inner)).eval(), sequences(1, 4)
    assert_exact(model, X, target=(slice(1, 2), -1), start=2, end=4)


def test_a_lattice_s_places() -> None:
    assert positions(Cut.of(Lattice(2, 5), (1, 4))) == [7, 12, 17]
    assert positions(Cut.of(Lattice(4, 0), (0, 1))) == [4]


def made(
    plan: Plan, X: Tensor, others: tuple[Tensor, ...], sites: tuple[int, int]
) -> tuple[int, int]:
    """Holds a partial forward to the whole one; how many positions it makes, and how many there are."""
    graph = plan.traced
    forward = Forward(graph, torch.float64, X.device)
    inputs = dict(zip((graph.edited, *graph.others), (X, *others), strict=True))
    inputs = {n: t.double() if t.is_floating_point() else t for n, t in inputs.items()}
    whole: dict[str, Tensor] = {}
    some: dict[str, Tensor] = {}
    partial = plan.partial(*sites)
    with torch.no_grad():
        forward.original(inputs, lambda name, value: whole.update({name: value.clone()}))
        forward.original(inputs, lambda name, value: some.update({name: value.clone()}), partial)
    for name, value in some.items():
        axes, cut = graph.nodes[name].axes, partial.cuts.get(name)
        if name == graph.edited and cut is None:
            continue
        wanted = whole[name]
        if cut is not None and axes is not None and axes.dim is not None:
            assert value.shape[axes.dim + 1] == cut.count
            wanted = wanted[(slice(None),) * (axes.dim + 1) + (positions(cut),)]
        assert value.shape == wanted.shape, name
        assert (value - wanted).abs().max() <= 1e-12 * max(1.0, float(wanted.abs().max())), name
    cuts = [(c, graph.nodes[n].axes) for n, c in partial.cuts.items() if c is not None]
    return sum(c.count for c, _ in cuts), sum(a.length for _, a in cuts if a is not None)


@pytest.mark.parametrize("which", [3, pytest.param(0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETS)
def test_originals_are_those_of_a_whole_forward(name: str, which: int) -> None:
    model, X = net(name), sequences(2, LENGTH)
    target = targets(model(X).shape[2])[which]
    plan = nucleoscope.plan(model, X, target=target, start=40, end=46)
    made(plan, X, (), (40, 46))
