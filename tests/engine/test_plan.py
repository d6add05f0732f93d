"""Plans: what they print, what they keep to, and that one plan gives one set of numbers."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from tests.nets import ZOO, kept
from tests.parts import conv, sequences
from tests.truth import assert_close, engine, largest, truth

MiB = 1 << 20


class Seamed(nn.Module):
    """A seam on a line of this file."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(4, 6, 5), nn.Linear(6, 2)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        h = torch.roll(h, 1, 2)  # the seam
        return self.last(h.mean(2))


class Profile(nn.Module):
    """A profile over the whole length, deltas all the way."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(4, width, 9), nn.ReLU(), conv(width, width, 9), nn.ReLU(), conv(width, 2, 5)
        )
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_a_plan_says_why_a_net_gains_little() -> None:
    """Squeeze-excitation: what comes after the gate is done again for every edit."""
    little = repr(nucleoscope.plan(kept("squeeze_excite"), sequences(1, 60)))
    assert re.search(
        r"4\d% of a forward lies behind the seam .* at most 2\.\dx can be gained", little
    )
    assert "can be gained" not in repr(nucleoscope.plan(Seamed(), sequences(1, 30)))
    assert "can be gained" not in repr(nucleoscope.plan(Profile(), sequences(1, 30)))


def test_a_seam_is_named_with_its_op_and_line() -> None:
    plan = nucleoscope.plan(Seamed(), sequences(1, 30))
    lines, first = inspect.getsourcelines(Seamed.forward)
    number = first + next(i for i, line in enumerate(lines) if "# the seam" in line)
    assert not plan.local
    (seam,) = plan.graph.seams
    assert "its beginning" in seam.reason
    assert re.search(rf"test_plan\.py\W.*\b{number}\b", seam.source)
    assert seam.source in repr(plan)
    assert seam.reason in repr(plan)


@pytest.mark.parametrize("name", ["bpnet", "basset", "shared", "recurrent", "u_net"])
def test_plans_print(name: str) -> None:
    plan = nucleoscope.plan(kept(name), sequences(1, ZOO[name][1]), target=ZOO[name][2])
    text = repr(plan)
    assert len(text.splitlines()) > len(plan.order)
    assert plan.local == (not plan.graph.seams)


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_a_float64_model_prints(precision: str) -> None:
    model = Profile().double() if precision == "fp64" else Profile()
    assert repr(nucleoscope.plan(model, sequences(1, 30), precision=precision, start=3, end=9))


def test_a_target_shrinks_the_cones() -> None:
    model, X = Profile(), sequences(1, 60)
    whole, one = nucleoscope.plan(model, X), nucleoscope.plan(model, X, target=(0, 30))
    assert [whole.cones[n] for n in whole.order] == [(0, 60)] * len(whole.order)
    assert one.cones[one.order[-1]] == (0, 1)  # of the one position that is made
    assert one.thinned.lattices[one.order[-1]].first == 30
    assert one.cones[one.order[0]] == (30 - 2 - 4, 31 + 2 + 4)
    two = nucleoscope.plan(model, X, target=[(0, 30), (1, slice(40, 42))])
    assert two.cones[two.order[-1]] == (30, 42)


def test_sites_outside_the_cone_have_no_effect() -> None:
    model, X = Profile(), sequences(2, 60)
    scores = engine(model, X, target=(0, 30))
    reached = scores.abs().amax((0, 1, 2)).nonzero()[:, 0].tolist()
    assert set(reached) <= set(range(30 - 10, 30 + 11))
    assert torch.equal(engine(model, X, target=(0, 30), start=0, end=5), torch.zeros(2, 1, 4, 5))


def test_a_narrow_cone_costs_less() -> None:
    model, X, sites = Profile(), sequences(1, 60), np.arange(60)
    wide, narrow = nucleoscope.plan(model, X), nucleoscope.plan(model, X, target=(0, 30))
    assert narrow.work(sites)[0] < 0.5 * wide.work(sites)[0]
    local, _, naive = wide.work(sites)
    assert 0 < local < naive


def test_a_plan_says_what_may_not_fit() -> None:
    X = sequences(1, 40_000)
    assert "may not fit" not in repr(nucleoscope.plan(Profile(), X, memory=1 << 30))
    said = repr(nucleoscope.plan(Profile(), X, memory=1 << 20))
    assert re.search(r"may not fit: .* takes about 0\.\d+ GB, the budget is 0\.001 GB", said)
    said = str(nucleoscope.plan_gradients(Profile(), X, memory=1 << 20))
    assert re.search(r"may not fit: one point takes 0\.\d+ GB", said)


@pytest.mark.parametrize("maker", [Profile, Seamed])
def test_less_memory_means_smaller_batches_and_the_same_numbers(maker: Any) -> None:
    model, X = (Profile(96) if maker is Profile else Seamed()), sequences(2, 700)
    sites = np.arange(700)
    request = {"start": 100, "end": 140}
    sizes, scores = [], []
    for memory in (MiB, 4 * MiB, 512 * MiB):
        sizes.append(nucleoscope.plan(model, X, memory=memory).sites_per_batch(sites))
        scores.append(engine(model, X, memory=memory, **request))
    assert sizes[0] < sizes[-1]
    assert sizes == sorted(sizes)
    for other in scores[1:]:
        assert (other - scores[0]).abs().max() <= 1e-6 * scores[0].abs().max()


def test_a_batch_stays_within_the_budget() -> None:
    model, X = Profile(96), sequences(1, 700)
    plan = nucleoscope.plan(model, X, memory=2 * MiB)
    size = plan.sites_per_batch(np.arange(700))
    for sites in (np.arange(size), np.arange(300, 300 + size)):
        rows = plan.rows(sites)
        stored = {n: rows[n] for n in plan.stored}  # the others go from op to op a few at a time
        largest_layer = max(r.width * plan.axes(n).channels for n, r in stored.items())
        assert size == 1 or largest_layer * 3 * 4 * size <= 2 * MiB


@pytest.mark.parametrize("name", ["basset", "strands", "attention"])
def test_one_plan_gives_the_same_bits(name: str) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(2, length)
    assert torch.equal(engine(model, X, target=target), engine(model, X, target=target))


@pytest.mark.parametrize("name", ["bpnet", "basset", "strands", "squeeze_excite"])
def test_threads_change_nothing_beyond_rounding(name: str, threads: Any) -> None:
    model, (_, length, target, local) = kept(name), ZOO[name]
    X, scores = sequences(2, length), []
    for count in (1, 2):
        threads(count)
        scores.append(engine(model, X, target=target))
    allowed = 1e-6 if local else 1e-4
    assert (scores[0] - scores[1]).abs().max() <= allowed * scores[0].abs().max()


@pytest.mark.parametrize("name", ["basset", "splice", "odd_steps"])
def test_parts_make_up_the_whole(name: str) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(3, length)
    whole = engine(model, X, target=target)
    parts = torch.cat(
        [
            engine(model, X, target=target, start=s, end=min(s + 7, length))
            for s in range(0, length, 7)
        ],
        3,
    )
    alone = torch.cat([engine(model, X[n : n + 1], target=target) for n in range(3)])
    for other in (parts, alone):
        assert (other - whole).abs().max() <= 2e-6 * whole.abs().max()


@pytest.mark.usefixtures("poisoned_empty")
@pytest.mark.parametrize("name", ["bpnet_valid", "basset", "strands", "odd_steps", "u_net"])
def test_nothing_is_read_before_it_is_written(name: str) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(1, length)
    want = truth(model, X, target=target)
    assert_close(
        engine(model, X, target=target, precision="fp64"), want, 1e-10 * largest(want) + 1e-14
    )


def test_many_sequences_go_in_groups() -> None:
    model, X = Profile(64), sequences(40, 100)
    target = [(0, 50), None]
    whole = engine(model, X, target=target, start=40, end=44)
    groups = engine(model, X, target=target, start=40, end=44, memory=MiB)
    assert (whole - groups).abs().max() <= 1e-6 * whole.abs().max()
    want = truth(model, X[17:18], target=target, start=40, end=44)
    assert_close(groups[17:18], want, 1e-5 * largest(want))


def test_a_sequence_longer_than_the_receptive_field_is_cheap() -> None:
    model = nn.Sequential(conv(4, 4, 3), nn.ReLU(), conv(4, 1, 3)).eval()
    short, long = (
        nucleoscope.plan(model, sequences(1, n)).work(np.arange(n))[0] for n in (200, 2000)
    )
    assert long == pytest.approx(short, rel=0.1)
