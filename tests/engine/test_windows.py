"""Windows and cones against brute force: which outputs read which inputs, what really changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.planning.batches import Mixed
from nucleoscope.engine.values.forward import Forward
from nucleoscope.engine.windows import Lattice, Mirror, Stencil, clip, hull
from tests.nets import ZOO, kept
from tests.parts import Net, conv, sequences

quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
small = st.integers(1, 7)
stencils = st.builds(Stencil, small, small, small, st.integers(-6, 12))
SPAN = range(-80, 81)


def reads(reach: Stencil | Mirror, output: int) -> list[int]:
    """The input positions of one output, from the definition."""
    if isinstance(reach, Mirror):
        return [reach.length - 1 - output]
    return [output * reach.stride - reach.pad + t * reach.dilation for t in range(reach.taps)]


@quick
@given(stencils, st.integers(-10, 10), st.integers(1, 9))
def test_spread_is_the_hull_of_the_outputs_that_read(reach: Stencil, lo: int, width: int) -> None:
    hi = lo + width
    hit = [o for o in SPAN if any(lo <= i < hi for i in reads(reach, o))]
    first, last = reach.spread(lo, hi)
    if hit:
        assert first <= hit[0]
        assert last > hit[-1]
    if reach.dilation == 1:  # beyond that a stride may leave gaps, which a hull covers
        assert (first, last) == (hit[0], hit[-1] + 1) if hit else first >= last


@quick
@given(stencils, st.integers(-10, 10), st.integers(1, 9))
def test_cone_is_the_hull_of_what_is_read(reach: Stencil, lo: int, width: int) -> None:
    read = [i for o in range(lo, lo + width) for i in reads(reach, o)]
    assert reach.cone(lo, lo + width) == (min(read), max(read) + 1)


@quick
@given(stencils, st.integers(-10, 10), st.integers(1, 9))
def test_teeth_cover_the_spread_and_leave_gaps_only_where_nothing_is_read(
    reach: Stencil, lo: int, width: int
) -> None:
    hit = {o for o in SPAN if any(lo <= i < lo + width for i in reads(reach, o))}
    teeth = {o for tooth in reach.teeth(width) for o in range(*tooth.spread(lo, lo + width))}
    assert hit <= teeth
    if width + reach.stride <= reach.dilation:
        assert teeth == hit


@quick
@given(st.integers(1, 30), st.integers(0, 29), st.integers(1, 9))
def test_mirror(length: int, lo: int, width: int) -> None:
    reach = Mirror(length)
    hit = [o for o in SPAN if lo <= reads(reach, o)[0] < lo + width]
    assert reach.spread(lo, lo + width) == reach.cone(lo, lo + width) == (hit[0], hit[-1] + 1)


lattices = st.builds(Lattice.through, st.integers(-9, 30), st.integers(0, 9))
MANY = range(-200, 201)


def holds(lattice: Lattice, position: int) -> bool:
    """Whether a position is on the lattice, from the definition."""
    past = position - lattice.first
    return past % lattice.step == 0 if lattice.step else past == 0


def held(lattice: Lattice) -> set[int]:
    """The positions of a lattice, as far as tests look."""
    return {p for p in MANY if holds(lattice, p)}


@quick
@given(lattices, lattices)
def test_a_join_holds_both_and_is_the_coarsest(a: Lattice, b: Lattice) -> None:
    both = a.join(b)
    assert held(a) | held(b) <= held(both)
    apart = sorted(held(a) | held(b))
    assert both.step == np.gcd.reduce(np.diff(apart)) if len(apart) > 1 else both.step == 0


@quick
@given(lattices, st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_a_lattice_counts_its_positions(lattice: Lattice, length: int, lo: int, hi: int) -> None:
    inside = [p for p in range(length) if p in held(lattice)]
    assert list(range(length))[lattice.cut] == inside
    assert lattice.count(length) == len(inside)
    first, last = lattice.places(lo, hi)
    between = [p for p in range(lo, hi) if p in held(lattice)]
    assert max(last - first, 0) == len(between)
    if between:
        assert lattice.span(first, last) == (between[0], between[-1] + 1)


@quick
@given(stencils | st.builds(Mirror, st.integers(1, 30)), lattices, lattices)
def test_a_thinned_reach_reads_the_same_positions(
    reach: Stencil | Mirror, made: Lattice, other: Lattice
) -> None:
    needed = reach.reads(made)
    given = needed if isinstance(reach, Mirror) else needed.join(other)
    thinned = reach.between(made, given)
    for k in range(-3, 4) if made.step else [0]:
        wanted = reads(reach, made.first + k * made.step)
        assert all(holds(needed, position) for position in wanted)
        assert [given.first + j * given.step for j in reads(thinned, k)] == wanted


def test_arrays_go_the_same_way_as_integers() -> None:
    lo, reach = np.arange(-5, 20), Stencil(5, 3, 2, 4)
    for way in (reach.spread, reach.cone, Mirror(17).spread):
        first, last = way(lo, lo + 3)
        assert [way(int(i), int(i) + 3) for i in lo] == list(zip(first, last, strict=True))


def test_small_ones() -> None:
    assert Stencil(taps=9).spread(4, 5)[0] <= 0 < Stencil(taps=9).spread(4, 5)[1]
    assert Stencil(taps=9).cone(0, 1) == (0, 9)
    assert clip(-3, 20, 9) == (0, 9)
    assert clip(9, 12, 9) == (0, 0)
    assert hull((0, 0), (3, 5)) == hull((3, 5), (7, 7)) == (3, 5)
    assert hull((1, 2), (5, 6)) == (1, 6)


def activations(model: nn.Module, X: Tensor) -> dict[str, Tensor]:
    """Every activation of the traced program by node name, [N, ...] in float64."""
    graph = nucleoscope.plan(model, X).graph
    seen: dict[str, Tensor] = {}
    forward = Forward(graph, torch.float64, X.device)
    with torch.no_grad():
        forward.original(
            {graph.edited: X.double()}, lambda name, value: seen.update({name: value.clone()})
        )
    return seen


PLAIN: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "two convolutions": lambda net, x: net.b(torch.tanh(net.a(x))),
    "gaps": lambda net, x: net.dilated(net.one(x)),
    "gaps of gaps": lambda net, x: net.wider(net.dilated(net.one(x))),
    "stride": lambda net, x: net.b(net.strided(net.a(x))),
    "pool": lambda net, x: F.avg_pool1d(net.a(x), 3, 2, padding=1),
    "crop and pad": lambda net, x: net.b(F.pad(net.a(x)[:, :, 4:-2], (1, 6))),
    "flip": lambda net, x: net.a(x.flip(2)).flip(2) + net.b(net.a(x)).flip(2),
    "both strands": lambda net, x: torch.cat(
        [net.a(x), net.a(x.flip(1, 2)).flip(2), net.one(x.flip(2))], 1
    ),
    "three flips": lambda net, x: (
        net.b(net.one(x) + net.one(x).flip(2)) + F.pad(net.a(x)[:, :, 6:], (6, 0)).flip(2)
    ),
    "mean": lambda net, x: net.a(x).mean(2),
}  # fmt: skip
TIGHT = {"two convolutions", "gaps", "gaps of gaps", "pool", "crop and pad", "flip", "both strands"}
LENGTH = 25


def plain(name: str) -> Net:
    torch.manual_seed(2)
    parts = {
        "a": conv(4, 4, 5),
        "b": conv(4, 4, 3),
        "one": conv(4, 4, 1),
        "strided": nn.Conv1d(4, 4, 3, stride=3),
    }
    parts |= {"dilated": conv(4, 4, 3, dilation=4), "wider": conv(4, 4, 3, dilation=9)}
    return Net(PLAIN[name], **parts)


def changed(model: nn.Module, X: Tensor, site: int) -> dict[str, Tensor]:
    """What an edit at the site changes in every activation: the largest of three letters."""
    edits = torch.cat([X.roll(k, 1) for k in (1, 2, 3)])
    given = torch.cat([X, X.repeat(3, 1, 1)])
    given[1:, :, site] = edits[:, :, site]
    return {name: (v[1:] - v[:1]).abs().amax(0) for name, v in activations(model, given).items()}


def assert_windows_hold(model: nn.Module, X: Tensor, sites: list[int], tight: bool = False) -> None:
    plan = nucleoscope.plan(model, X)
    for site in sites:
        moves, rows = changed(model, X, site), plan.rows(np.array([site]))
        for name in plan.order:
            source = next(
                (
                    n
                    for n in (name, *plan.graph.nodes)
                    if n in moves and plan.graph.resolve(n) == name
                ),
                None,
            )
            if source is None:
                continue
            axes, cone, made = plan.axes(name), plan.cones[name], plan.thinned.lattices[name]
            whole = plan.traced.nodes[source].axes
            assert whole is not None
            per_position = whole.rows(moves[source][None])[0, made.cut].amax(1)
            moved = {
                int(p) for p in (per_position > 1e-13).nonzero()[:, 0] if cone[0] <= p < cone[1]
            }
            kept = rows[name].positions[:, 0].tolist() if name in rows else []
            assert len(kept) == len(set(kept)), f"{name}: a position is kept twice"
            assert moved <= set(kept), (
                f"{name}, site {site}: {sorted(moved - set(kept))} change outside {kept}"
            )
            if tight:
                inside = {p for p in kept if cone[0] <= p < cone[1] and 0 <= p < axes.length}
                assert inside == moved, (
                    f"{name}, site {site}: {sorted(inside - moved)} are kept and cannot change"
                )


@pytest.mark.parametrize("name", PLAIN)
def test_all_that_changes_is_inside_the_rows(name: str) -> None:
    assert_windows_hold(plain(name), sequences(1, LENGTH), list(range(LENGTH)))


@pytest.mark.parametrize("name", sorted(TIGHT))
def test_nothing_else_is_kept_away_from_the_ends(name: str) -> None:
    assert_windows_hold(plain(name), sequences(1, LENGTH), [11, 13], tight=True)


@pytest.mark.parametrize(
    "name",
    [
        "bpnet",
        "bpnet_valid",
        "basset",
        "splice",
        "attention_pools",
        "strands",
        "odd_steps",
        "gated",
        "u_net",
    ],
)
def test_nets_of_the_field(name: str) -> None:
    length = ZOO[name][1]
    assert_windows_hold(
        kept(name), sequences(1, length), [0, 1, length // 2 - 1, length // 2, length - 1]
    )


@pytest.mark.parametrize("name", PLAIN)
def test_rows_of_many_sites_hold_those_of_each(name: str) -> None:
    plan = nucleoscope.plan(plain(name), sequences(1, LENGTH))
    generator = np.random.default_rng(0)
    for _ in range(20):
        sites = np.sort(generator.choice(LENGTH, size=5, replace=False))
        try:
            together = plan.rows(sites)
        except Mixed:
            continue
        for layer, rows in together.items():
            for column, site in enumerate(sites):
                kept = rows.positions[:, column].tolist()
                assert len(kept) == len(set(kept)), f"{layer}: a position is kept twice"
                alone = plan.rows(np.array([site])).get(layer)
                wanted = set() if alone is None else set(alone.positions[:, 0].tolist())
                wanted = {p for p in wanted if plan.cones[layer][0] <= p < plan.cones[layer][1]}
                assert wanted <= set(kept), layer
