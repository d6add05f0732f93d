"""The rows of docs/models.md for networks in the shape of an ontology; `benchmarks.models_page` writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nucleoscope.models import DCell, DrugCell, GenNet, knock_outs, rlipp, term_contributions
from nucleoscope.models.dcell import SMALL
from nucleoscope.models.subsystems import Subsystems
from nucleoscope.naive.methods.knock_out import knock_out
from tests.parts import lively

HEAD = """
Networks in the shape of an ontology take genes or variants and not sequence. *Terms* and *inputs* knocked out:
`knock_outs`, whose changes go up along edges, and how far it is (float64, held at the mean) from the whole network
run with states or inputs replaced, of the largest. *Gradient* is torch's own. *DeepLIFT*, *IG* (64 steps):
`term_contributions`, and how far what enters the root is from the difference of the answers. What a term's state
says of the answer is `rlipp`; the weights of paths, with BatchNorm folded in, `GenNet.path_weights`, which is the
slope where nothing bends (`tests/models/test_transparent.py`).

| network | from | terms knocked out | inputs knocked out | gradient | DeepLIFT | IG | of terms besides | weights |
|---|---|---|---|---|---|---|---|---|
"""
HEAD += (
    "| *source of truth* | papers and code | the network, states replaced | the network, inputs replaced "
    "| torch's autograd | difference of answers | difference of answers | held-out ridge; autograd | |\n"
)


class Network(NamedTuple):
    """A network of terms, an input of its own, and what is known of it."""

    make: Callable[[], nn.Module]
    shape: str
    others: int  # width of a further input
    weights: str


NETWORKS = {
    "DCell": Network(lambda: DCell(SMALL), "an ontology; a small one", 0, "none published"),
    "DrugCell": Network(
        lambda: DrugCell(SMALL, small=True), "an ontology; a small one", 16, "its authors' site"
    ),
    "GenNet": Network(GenNet, "a topology; a small one", 0, "GenNet_Zoo, no licence"),
}


def line(name: str) -> str:
    """The row of a network, made with random weights: every explanation is run and compared."""
    entry = NETWORKS[name]
    net = lively(entry.make()).double()
    x = torch.randint(3 if name == "GenNet" else 2, (8, 12)).double()
    others = [torch.rand(len(x), entry.others).double()] if entry.others else []
    cells = [
        name, entry.shape, f"changes, {of_terms(net, x, others):.0e}",
        f"changes, {of_inputs(net, x, others):.0e}", "torch's",
        *(f"adds up within {adds_up(net, x, others, rule):.0e}" for rule in ("deep_lift", "integrated_gradients")),
        besides(net), entry.weights,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def of_terms(net: nn.Module, x: Tensor, others: list[Tensor]) -> float:
    """How far knock-outs are from the network with states replaced, of the largest."""
    made = knock_outs(net, x, *others).terms  # type: ignore[arg-type]
    off, largest = 0.0, 0.0
    cell = net.cell if isinstance(net, DrugCell) else net
    if isinstance(cell, GenNet):
        places = [
            (made[f"layer {i}"][:, node], norm, slice(node, node + 1), states[:, node : node + 1])
            for i, (norm, states) in enumerate(zip(cell.norms, cell.states(x), strict=True))
            for node in range(states.shape[1])
        ]
    else:
        assert isinstance(cell, Subsystems)
        places, first, states = [], cell.length, cell.states(x)
        for norm, terms in zip(cell.norms, cell.ontology.levels(), strict=True):
            for term in terms:
                start, end = cell.place[term]
                units = slice(start - first, end - first)
                places.append((made[term], norm, units, states[term]))
            first += int(norm.num_features)  # type: ignore[arg-type]
    for got, norm, units, state in places:
        want = knock_out(net, norm, units, state.mean(0), x, *others)
        off, largest = (
            max(off, float((got - want).abs().max())),
            max(largest, float(want.abs().max())),
        )
    assert largest > 0, "no term changes the answer, so nothing is compared"
    return off / largest


def of_inputs(net: nn.Module, x: Tensor, others: list[Tensor]) -> float:
    names = range(12) if isinstance(net, GenNet) else SMALL.genes
    made = knock_outs(net, x, *others, terms=[], inputs=names).inputs  # type: ignore[arg-type]
    want = torch.empty_like(made)
    with torch.no_grad():
        for at in range(12):
            edited = x.clone()
            edited[:, at] = x[:, at].mean()
            want[:, at] = (net(edited, *others) - net(x, *others))[:, 0]
    return float((made - want).abs().max() / want.abs().max())


def adds_up(net: nn.Module, x: Tensor, others: list[Tensor], rule: str) -> float:
    made = term_contributions(net, x, None, *others, rule=rule)  # type: ignore[arg-type]
    missed = made.inputs.sum(1) - made.difference
    return float(missed.abs().max() / made.difference.abs().max())


def besides(net: nn.Module) -> str:
    """What else is told of each term: RLIPP is run, and so are a GenNet's path weights."""
    gen = isinstance(net, GenNet)
    x = torch.randint(3 if gen else 2, (64, 12)).double()
    others = [torch.rand(64, net.bits).double()] if isinstance(net, DrugCell) else []
    told = rlipp(net, x, *others)  # type: ignore[arg-type]
    if isinstance(net, GenNet):
        return f"RLIPP of {len(told)} nodes, path weights of {len(net.path_weights()[0])} variants"
    return f"RLIPP of {len(told)} terms"
