"""Networks of terms at their published size, for `benchmarks.full_geometry`: ontologies and weights at random.

DCell: 2,526 terms of up to 601 units. DrugCell: 2,086 terms of six units. Both have 3,008 genes. GenNet: 6,986,636
variants in 21,476 genes in 337, 44 and 6 groups. Knock-outs are of all terms (of a GenNet: of all nodes).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.transparent import TERMS, drawn
from nucleoscope.models import DCell, DrugCell, GenNet, knock_outs, term_contributions

HELD = 256 << 20  # bytes of changes that knock-outs hold at once
EXAMPLES, STEPS = 8, 8
LAYERS = 6_986_636, 21_476, 337, 44, 6


def gen_net() -> GenNet:
    """Neighbours in a layer go into one node of the next, as many as there are for each."""
    pairs = pairwise(LAYERS)
    return GenNet([[(i, i * above // below) for i in range(below)] for below, above in pairs])


class System(NamedTuple):
    """A network at its size, and what it takes besides."""

    make: Callable[[], nn.Module]
    others: tuple[int, ...]


SYSTEMS = {
    "DCell": System(lambda: DCell(drawn(2526, each=4)), ()),
    "DrugCell": System(lambda: DrugCell(drawn(TERMS)), (2048,)),
    "GenNet": System(gen_net, ()),
}


def knocked(net: Any, x: Tensor, others: list[Tensor]) -> str:
    facts = knock_outs(net, x, *others).facts
    return f"{facts['knocked_out']:,} states, {facts['times_less']:,} times fewer products than of forwards"


def deep_lift(net: Any, x: Tensor, others: list[Tensor]) -> str:
    return _missed(net, x, others, rule="deep_lift")


def integrated(net: Any, x: Tensor, others: list[Tensor]) -> str:
    return _missed(net, x, others, rule="integrated_gradients", steps=STEPS)


def _missed(net: Any, x: Tensor, others: list[Tensor], **asked: Any) -> str:
    made = term_contributions(net, x, None, *others, **asked)
    off = (made.inputs.sum(1) - made.difference).abs().max() / made.difference.abs().max()
    return f"adds up within {float(off):.0e}, in float32"


METHODS = {"knock-outs": knocked, "integrated gradients": integrated, "DeepLIFT": deep_lift}


def prepared(name: str) -> tuple[nn.Module, Tensor, list[Tensor]]:
    """The network, examples, and what else it takes."""
    net = SYSTEMS[name].make().eval()
    length = int((net.cell if isinstance(net, DrugCell) else net).length)  # type: ignore[arg-type]
    x = (torch.rand(EXAMPLES, length) < 0.02).float()
    return net, x, [(torch.rand(EXAMPLES, wide) < 0.05).float() for wide in SYSTEMS[name].others]


def planned(name: str) -> int:
    """Bytes at the peak, about: of Python and torch, of a GenNet's pairs of nodes as they are read, of changes."""
    pairs = 200 * LAYERS[0] if name == "GenNet" else 0
    return (400 << 20) + pairs + HELD * 4
