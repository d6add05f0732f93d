"""How an op makes some positions of its output from some of its inputs', where that is known."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.engine.graph import Axes, Graph, Rule
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.rules.layout import Channels, Move
from nucleoscope.engine.rules.norm import Softmax
from nucleoscope.engine.rules.picked import Picked
from nucleoscope.engine.rules.pool import AveragePool, MaxPool
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.windows import SAME, Mirror, Reach, Stencil

Run = Callable[..., Any]  # (op, arguments, keyword arguments) with traced values as arguments

# Position by position, where their lowering found the length to be on an axis of its own.
BY_POSITION = (
    operator.getitem, aten.alias.default, aten.detach.default, aten.dropout.default,
    aten.contiguous.default, aten.lift_fresh_copy.default, aten._to_copy.default, aten.to.dtype,
    aten.permute.default, aten.transpose.int, aten.unsqueeze.default, aten.linear.default,
    aten.layer_norm.default, aten.cat.default,
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """An input of an op at the positions that are there."""

    value: Any
    cut: Cut
    axes: Axes

    def at(self, wanted: Cut) -> Any:
        """Its value at some of them."""
        if wanted == self.cut or self.axes.dim is None:
            return self.value
        return self.value[(slice(None),) * (self.axes.dim + 1) + (self.cut.index(wanted),)]

    def whole(self) -> Tensor:
        """Its value laid out whole; NaN where it was not made."""
        made: Tensor = self.value
        if self.axes.dim is None or self.cut == Cut.whole(self.axes.length):
            return made
        laid = made.new_full((len(made), *self.axes.shape), torch.nan)
        there = Cut.whole(self.axes.length).index(self.cut)
        laid[(slice(None),) * (self.axes.dim + 1) + (there,)] = made
        return laid

    def filled(self, wanted: Cut, fill: float) -> Tensor:
        """Its value at positions of which those beyond the layer's ends are `fill`."""
        assert self.axes.dim is not None
        inside = wanted.within(self.axes.length)
        made: Tensor = (
            self.at(inside) if inside.count else self.value.narrow(self.axes.dim + 1, 0, 0)
        )
        if inside == wanted:
            return made
        before = (inside.first - wanted.first) // wanted.step if inside.count else wanted.count
        sides = [0, 0] * (len(self.axes.shape) - 1 - self.axes.dim)
        sides += [before, wanted.count - inside.count - before]
        return F.pad(made, sides, value=fill)


@dataclass(frozen=True)
class Way:
    """How an op makes some positions of its output from some of its input's: here, from the same ones."""

    axes: Axes  # of all its output
    reach: Reach = SAME

    def make(self, node: torch.fx.Node, made: Cut, given: Given, run: Run) -> Any:  # noqa: ARG002
        """The output at `made`; `given` is the first argument, `run` takes all arguments there."""
        return run(node.target, node.args, node.kwargs)


class Reshaped(Way):
    """The same numbers in another shape, which names the length."""

    def make(self, node: torch.fx.Node, made: Cut, given: Given, run: Run) -> Any:  # noqa: ARG002
        value = given.at(made)
        return value.reshape(len(value), *self.axes.with_length(made.count).shape)


class Spread(Way):
    """Channels broadcast over others, in a shape that names the length."""

    def make(self, node: torch.fx.Node, made: Cut, given: Given, run: Run) -> Any:  # noqa: ARG002
        value = given.at(made)
        return value.expand(len(value), *self.axes.with_length(made.count).shape)


# A squeeze that leaves the length, being long, would take it off where one position is made.
SHAPED: dict[Any, type[Way]] = {
    aten.view.default: Reshaped,
    aten._unsafe_view.default: Reshaped,
    aten.reshape.default: Reshaped,
    aten.unflatten.int: Reshaped,
    aten.squeeze.dim: Reshaped,
    aten.squeeze.dims: Reshaped,
    aten.expand.default: Spread,
}


@dataclass(frozen=True)
class Moved(Way):
    """A slice, a pad or a flip."""

    fill: float = 0.0

    def make(self, node: torch.fx.Node, made: Cut, given: Given, run: Run) -> Any:  # noqa: ARG002
        value = given.filled(made.read(self.reach), self.fill)
        if isinstance(self.reach, Mirror):
            dims: Any = node.args[1]
            return value.flip(dims)
        return value.reshape(len(value), *self.axes.shape) if self.axes.dim is None else value


@dataclass(frozen=True)
class Windowed(Way):
    """A convolution or a pool: its own op with the stride and dilation that it has on these positions."""

    op: Any = None
    fill: float = 0.0

    def make(self, node: torch.fx.Node, made: Cut, given: Given, run: Run) -> Any:
        assert isinstance(self.reach, Stencil)
        wanted = made.read(self.reach)
        value, s = given.filled(wanted, self.fill), wanted.stencil(made, self.reach)
        if self.op is aten.conv1d.default:
            bias = node.args[2] if len(node.args) > 2 else None
            groups = node.args[6] if len(node.args) > 6 else 1
            given_args = (value, node.args[1], bias, [s.stride], [0], [s.dilation], groups)
            return run(self.op, given_args, {})
        rest = ([0], [s.dilation]) if self.op is aten.max_pool1d.default else ([0],)
        return run(self.op, (value, [s.taps], [s.stride], *rest), {})


def way(graph: Graph, node: torch.fx.Node) -> Way | None:
    """How an op makes some of its positions; None where it is run on all of them."""
    own = graph.nodes[node.name]
    axes, rule = own.axes, own.rule
    given = [graph.nodes[a.name].axes for a in node.all_input_nodes if ripples(graph, a)]
    if own.role != "ripple" or axes is None or not given or any(g is None for g in given):
        return None
    sources = [g for g in given if g is not None]
    if sources[0].dim is None:
        return None
    if isinstance(rule, Move):
        filled = node.target in (aten.constant_pad_nd.default, aten.pad.default)
        return Moved(axes, rule.where, float(_fill(node)) if filled else 0.0)
    if axes.dim is None:
        return None
    if len(sources) == 1 and len(axes.shape) == 2 and axes.dim == sources[0].dim == 1:
        windowed = _windowed(axes, rule, node.target)
        if windowed is not None:
            return windowed
    if node.target in SHAPED and sources[0].length == axes.length:
        return SHAPED[node.target](axes)
    return Way(axes) if _by_position(node, axes, sources, rule) else None


def _fill(node: torch.fx.Node) -> Any:
    at = 2 if node.target is aten.constant_pad_nd.default else 3
    given = node.args[at] if len(node.args) > at else node.kwargs.get("value")
    return given or 0.0


def _windowed(axes: Axes, rule: Rule | None, op: Any) -> Windowed | None:
    if op in (aten.conv1d.default, aten.conv1d.padding) and isinstance(rule, Conv):
        return Windowed(axes, rule.stencil, aten.conv1d.default)
    if op is aten.max_pool1d.default and isinstance(rule, MaxPool):
        return Windowed(axes, rule.stencil, op, -math.inf)
    if op is aten.avg_pool1d.default and isinstance(rule, AveragePool):
        even = set(rule.divisors) == {float(rule.stencil.taps)}
        return Windowed(axes, rule.stencil, op) if even else None
    return None


def _by_position(node: torch.fx.Node, axes: Axes, sources: list[Axes], rule: Rule | None) -> bool:
    """Whether each position of the output is made of that position of the inputs alone, by the op as it is."""
    op: Any = node.target
    behind = _behind(axes)
    if any(
        s.length != axes.length and behind < len(s.shape) and s.shape[-1 - behind] != 1
        for s in sources
    ):
        return False  # a value without positions that has a number for each
    along = [s for s in sources if s.length > 1]
    if any(s.dim is None or s.length != axes.length for s in along):
        return False
    if broadcasts(op):
        return all(_behind(s) == behind for s in along)
    if op is aten._native_batch_norm_legit_no_training.default:
        return axes.dim != 0
    of_channels = isinstance(rule, Softmax | Channels | Picked) or op in (
        aten.slice.Tensor,
        aten.select.int,
    )
    return op in BY_POSITION or of_channels


def broadcasts(op: Any) -> bool:
    """Whether an op takes its arguments number by number, or lays them side by side."""
    return op is aten.cat.default or torch.Tag.pointwise in getattr(op, "tags", ())


def _behind(axes: Axes) -> int:
    """How many dimensions lie behind the length."""
    assert axes.dim is not None
    return len(axes.shape) - 1 - axes.dim


def ripples(graph: Graph, node: torch.fx.Node) -> bool:
    """Whether an edit reaches a value."""
    return graph.nodes[node.name].role == "ripple"


def constant_at(value: Any, axes: Axes, made: Cut) -> Any:
    """A constant that is broadcast, at some positions, if it has a number for each."""
    behind = _behind(axes)
    if not isinstance(value, Tensor) or value.ndim <= behind or value.shape[-1 - behind] == 1:
        return value
    where: Any = (..., Cut.whole(axes.length).index(made), *(slice(None),) * behind)
    return value[where]
