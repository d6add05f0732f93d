"""The traced model as the engine sees it: nodes, their axes, and who can be edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nucleoscope.engine.windows import SAME, Lattice, Reach, Stencil, whole

if TYPE_CHECKING:
    import torch.fx
    from torch.export import ExportedProgram

    from nucleoscope.engine.chain import Place
    from nucleoscope.engine.step import Step
    from nucleoscope.ops import Link


Static = Callable[[str], Tensor]  # a constant of the model by node name; "" an empty tensor


class Untraceable(Exception):
    """The model cannot be exported; the message says why and at which line."""


class FixedBatch(Untraceable):
    """The model takes one sequence at a time only."""


class NotLocal(Exception):
    """This op ends locality here; the message says why."""


@dataclass(frozen=True)
class Axes:
    """One sample's shape, and where the length lies in it: the sample viewed as [left, length, right].

    Engine rows are [length, channels] with channels = (left, right) in this order, so that a reshape
    never moves a number and a permute that only moves the length axis does not either.
    """

    shape: tuple[int, ...]
    left: int
    length: int
    right: int

    @property
    def channels(self) -> int:
        """Numbers per position."""
        return self.left * self.right

    @property
    def dim(self) -> int | None:
        """Which dimension of the sample is the length; None where it is merged with others."""
        if self.length == 1:
            return None
        for i, size in enumerate(self.shape):
            if size == self.length and prod(self.shape[i + 1 :]) == self.right:
                return i
        return None

    def cell(self, dim: int) -> int | None:
        """Neighbours along this dimension, where the length is split into it and the one before."""
        if self.length == 1 or not 0 < dim < len(self.shape) or self.dim is not None:
            return None
        around = prod(self.shape[: dim - 1]), prod(self.shape[dim + 1 :])
        return self.shape[dim] if around == (self.left, self.right) else None

    def with_length(self, length: int) -> Axes:
        """The same axes with another length."""
        dim = self.dim
        if dim is None:
            raise NotLocal("the length axis is merged with another axis here")
        shape = (*self.shape[:dim], length, *self.shape[dim + 1 :])
        return vector(shape) if length == 1 else Axes(shape, self.left, length, self.right)

    def on(self, lattice: Lattice) -> Axes:
        """The axes of those positions alone."""
        if lattice == whole(self.length):
            return self
        many = lattice.count(self.length)
        return Axes((self.left, many, self.right), self.left, many, self.right)

    def cube(self, value: Tensor) -> Tensor:
        """A batch [N, *shape] as [N, length, left, right], where it lies."""
        return value.reshape(len(value), self.left, self.length, self.right).transpose(1, 2)

    def rows(self, value: Tensor) -> Tensor:
        """A batch [N, *shape] as rows [N, length, channels], contiguous."""
        return self.cube(value).reshape(len(value), self.length, self.channels).contiguous()


def batch_dim(node: torch.fx.Node) -> int | None:
    """Which dimension of a traced value is the batch; None where it has none."""
    sizes = [i for i, size in enumerate(node.meta["val"].shape) if not isinstance(size, int)]
    if len(sizes) > 1 or (sizes and not str(node.meta["val"].shape[sizes[0]]).isidentifier()):
        raise NotLocal(f"{node.name} mixes the batch with another dimension")
    return sizes[0] if sizes else None


def vector(shape: Sequence[int]) -> Axes:
    """Axes of a sample without a length: one row."""
    return Axes(tuple(shape), 1, 1, prod(shape))


@dataclass(frozen=True)
class Thin:
    """An input of which only some positions are there."""

    lattice: Lattice
    length: int  # how many there are
    reach: Reach  # how they map to the outputs that are made

    @property
    def stencil(self) -> Stencil:
        """The same where it is no flip."""
        assert isinstance(self.reach, Stencil)
        return self.reach


@dataclass(frozen=True)
class Rule:
    """How a delta passes one op; `engine/rules/` holds one class an op family.

    As it stands: each output position looks at its own input position, no original activation is read,
    there are no weights, and the arithmetic is not worth counting.
    """

    inputs: tuple[str, ...]  # the edited nodes whose deltas it takes
    axes: Axes  # of what it makes
    reads: tuple[str, ...]  # the values whose originals it looks at: not what they are aliases of

    def reach(self, index: int) -> Reach:
        """How the index-th input's positions map to its outputs."""
        return SAME

    def steps(self, index: int) -> bool:
        """Whether its op takes the index-th input by any stride and pad, not only by its own `reach`."""
        return False

    def looks(self, index: int) -> int | None:
        """By which input's positions it looks at the index-th original it reads; None: its output's."""
        return None

    @property
    def thins(self) -> bool:
        """Whether `thin` is right: it is the rule's own, or the rule goes position by position."""
        kind = type(self)
        return kind.thin is not Rule.thin or kind.reach is Rule.reach

    def thin(self, made: Lattice, given: Sequence[Thin]) -> Rule:
        """The same rule where only the outputs on a lattice are made, of inputs on lattices."""
        return replace(self, axes=self.axes.on(made))

    def pack(self, static: Static) -> Any:
        """Weights in the form `delta` wants, made once per set of weights."""
        return None

    def round(self, packed: Any, precision: str) -> Any:
        """The packed weights for products of "tf32" or "bf16": as they are, where deltas are not multiplied."""
        return packed

    @property
    def chained(self) -> bool:
        """Whether a compiled op takes its deltas: `link` says which. Otherwise `delta` does."""
        return False

    @property
    def looks_up(self) -> bool:
        """Whether it reads the edited letters themselves, not their columns."""
        return False

    def on_columns(self) -> Rule:
        """The same rule where edits are more than one letter: it takes the edited columns' delta."""
        return self

    def link(self, place: Place) -> Link:
        """The compiled op as a link of a chain."""
        raise NotImplementedError

    def delta(self, step: Step) -> Tensor:
        """The output's delta on ``step.rows``: [W, S, E, C]."""
        raise NotImplementedError

    def work(self, rows_in: int, rows_out: int) -> int:
        """Multiply-adds of one edit whose window goes from rows_in to rows_out positions."""
        return 0


@dataclass(frozen=True)
class Node:
    """One value of the traced model.

    role: ``static`` depends on neither input; ``original`` on the other inputs only; ``ripple`` has a
    delta; ``tail`` lies behind a seam and is recomputed; ``size`` follows the size of the batch alone.
    """

    name: str
    role: str
    source: str  # the user's line that made it
    axes: Axes | None = None
    rule: Rule | None = None
    alias: str | None = None  # a ripple whose rows are another node's rows
    reason: str = ""  # why locality ends, for the nodes that end it
    module: str = ""  # the submodule that made it, as the user names it


@dataclass(frozen=True)
class Graph:
    """A traced model: its program, its nodes in order, and where an edit enters and leaves."""

    program: ExportedProgram
    nodes: dict[str, Node]
    edited: str  # the sequence input
    others: tuple[str, ...]  # further inputs, per sample
    output: str

    @property
    def fx(self) -> list[torch.fx.Node]:
        """The program's nodes in order."""
        return list(self.program.graph.nodes)

    def resolve(self, name: str) -> str:
        """The node whose rows this one shares."""
        while (alias := self.nodes[name].alias) is not None:
            name = alias
        return name

    @property
    def seams(self) -> list[Node]:
        """The nodes where locality ends, in order."""
        return [n for n in self.nodes.values() if n.reason]

    @property
    def needed(self) -> list[str]:
        """Rippling nodes with a rule that the output or the tail reads, in order."""
        wanted = {self.resolve(n) for n in self.frontier}
        if self.nodes[self.output].role == "ripple":
            wanted.add(self.resolve(self.output))
        for name in reversed(list(self.nodes)):
            rule = self.nodes[name].rule
            if name in wanted and rule is not None:
                wanted.update(rule.inputs)
        return [n for n, node in self.nodes.items() if n in wanted and node.rule is not None]

    @property
    def frontier(self) -> list[str]:
        """Rippling nodes that the tail reads: laid into their originals before it runs."""
        read = {
            a.name
            for n in self.fx
            if n.op == "call_function" and self.nodes[n.name].role == "tail"
            for a in n.all_input_nodes
        }
        return [n for n in self.nodes if n in read and self.nodes[n].role == "ripple"]
