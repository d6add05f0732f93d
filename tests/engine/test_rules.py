"""Every op that has a delta rule, between two convolutions and at the end, against float64.

A case calls the op itself, so each entry of `RULES` is proved by name; one without a case fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.rules import REWRITES, RULES
from tests.engine import shape_cases, value_cases
from tests.engine.rule_cases import CASES
from tests.parts import Net, conv, lively, sequences
from tests.truth import assert_exact

aten = torch.ops.aten
assert shape_cases
assert value_cases


def modules(length: int) -> dict[str, Any]:
    """What the cases find on the net: `h` has 6 channels."""
    torch.manual_seed(1)
    numbers = {
        "wide": (6, 6, 5), "bias": (6,), "square": (6, 6), "flat": (6, 6 * length),
        "column": (6, 1),
        "place": (1, 6, length),
    }  # fmt: skip
    parts = {name: nn.Parameter(torch.rand(shape) - 0.4) for name, shape in numbers.items()}
    return {"first": conv(4, 6, 5), "pair": conv(6, 6, 3), "norm": nn.BatchNorm1d(6), **parts}


def net(ops: Sequence[Any], length: int) -> nn.Module:
    """conv -> op -> conv for every case of these ops, each read at a position and as a mean."""
    betweens = [make(op) for op in ops for _, make in CASES[op]]

    def forward(self: Net, x: Tensor) -> Tensor:
        rows = []
        for between in betweens:
            h = between(self, self.first(x) * 2)
            if h.ndim == 3:
                after = F.conv1d(h, self.last[:, : h.shape[1]], padding=1)
                rows += [after.mean(2), after[:, :, 1], h[:, :, -2]]
            else:
                rows.append(h)
        return torch.cat(rows, 1)

    made = Net(forward, last=nn.Parameter(torch.randn(2, 18, 3)), **modules(length))
    return lively(made)


# Entered for exports that keep them; torch.export may rewrite them before the engine looks.
REWRITTEN = {
    aten.reshape.default, aten.flatten.using_ints, aten.unflatten.int, aten.contiguous.default,
    aten.lift_fresh_copy.default, aten.dropout.default, aten.to.dtype,
}  # fmt: skip
# Entered only to be refused.
REFUSED = {aten.mean.default: "it averages over the batch, which no steady model does"}
# They take the sequence itself: `test_letters.py`.
OF_LETTERS = {aten.argmax.default, aten.embedding.default}
# Near their pole, whatever stands before them.
STEEP = {aten.std.dim, aten.std.correction}


def test_every_op_has_a_case() -> None:
    entered = {*RULES, *REWRITES} - set(REFUSED) - OF_LETTERS
    assert entered == set(CASES)


def families(most: int = 5) -> list[tuple[Any, ...]]:
    """All ops, a few that are lowered alike in one net: most of a test is its trace."""
    alike: dict[Any, list[Any]] = {}
    for op in CASES:
        alike.setdefault((RULES.get(op, REWRITES.get(op)), op in STEEP), []).append(op)
    return [tuple(ops[at : at + most]) for ops in alike.values() for at in range(0, len(ops), most)]


def short(ops: Sequence[Any]) -> str:
    return ", ".join(str(op).removeprefix("aten.").removesuffix(".default") for op in ops)


@pytest.mark.parametrize("ops", families(), ids=short)
def test_ops(ops: tuple[Any, ...]) -> None:
    model, X = net(ops, 16), sequences(2, 16)
    target = list(range(model(X).shape[1]))
    assert_exact(model, X, target=target, local=STEEP.isdisjoint(ops))
    graph = nucleoscope.plan(model, X, target=target).graph  # the trace is held
    met = Counter(
        n.target for n in graph.fx if n.name in graph.nodes and graph.nodes[n.name].role == "ripple"
    )
    for op in ops:  # once a case at least: another op's case must not stand in for its own
        assert met[op] >= len(CASES[op]) or op in REWRITTEN or op in REWRITES, (
            f"torch.export turned {op} into others: the case proves nothing"
        )


def test_an_open_eps_is_the_model_s_own() -> None:
    """Of float32, whatever the engine and the judge compute in: beside 1e-3 it shows."""
    torch.manual_seed(0)
    model = Net(
        lambda net, x: net.norm(1e-3 * net.a(x).mT).square().mean(1),
        a=conv(4, 6), norm=nn.RMSNorm(6),
    ).eval()  # fmt: skip
    X = sequences(2, 18)
    found = nucleoscope.saturation_mutagenesis(model, X, target=0)
    with torch.no_grad():
        assert (found.original.flatten() - model(X)[:, 0]).abs().max() <= 1e-5
