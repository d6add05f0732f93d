"""What pairs do beyond their two edits alone, carried by itself: the definition's numbers in float64."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.pairs import interactions as engine
from nucleoscope.engine.pairs import meeting
from nucleoscope.engine.prepare import ask, forward
from nucleoscope.engine.rules import RULES
from nucleoscope.engine.tracing.opened import opened
from nucleoscope.naive.methods.pairwise import pairwise as naive
from tests.engine.rule_cases import CASES
from tests.engine.test_rules import net
from tests.nets import ZOO, kept
from tests.parts import Net, Residual, conv, lively, sequences
from tests.truth import reading

START, END = 9, 13


def by_itself(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), *, target: Any = None, func: Func | None = None,
    precision: str = "fp64", start: int = START, end: int = END, memory: int | None = None,
) -> Tensor | None:  # fmt: skip
    """Interactions [N, A, S, A, S, T] of all pairs of sites, or None."""
    asked = ask(
        model, X, args, start=start, end=end, layout="NCL", alphabet="ACGT", precision=precision,
        memory=memory, device=None,
    )  # fmt: skip
    every = np.ones((end - start, end - start), dtype=np.bool_)
    return engine.interactions(asked, Read(target, func), every, lambda _pairs: None)


def assert_exact(model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), **more: Any) -> Tensor:
    start, end = more.get("start", START), more.get("end", END)
    got = by_itself(model, X, args, **more)
    assert got is not None
    double = copy.deepcopy(model).double()
    others = tuple(t.double() for t in args)
    read, func = reading(more.get("target")), more.get("func") or (lambda y: y)
    want = naive(double, X.double(), others, sites=range(start, end), read=lambda y: read(func(y)))
    assert got.shape == want.shape
    # off by rounding of what the model returns, of which four are subtracted
    allowed = 1e-9 * want.abs().max() + 1e-13 * read(func(double(X.double(), *others))).abs().max()
    assert (got - want).abs().max() <= allowed
    return got


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are run by themselves whatever that costs."""
    monkeypatch.setattr(engine, "WORTH", math.inf)


LOCAL = [name for name, (*_, local) in ZOO.items() if local]


QUICK = ("bpnet", "basset", "splice", "attention_pools", "gated", "odd_steps")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in LOCAL]
)
def test_net(name: str) -> None:
    _, length, target, _ = ZOO[name]
    got = assert_exact(kept(name), sequences(1, length), target=target)
    assert got.abs().max() > 0


def ops_in_turn() -> list[list[Any]]:
    ops = [op for op in RULES if op in CASES]
    return [ops[first :: len(ops) // 8] for first in range(len(ops) // 8)]


@pytest.mark.slow
@pytest.mark.parametrize("ops", ops_in_turn(), ids=lambda ops: str(ops[0]))
def test_every_op(ops: list[Any]) -> None:
    for op in ops:  # one that ends locality, or has far pieces, is not run this way
        model, X = net([op], 16), sequences(1, 16, seed=4)
        if by_itself(model, X, start=9, end=13) is not None:
            assert_exact(model, X, start=9, end=13)


def test_steps_that_stand_alone_may_read_each_other() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        whole = net.first(x).tanh().flip(2).sum(1, keepdim=True).expand(-1, 6, -1)
        made: Tensor = net.last(whole).mean(2)
        return made

    model = lively(Net(forward, first=conv(4, 6, 5), last=conv(6, 2, 3)))
    assert_exact(model, sequences(1, 16))


def test_every_op_has_a_say() -> None:
    assert len(ops_in_turn()) * 8 > 60
    assert sum(map(len, ops_in_turn())) == sum(op in CASES for op in RULES)


def test_unknown_bases_and_sequences_beside_each_other() -> None:
    X = sequences(3, 61)
    X[0, :, 11] = 0
    X[1, :, 12] = torch.tensor([0.5, 0, 0.5, 0])
    got = assert_exact(kept("basset"), X, target=[0, 2])
    assert (got[0, :, 2] != 0).any()


@pytest.mark.parametrize("at", [(0, 5), (55, 61)])
def test_at_the_ends(at: tuple[int, int]) -> None:
    assert_exact(kept("basset"), sequences(2, 61), start=at[0], end=at[1])


@pytest.mark.parametrize("first", [True, False])
def test_residuals_before_and_behind_a_relu(first: bool) -> None:
    torch.manual_seed(0)

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.a(x).relu()
        h = (net.b(h) + h).relu() if first else net.b(h).relu() + h
        return net.c(h).relu().mean(2)

    model = Net(forward, a=conv(4, 6), b=conv(6, 6, 3, dilation=2), c=conv(6, 2, 7))
    assert_exact(model, sequences(2, 33), target=1)


def test_a_function_of_the_output_and_further_inputs() -> None:
    torch.manual_seed(0)
    model = Net(lambda net, x, c: net.a(x).relu().mean(2) * c, a=conv(4, 3))
    assert_exact(model, sequences(2, 30), (torch.rand(2, 3),), func=torch.exp, target=2)


@pytest.mark.parametrize("held", [1, 1 << 40], ids=["single", "all"])
def test_batches_of_any_size(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "HELD", held)
    assert_exact(kept("basset"), sequences(2, 61))


def test_float32_is_off_by_rounding() -> None:
    X = sequences(2, 61)
    got, want = by_itself(kept("basset"), X, precision="fp32"), by_itself(kept("basset"), X)
    assert got is not None
    assert want is not None
    assert got.dtype == torch.float32
    assert 0 < (got - want).abs().max() <= 3e-6 * want.abs().max()


def test_pairs_that_do_not_meet_add_nothing_to_the_bit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(conv(4, 6, 3), nn.ReLU(), conv(6, 2, 9)).eval()
    got = assert_exact(model, sequences(2, 40))
    far = (torch.arange(END - START)[:, None] - torch.arange(END - START)).abs() > 2
    assert (got.movedim(3, 2)[..., far, :] == 0).all()
    near = by_itself(model, sequences(2, 40), precision="fp32")
    assert near is not None
    assert (near.movedim(3, 2)[..., far, :] == 0).all()


@pytest.mark.parametrize("name", ["attention", "squeeze_excite"])
def test_behind_a_seam_edits_are_left_whole(name: str) -> None:
    _, length, target, _ = ZOO[name]
    assert by_itself(kept(name), sequences(1, length), target=target) is None


def test_windows_of_far_pieces_are_left_to_whole_edits() -> None:
    torch.manual_seed(0)

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.a(x).relu()
        return net.b(h + h.flip(2)).relu().mean(2)

    model = Net(forward, a=conv(4, 6), b=conv(6, 2, 3))
    assert by_itself(model, sequences(1, 50), start=2, end=6) is None


def test_what_is_not_worth_it_is_left_to_whole_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WORTH", 0.0)
    assert by_itself(kept("basset"), sequences(1, 61)) is None


def test_more_than_memory_holds_is_left_to_whole_edits() -> None:
    torch.manual_seed(0)
    model = lively(
        nn.Sequential(conv(4, 512, 21), nn.ReLU(), Residual(conv(512, 512, 21), nn.ReLU()))
    )
    assert by_itself(model, sequences(1, 60), memory=1 << 24) is None


def test_a_graph_is_opened_where_a_relu_is_fused() -> None:
    asked = ask(
        kept("bpnet"), sequences(1, 60), None, start=0, end=None, layout="NCL", alphabet="ACGT",
        precision="fp32", memory=None, device=None,
    )  # fmt: skip
    graph = forward(asked, Read(None, None)).forward.graph
    made = opened(graph)
    fused = [name for name, node in graph.nodes.items() if node.rule and node.rule.reads]
    assert fused
    assert {f"{name}:sums" for name in fused} <= made.nodes.keys()
    assert set(graph.nodes) < set(made.nodes)
    assert [name for name in made.nodes if name in graph.nodes] == list(graph.nodes)
