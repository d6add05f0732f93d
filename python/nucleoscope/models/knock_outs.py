"""Terms and inputs of a transparent network knocked out: changes that go up the network by its edges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope import ops
from nucleoscope.models.dcell import DCell, DrugCell
from nucleoscope.models.edge_changes import Changes, Outgoing, together
from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.subsystems import Subsystems
from nucleoscope.models.term_networks import net_of_terms

FUNCTIONS: dict[Any, str] = {torch.tanh: "tanh", torch.relu: "relu", torch.sigmoid: "sigmoid"}
HELD = (
    256 << 20
)  # bytes at once: of changes, were every state to change, and of the edges that they go along
EDGE = 48  # bytes of an edge's places while a level is carried
FEW = 16  # knock-outs of the first block, which says how many edges one takes
Step = nn.Module | Tensor | Callable[[Tensor], Tensor]


class KnockOuts(NamedTuple):
    """The answer with something held fixed, less the answer, in the answer's units; 0 where no path leads up."""

    terms: dict[str, Tensor]  # [N] each; a layer's nodes [N, nodes] where terms have no names
    inputs: Tensor  # [N, as many as were asked for], in their order
    facts: dict[str, Any]


def knock_outs(
    model: DCell | DrugCell | GenNet,
    x: Tensor,  # [N, inputs]
    *others: Tensor,
    terms: Iterable[str] | None = None,
    inputs: Iterable[str] | Iterable[int] = (),
    instead: str | float = "mean",
) -> KnockOuts:
    """What each term's state, and each input, is worth to the answer: they are held fixed one at a time.

    A knock-out is an edit. Its change goes to the terms above along the edges that leave what has changed, beside
    the originals of one forward, and nothing else is computed again. `facts` say how many products that took
    for an example, and how many a forward for each knock-out takes. Edges are looked up once for all examples:
    where terms are hundreds of units wide, ask about 64 or more at once.

    Parameters
    ----------
    x, others
        What the model takes: of a DrugCell the fingerprints, of a GenNet its covariates, which stay as they are.
    terms
        Terms by name; of a GenNet layers, ``"layer 0"`` the lowest, of which each node is knocked out by itself.
        All by default.
    inputs
        Genes by name; of a GenNet variants by number. None by default.
    instead
        What stands in the place of a state or an input: ``"mean"``, its own over x, or a number. At 0 a term is
        silent. Of a DCell's inputs 1 is a deleted gene.

    Raises TypeError for another model and for a name where a list is needed, ValueError for training mode, shapes
    that do not fit, numbers that are not finite, names that there are not, and an `instead` that is neither.

    Equivalent to::

        model(x, with the units of one term at `instead`) - model(x)
    """
    net = _read(model, x, others, instead)
    with torch.no_grad():
        held = _of_gen_net(net, x) if isinstance(net, GenNet) else _of_cell(net, x)
        named = list(held.terms) if terms is None else _known("terms", terms, held.terms)
        asked = _known("inputs", inputs, held.inputs)
        spans = [span for name in named for span in held.terms[name]]
        spans += [(at, at + 1) for at in (held.inputs[name] for name in asked)]
        changes, products = _worth(held, spans, _fixed(held.rows, instead), _tail(model, others))
    made, first = {}, 0
    for name in named:
        found = changes[first : first + len(held.terms[name])]
        made[name] = found.T if isinstance(net, GenNet) else found[0]
        first += len(held.terms[name])
    whole = held.products * len(spans)
    facts = {
        "instead": instead, "examples": len(x), "knocked_out": len(spans), "products": products,
        "products_of_forwards": whole, "times_less": round(whole / max(products, 1), 1),
    }  # fmt: skip
    return KnockOuts(made, changes[first:].T, facts)


class Level(NamedTuple):
    """Units that a function makes of sums over edges; `ways` are layers in a row, and what enters them adds up."""

    ways: tuple[tuple[EdgeLinear, ...], ...]
    reads: int  # the row that is their first input
    first: int  # the row of the first unit
    z: Tensor  # [units, N]: what enters the function
    function: str
    scale: Tensor  # [units]: BatchNorm's


class Held(NamedTuple):
    """A network's originals: all inputs and states in rows, and what of them is whose."""

    rows: Tensor  # [size, N]
    levels: list[Level]
    end: int  # from this row on they are what the answer is made of
    ends: int
    terms: dict[str, list[tuple[int, int]]]  # rows of each unit, or node, that is knocked out
    inputs: dict[str, int] | range  # rows by name

    @property
    def products(self) -> int:
        """Edges, each of which a forward multiplies once for an example."""
        return sum(
            len(layer.weight) for level in self.levels for way in level.ways for layer in way
        )


def _of_cell(net: Subsystems, x: Tensor) -> Held:
    _, rows = net.rows(x)
    levels, first = [], net.length
    for own, mixed, joined, norm in zip(net.own, net.mixed, net.joined, net.norms, strict=True):
        z = mixed.columns(rows[:first]) + joined.columns(own.columns(rows[: net.length]))  # type: ignore[operator]
        ways = ((mixed,), (own, joined))
        levels.append(Level(ways, 0, first, z, "tanh", _scale(norm, len(z))))  # type: ignore[arg-type]
        first += len(z)
    terms = {term: [net.place[term]] for term in net.ontology.terms}
    return Held(rows, levels, *net.place[net.ontology.roots[0]], terms, net.column)


def _of_gen_net(net: GenNet, x: Tensor) -> Held:
    below, parts, levels, terms = x.T.contiguous(), [x.T], [], {}
    reads, first = 0, net.length
    for i, (layer, norm, state) in enumerate(
        zip(net.layers, net.norms, net.states(x), strict=True)
    ):
        z = layer.columns(below)  # type: ignore[operator]
        function = FUNCTIONS[net.bend]
        levels.append(Level(((layer,),), reads, first, z, function, _scale(norm, len(z))))  # type: ignore[arg-type]
        terms[f"layer {i}"] = [(row, row + 1) for row in range(first, first + len(z))]
        below = state.T.contiguous()
        parts.append(below)
        reads, first = first, first + len(z)
    return Held(torch.cat(parts), levels, reads, first, terms, range(net.length))


def _scale(norm: nn.BatchNorm1d, units: int) -> Tensor:
    """What BatchNorm multiplies a change by, [units]."""
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    return (scale if norm.weight is None else scale * norm.weight).expand(units)


def _worth(
    held: Held, spans: list[tuple[int, int]], fixed: Tensor, tail: list[Step]
) -> tuple[Tensor, int]:
    """The answer's change by each knock-out, [spans, N], and the products that an example took."""
    size, n = held.rows.shape
    out = [[tuple(map(Outgoing, way)) for way in level.ways] for level in held.levels]
    states = size - held.levels[0].first
    most = max(1, HELD // (states * n * held.rows.element_size()))
    first, block = 0, min(FEW, most)
    made, total = [held.rows.new_zeros(0, n)], 0
    state = held.rows[held.end : held.ends].T
    while first < len(spans):
        some = spans[first : first + block]
        changes, products = _up(held, out, _first(held, some, fixed))
        ends = changes.within(held.end, held.ends).dense(len(some), state.shape[1])
        made.append(_answer(state, ends, tail))
        total += products
        first += len(some)
        block = max(1, min(most, 2 * block, HELD * len(some) // max(1, products * EDGE)))
    return torch.cat(made), total


def _first(held: Held, spans: list[tuple[int, int]], fixed: Tensor) -> Changes:
    """What each knock-out, by its place, changes at the rows that it holds fixed."""
    unit = torch.tensor([i for span in spans for i in range(*span)])
    edit = torch.tensor([at for at, (start, end) in enumerate(spans) for _ in range(start, end)])
    unit, edit = unit.to(held.rows.device), edit.to(held.rows.device)
    return Changes(edit, unit, fixed[unit][:, None] - held.rows[unit])


def _up(held: Held, out: list[list[tuple[Outgoing, ...]]], known: Changes) -> tuple[Changes, int]:
    """All that changes, level by level, and the products that an example took."""
    total = 0
    for level, ways in zip(held.levels, out, strict=True):
        parts = []
        for way in ways:
            change = known.within(level.reads, level.reads + way[0].inputs)
            for layer in way:
                change, products = layer.carry(change)
                total += products
            parts.append(change)
        units = len(level.z)
        met = together(parts, units).through(level.function, level.z).times(level.scale)
        known = Changes(*map(torch.cat, zip(known, met.moved(level.first), strict=True)))
    return known, total


def _tail(model: DCell | DrugCell | GenNet, others: tuple[Tensor, ...]) -> list[Step]:
    """What the answer is made of the last states by: layers, functions, and columns that are put beside."""
    if isinstance(model, DCell):
        return [model.root]
    if isinstance(model, DrugCell):
        return [model.drug(others[0]), *model.join, *model.last]
    beside: list[Step] = [others[0], *model.beside, model.end] if model.covariates else []
    return [model.last, model.end, *beside]


def _answer(
    state: Tensor, delta: Tensor, tail: list[Step]
) -> Tensor:  # [N, C], [K, N, C] -> [K, N]
    """The change of the answer by changes of the last states."""
    for step in tail:
        if isinstance(step, Tensor):
            state, delta = torch.cat([state, step], 1), F.pad(delta, (0, step.shape[1]))
        elif isinstance(step, nn.Linear):
            state, delta = step(state), delta @ step.weight.T
        elif isinstance(step, nn.BatchNorm1d):
            state, delta = step(state), delta * _scale(step, delta.shape[-1])
        else:
            name = "tanh" if isinstance(step, nn.Tanh) else FUNCTIONS[step]
            state, delta = step(state), ops.change_of(name, state, delta)
    return delta[..., 0]


def _fixed(rows: Tensor, instead: str | float) -> Tensor:  # [size]
    return rows.mean(1) if isinstance(instead, str) else torch.full_like(rows[:, 0], instead)


def _read(
    model: DCell | DrugCell | GenNet, x: Tensor, others: tuple[Tensor, ...], instead: str | float
) -> Subsystems | GenNet:
    """The network of terms, once everything fits it."""
    net = net_of_terms(model, x, others)
    if isinstance(net, GenNet) and not {net.bend, net.end} <= set(FUNCTIONS):
        raise ValueError(
            "model: a bend or end that is not torch's tanh, relu or sigmoid has no delta"
        )
    number = isinstance(instead, Real) and not isinstance(instead, bool) and isfinite(instead)
    if instead != "mean" and not number:
        raise ValueError(f"instead={instead!r}: 'mean', or a number that states are held at")
    return net


def _known(name: str, asked: Iterable[Any], there: Collection[Any]) -> list[Any]:
    """The names that are asked for, all of which are there."""
    if isinstance(asked, str):
        raise TypeError(f"{name}={asked!r}: give a list of names, such as [{asked!r}]")
    listed = list(asked)
    strange = [each for each in listed if each not in there]
    if strange:
        raise ValueError(
            f"{name}: {len(strange)} that this model has not: {', '.join(map(repr, strange[:5]))}; it has "
            f"{len(there)}, such as {', '.join(map(repr, islice(there, 3)))}"
        )
    return listed
