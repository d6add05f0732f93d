"""Integrated gradients against their definition, their error bar against the truth, refinement against rules."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.integral import Integral, Paths, by_halves, by_thirds, integral
from nucleoscope.engine.gradients.quadrature import Rule, clenshaw_curtis, rule
from nucleoscope.naive.methods.integrated_gradients import integrated_gradients as naive
from tests.nets import ZOO, build, channels_last, controlled
from tests.parts import Net, conv, lively, sequences
from tests.truth import reading

run = nucleoscope.integrated_gradients
SMOOTH = {"conv_next_permute", "conv_next_transpose", "attention_pools", "gated"}


def definition(
    model: Any, X: Tensor, baseline: Tensor, by: Rule, *, target: Any, args: Any = ()
) -> Tensor:
    made = naive(
        model, X, baseline, args, nodes=by.nodes.tolist(), weights=by.weights.tolist(), read=reading(target)
    )  # fmt: skip
    return made if isinstance(target, list) else made[:, 0]


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name: str) -> None:
    _, length, target, _ = ZOO[name]
    model, X = build(name), sequences(2, length)
    by = rule("gauss_legendre" if name in SMOOTH else "midpoint", 8)
    want = definition(model, X, torch.full_like(X, 0.25), by, target=target)
    got = run(model, X, target=target, n_steps=8, hypothetical=True)
    torch.testing.assert_close(got.scores, want, rtol=1e-4, atol=3e-6 * float(want.abs().max()))
    assert got.facts["rule"].startswith(by.name)
    assert got.error_bar is not None
    assert got.gap is not None
    assert got.error_bar.shape == got.gap.shape == got.original.shape
    once = run(model, X, target=target, n_steps=8, memory=1 << 20)
    torch.testing.assert_close(
        once.scores, run(model, X, target=target, n_steps=8).scores, rtol=1e-4, atol=1e-8
    )


def net(seed: int = 1, act: nn.Module | None = None) -> Net:
    torch.manual_seed(seed)
    return Net(
        lambda m, x: m.last(m.act(m.second(m.act(m.first(x)))).mean(2)), first=conv(4, 12), last=nn.Linear(12, 2),
        second=conv(12, 12), act=act or nn.ReLU(),
    )  # fmt: skip


X = sequences(4, 33)


def test_scores_add_up() -> None:
    model = net(act=nn.GELU())
    for baselines in ("uniform", "zeros", sequences(4, 33, seed=5)):
        got = run(model, X, baselines=baselines, target=[0, 1], n_steps=16, precision="fp64")
        start = {"uniform": torch.full_like(X, 0.25), "zeros": X * 0}
        start_ = start[baselines] if isinstance(baselines, str) else baselines
        with torch.no_grad():
            change = (model.double()(X.double()) - model(start_.double())).float()
        model.float()
        torch.testing.assert_close(got.scores.sum((2, 3)).float(), change, rtol=1e-5, atol=1e-7)
        assert float(got.gap.abs().max()) < 1e-9  # type: ignore[union-attr]
        assert all(c.passed for c in got.checks)


@pytest.mark.parametrize("seed", range(4))
def test_the_error_bar_covers_the_error(seed: int) -> None:
    """On nets with kinks by 1 to 4 times, in each of 4 nets, 4 sequences and 2 targets."""
    model = net(seed)
    ask = model.double()
    paths = Paths((torch.full_like(X, 0.25).double(),), (X.double(),))
    backward = Backward(ask, ask, paths.end)
    truth = integral(backward, paths, rule("midpoint", 1024), lambda _: None)
    for n in (8, 32):
        made = integral(backward, paths, rule("midpoint", n), lambda _: None)
        off = paths.along((made.mean[0] - truth.mean[0],)).norm(dim=2) / truth.size
        ratio = made.bar / off
        assert ratio.min() > 1
        assert ratio.max() < 4.5
        assert off.max() < 1.2 / n


def jump(steep: float) -> Net:
    """A probability that goes from 0 to 1 late on the way, the faster the steeper."""
    inner = net(act=nn.GELU())
    with torch.no_grad():
        ends = [float(inner(x)[:, 0].mean()) for x in (torch.full_like(X, 0.25), X)]
    middle, scale = ends[0] + 0.81 * (ends[1] - ends[0]), steep / (ends[1] - ends[0])
    return Net(lambda m, x: torch.sigmoid(scale * (m.inner(x)[:, :1] - middle)), inner=inner)


@pytest.mark.parametrize("steep", [20.0, 200.0])
@pytest.mark.parametrize("n", [8])
def test_a_jump_between_two_nodes_is_seen_by_what_the_sum_misses(steep: float, n: int) -> None:
    model = jump(steep)
    got, truth = (run(model, X, method="midpoint", n_steps=k, precision="fp64") for k in (n, 1600))
    off = (got.scores - truth.scores).flatten(1).norm(dim=1)
    assert got.error_bar is not None
    bar = got.error_bar[:, 0] * got.scores.flatten(1).norm(dim=1)
    seen = off > 1e-3 * truth.scores.flatten(1).norm(dim=1)
    assert seen.any()
    assert (bar[seen] >= 0.95 * off[seen]).all()


def test_a_map_that_cancels_in_its_sum_is_not_thought_to_miss_as_much_more_as_it_cancels() -> None:
    """Of 100 letters of either sign, which add up to little, the sum misses what some of them miss."""
    way = torch.ones(1, 1, 100).double()
    signs = torch.tensor([1.0, -1.0]).double().repeat(50)
    mean = (signs + 0.001)[None, None, None]
    change = torch.tensor([[0.1 - 1.0]]).double()
    paths = Paths((0 * way,), (way,), values=(0 * change, change))
    made = Integral((mean,), (0 * mean,), torch.tensor([8]), paths)
    assert float(made.size / made.paths.along(made.mean).sum()) > 99
    assert float(made.error) == pytest.approx(0.1, rel=1e-3)  # 1 over 100 letters alike


def test_a_map_that_adds_up_to_0_is_off_by_no_more_than_all_of_a_jump_on_one_letter() -> None:
    way = torch.ones(1, 1, 2).double()
    mean = torch.tensor([1.0, -1.0]).double()[None, None, None]
    change = torch.tensor([[100.0]]).double()
    paths = Paths((0 * way,), (way,), values=(0 * change, change))
    made = Integral((mean,), (0 * mean,), torch.tensor([8]), paths)
    assert float(made.error) == pytest.approx(100.0)


def test_a_map_of_zeros_of_an_output_that_changes_is_off_by_all_of_it() -> None:
    step = Net(
        lambda m, x: torch.sigmoid(1e5 * (m.inner(x)[:, :1] - m.middle)), inner=net(), middle=0.0
    )
    with torch.no_grad():
        ends = [step.inner(x)[:, 0] for x in (torch.full_like(X[:1], 0.25), X[:1])]
    step.middle = float(ends[0] + 0.97 * (ends[1] - ends[0]))
    got = run(step, X[:1], n_steps=8, precision="fp64")
    assert float(got.scores.abs().max()) < 1e-9
    assert float(got.error_bar) > 1e6  # type: ignore[arg-type]
    assert [c.passed for c in got.checks if c.name == "error bar"] == [False]


def test_sixteen_nodes_are_enough_on_a_smooth_net() -> None:
    model = net(act=nn.GELU())
    truth = run(model, X, target=[0, 1], method="midpoint", n_steps=2000, precision="fp64").scores
    got = run(model, X, target=[0, 1], n_steps=16)
    assert "the model is smooth" in got.facts["rule"]
    assert float((got.scores - truth).norm() / truth.norm()) < 1e-6
    assert float(got.error_bar.max()) < 1e-5  # type: ignore[union-attr]


class Counted:
    def __init__(self) -> None:
        self.points = 0

    def __call__(self, points: int) -> None:
        self.points += points


def test_thirds_are_midpoints_and_lose_no_gradient() -> None:
    model = net().double()
    paths = Paths((torch.full_like(X, 0.25).double(),), (X.double(),))
    backward, count = Backward(model, model, paths.end), Counted()
    made = by_thirds(backward, paths, 0.02, 100, count)
    assert set(made.nodes.tolist()) <= {24, 72}
    assert count.points == int(made.nodes.sum())
    for n in set(made.nodes.tolist()):
        rows = (made.nodes == n).nonzero()[:, 0]
        fresh = integral(backward, paths.at(rows), rule("midpoint", n), lambda _: None)
        torch.testing.assert_close(made.mean[0][rows], fresh.mean[0], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(made.null[0][rows], fresh.null[0], rtol=1e-10, atol=1e-14)


def test_halves_are_clenshaw_curtis_and_lose_no_gradient() -> None:
    model = net(act=nn.GELU()).double()
    with torch.no_grad():
        model.first.weight[:] *= 8  # so steep that 9 nodes are too few
    paths = Paths((torch.full_like(X, 0.25).double(),), (X.double(),))
    backward, count = Backward(model, model, paths.end), Counted()
    made = by_halves(backward, paths, 1e-4, 100, count)
    assert count.points == int(made.nodes.sum())
    assert made.nodes.max() > 9
    for n in set(made.nodes.tolist()):
        rows = (made.nodes == n).nonzero()[:, 0]
        fresh = integral(backward, paths.at(rows), clenshaw_curtis(n), lambda _: None)
        torch.testing.assert_close(made.mean[0][rows], fresh.mean[0], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(made.bar[rows], fresh.bar, rtol=1e-6, atol=1e-12)


def test_a_tolerance_is_met_or_said_not_to_be() -> None:
    got = run(net(), X, target=0, tolerance=0.05)
    assert float(got.error_bar.max()) <= 0.05  # type: ignore[union-attr]
    assert [c.passed for c in got.checks] == [True] * 3
    with pytest.warns(
        nucleoscope.NotConverged, match=r"0 of 4 sequences are within 0.001 after 24 nodes"
    ):
        got = run(net(), X, target=0, tolerance=0.001, n_steps=30)
    assert not got.checks[-1].passed
    got = run(net(act=nn.Tanh()), X, target=0, tolerance=1e-4)
    assert got.facts["rule"] == "clenshaw_curtis (the model is smooth)"


def test_a_change_of_zero_has_no_relative_gap() -> None:
    got = run(net(), X, target=0, baselines=X)
    assert got.scores.abs().max() == 0
    assert got.error_bar is not None
    assert got.error_bar.abs().max() == 0
    said = "4 of 4 targets are the same at the baseline, of which a relative gap is undefined"
    assert said in got.checks[-1].detail


def test_memory_does_not_grow_with_steps() -> None:
    """What one call of the model takes is bounded by bytes, whatever the number of points."""
    sizes: list[int] = []
    largest: list[int] = []
    model = net()
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    for n in (8, 64):
        sizes.clear()
        run(model, sequences(20, 33), target=0, n_steps=n, memory=1 << 20)
        largest.append(max(sizes))
    assert largest[0] == largest[1] < 8 * 20


def test_letters_last_further_inputs_and_func() -> None:
    model, given = lively(channels_last(33)), X.transpose(1, 2).contiguous()
    by = rule("midpoint", 8)
    want = definition(lambda x: model(x.transpose(1, 2)), X, torch.full_like(X, 0.25), by, target=0)
    got = run(model, given, target=0, n_steps=8, layout="NLC", hypothetical=True)
    torch.testing.assert_close(got.scores, want)
    model, control = lively(controlled(33)), torch.rand(4, 2, 33)
    want = definition(model, X, X * 0, by, target=1, args=(control,))
    got = run(
        model,
        X,
        (control,),
        func=lambda out: out[:, 1],
        baselines="zeros",
        n_steps=8,
        hypothetical=True,
    )
    torch.testing.assert_close(got.scores, want)


def test_strands_and_shifts_move_the_baseline_too() -> None:
    model, start = net(), sequences(4, 33, seed=5)
    plain: Any = {"target": 0, "hypothetical": True, "n_steps": 8}
    here = run(model, X, baselines=start, **plain).scores
    there = run(model, X.flip(1, 2), baselines=start.flip(1, 2), **plain).scores.flip(1, 2)
    got = run(model, X, baselines=start, reverse_complement=True, **plain)
    torch.testing.assert_close(got.scores, (here + there) / 2)
    gap = torch.zeros(4, 4, 3)
    moved = [torch.cat([gap, t[:, :, :-3]], 2) for t in (X, start)]
    there = run(model, moved[0], baselines=moved[1], **plain).scores[:, :, 3:]
    here[:, :, :-3] = (here[:, :, :-3] + there) / 2
    got = run(model, X, baselines=start, shifts=(0, 3), **plain)
    torch.testing.assert_close(got.scores, here)


def test_models_are_averaged() -> None:
    models = [net(seed) for seed in (1, 2)]
    each = [run(m, X, target=0, n_steps=8) for m in models]
    got = run(models, X, target=0, n_steps=8)
    torch.testing.assert_close(got.scores, (each[0].scores + each[1].scores) / 2)
    torch.testing.assert_close(got.gap, (each[0].gap + each[1].gap) / 2)  # type: ignore[operator]
    assert len(got.checks) == 4


def test_it_is_saved_with_its_errors(tmp_path: pathlib.Path) -> None:
    made = run(net(), X, target=0, n_steps=8)
    held = nucleoscope.Attribution.load(made.save(tmp_path / "a.npz"))
    assert held.error_bar is not None
    assert held.gap is not None
    torch.testing.assert_close(held.error_bar, made.error_bar)
    torch.testing.assert_close(held.gap, made.gap)


def test_many_sequences_go_in_blocks() -> None:
    many = sequences(70, 33)
    got = run(net(), many, target=0, n_steps=8)
    torch.testing.assert_close(got.scores[66:], run(net(), many[66:], target=0, n_steps=8).scores)


FAULTY: list[tuple[dict[str, Any], type, str]] = [
    ({"n_steps": 7}, ValueError, "n_steps=7: a number of nodes, 8 or more"),
    ({"n_steps": 8.0}, ValueError, "n_steps=8.0"),
    ({"method": "simpson"}, ValueError, "method='simpson': use 'auto' or one of 'midpoint'"),
    ({"tolerance": 0}, ValueError, "tolerance=0"),
    ({"tolerance": 0.1, "method": "trapezoid"}, ValueError, "rules must be nested"),
    ({"baselines": "mean"}, TypeError, "baselines='mean': use one of 'uniform', 'zeros'"),
    ({"baselines": None}, TypeError, "baselines=None"),
    ({"baselines": X[:, :, :-1]}, ValueError, r"baselines: its shape is \(4, 4, 32\); for X of shape"),
    ({"baselines": X[:2]}, ValueError, r"must be \[1, 4, 33\]"),
    ({"baselines": X * 2}, ValueError, r"sequence 0, baseline 0, position 0 is .*off the simplex"),
    ({"baselines": X - 1}, ValueError, "off the simplex"),
    ({"baselines": X * torch.nan}, ValueError, "off the simplex"),
    ({"baselines": X[:, None].repeat(1, 2, 1, 1)}, ValueError, "expected_gradients averages over several"),
    ({"target": 2}, IndexError, "target=2 does not index"),
    ({"precision": "tf32"}, ValueError, "precision='tf32'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "said"), FAULTY)
def test_bad_input_is_named(change: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        run(net(), X, **{"target": 0, **change})


def test_a_saturated_head_is_read_before_it_saturates() -> None:
    model = Net(lambda m, x: torch.sigmoid(m.inner(x)), inner=net())
    got = run(model, X, target=0, func=nucleoscope.targets.log_odds, n_steps=8)
    torch.testing.assert_close(got.scores, run(model.inner, X, target=0, n_steps=8).scores)
    assert np.isfinite(float(got.scores.sum()))
