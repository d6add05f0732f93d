"""What a value can be, as far as the graph alone tells: intervals, op by op."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from nucleoscope.engine.rules.registry import argument, aten


class Span(NamedTuple):
    """Numbers from low to high."""

    low: float
    high: float

    def over(self, other: Span) -> Span:
        """Both spans and what lies between."""
        return Span(min(self.low, other.low), max(self.high, other.high))

    def __mul__(self, other: Span) -> Span:  # type: ignore[override]
        ends = [a * b if a and b else 0.0 for a in self for b in other]
        return Span(min(ends), max(ends))


ANY = Span(-math.inf, math.inf)
Read = Callable[[Any], Span]  # a value of the graph, or a number -> what it can be


def span(arg: Any, known: dict[torch.fx.Node, Span] | None = None) -> Span:
    """What a value can be. Of weights nothing is known: a graph outlives their numbers."""
    known = {} if known is None else known
    if isinstance(arg, int | float):
        return Span(float(arg), float(arg))
    if not isinstance(arg, torch.fx.Node):
        return ANY
    if arg not in known:
        entry = SPANS.get(arg.target)
        known[arg] = entry(arg, lambda each: span(each, known)) if entry else ANY
    return known[arg]


def _first(node: torch.fx.Node, read: Read) -> Span:
    return read(node.args[0])


def _between(low: float, high: float) -> Callable[[torch.fx.Node, Read], Span]:
    return lambda _node, _read: Span(low, high)


def _rising(function: Callable[[float], float]) -> Callable[[torch.fx.Node, Read], Span]:
    """Of a function that never falls."""

    def entry(node: torch.fx.Node, read: Read) -> Span:
        return Span(*map(function, _first(node, read)))

    return entry


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def _sigmoid(x: float) -> float:
    return 0.5 + 0.5 * math.tanh(0.5 * x)


def _softplus(node: torch.fx.Node, read: Read) -> Span:
    low, high = _first(node, read)
    return Span(max(low, 0.0), max(high, 0.0) + math.log(2.0) / float(argument(node, 1, "beta", 1)))


def _elu(node: torch.fx.Node, read: Read) -> Span:  # noqa: ARG001
    return Span(-abs(argument(node, 1, "alpha", 1) * argument(node, 2, "scale", 1)), math.inf)


def _absolute(node: torch.fx.Node, read: Read) -> Span:
    low, high = _first(node, read)
    return Span(max(low, -high, 0.0), max(high, -low))


def _square(node: torch.fx.Node, read: Read) -> Span:
    size = _absolute(node, read)
    return size * size


def _root(node: torch.fx.Node, read: Read) -> Span:
    return Span(*(math.sqrt(max(end, 0.0)) for end in _first(node, read)))


def _reciprocal(node: torch.fx.Node, read: Read) -> Span:
    low, high = _first(node, read)
    return Span(1.0 / high, 1.0 / low) if low > 0.0 else ANY


def _power(node: torch.fx.Node, read: Read) -> Span:
    powers = {2: _square, 1: _first, 0.5: _root, -1: _reciprocal}
    entry = powers.get(node.args[1])  # type: ignore[arg-type]
    return entry(node, read) if entry else ANY


def _clamp(node: torch.fx.Node, read: Read) -> Span:
    given = _first(node, read)
    bounds = [argument(node, 1, "min", None), argument(node, 2, "max", None)]
    if node.target is aten.clamp_max.default:
        bounds = [None, node.args[1]]
    if node.target is aten.hardtanh.default:
        bounds = [argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0)]
    least, most = (n if isinstance(n, int | float) else None for n in bounds)
    low, high = given
    if least is not None:
        low, high = max(low, least), max(high, least)
    if most is not None:
        low, high = min(low, most), min(high, most)
    return Span(low, high)


def _larger(node: torch.fx.Node, read: Read) -> Span:
    a, b = _first(node, read), read(node.args[1])
    choose = max if node.target is aten.maximum.default else min
    return Span(choose(a.low, b.low), choose(a.high, b.high))


def _sum_of_two(node: torch.fx.Node, read: Read) -> Span:
    sign = -1.0 if node.target in (aten.sub.Tensor, aten.sub.Scalar) else 1.0
    factor = sign * float(argument(node, 2, "alpha", 1))
    a, b = read(node.args[0]), read(node.args[1]) * Span(factor, factor)
    return Span(a.low + b.low, a.high + b.high)


def _negative(node: torch.fx.Node, read: Read) -> Span:
    """-a, or b - alpha a."""
    other = read(argument(node, 1, "other", 0.0))
    factor = -float(argument(node, 2, "alpha", 1))
    a = _first(node, read) * Span(factor, factor)
    return Span(other.low + a.low, other.high + a.high)


def _product(node: torch.fx.Node, read: Read) -> Span:
    if node.args[0] is node.args[1]:
        return _square(node, read)
    return _first(node, read) * read(node.args[1])


def _quotient(node: torch.fx.Node, read: Read) -> Span:
    low, high = read(node.args[1])
    return _first(node, read) * Span(1.0 / high, 1.0 / low) if low > 0.0 else ANY


def _sum(node: torch.fx.Node, read: Read) -> Span:
    """Of at least one number."""
    low, high = _first(node, read)
    return Span(low if low >= 0.0 else -math.inf, high if high <= 0.0 else math.inf)


def _average_pool(node: torch.fx.Node, read: Read) -> Span:
    given = _first(node, read)
    padding: Any = argument(node, 3, "padding", 0)
    if argument(node, 6, "divisor_override", None) is not None:
        return ANY
    return given.over(Span(0.0, 0.0)) if padding not in (0, [0], [0, 0]) else given


def _pad(node: torch.fx.Node, read: Read) -> Span:
    filled = argument(node, 3 if node.target is aten.pad.default else 2, "value", 0.0)
    return _first(node, read).over(read(0.0 if filled is None else filled))


def _concat(node: torch.fx.Node, read: Read) -> Span:
    parts: Any = node.args[0]
    spans = list(map(read, parts))
    return Span(min(s.low for s in spans), max(s.high for s in spans))


SPANS: dict[Any, Callable[[torch.fx.Node, Read], Span]] = {
    aten.relu.default: _rising(lambda x: max(x, 0.0)),
    aten.relu6.default: _rising(lambda x: min(max(x, 0.0), 6.0)),
    aten.softplus.default: _softplus,
    aten.sigmoid.default: _rising(_sigmoid),
    aten.tanh.default: _rising(math.tanh),
    aten.exp.default: _rising(_exp),
    aten.softmax.int: _between(0.0, 1.0),
    aten._softmax.default: _between(0.0, 1.0),
    aten.sign.default: _rising(lambda x: float((x > 0.0) - (x < 0.0))),
    aten.silu.default: _between(-0.28, math.inf),
    aten.gelu.default: _between(-0.18, math.inf),
    aten.elu.default: _elu,
    aten.abs.default: _absolute,
    aten.square.default: _square,
    aten.sqrt.default: _root,
    aten.reciprocal.default: _reciprocal,
    aten.pow.Tensor_Scalar: _power,
    aten.neg.default: _negative,
    aten.cat.default: _concat,
    **dict.fromkeys((aten.rsub.Scalar, aten.rsub.Tensor), _negative),
    **dict.fromkeys(
        (aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default, aten.hardtanh.default),
        _clamp,
    ),
    **dict.fromkeys(
        (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar), _sum_of_two
    ),
    **dict.fromkeys((aten.maximum.default, aten.minimum.default), _larger),
    **dict.fromkeys((aten.mul.Tensor, aten.mul.Scalar), _product),
    **dict.fromkeys((aten.div.Tensor, aten.div.Scalar), _quotient),
    **dict.fromkeys((aten.avg_pool1d.default, aten.avg_pool2d.default), _average_pool),
    **dict.fromkeys((aten.constant_pad_nd.default, aten.pad.default), _pad),
    aten.sum.dim_IntList: _sum,
    **dict.fromkeys(
        (
            aten.view.default, aten._unsafe_view.default, aten.reshape.default,
            aten.flatten.using_ints, aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default,
            aten.unsqueeze.default, aten.unflatten.int, aten.clone.default, aten.contiguous.default,
            aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default,
            aten.permute.default, aten.transpose.int, aten.select.int, aten.slice.Tensor,
            aten.flip.default, aten.max_pool1d.default, aten.max_pool2d.default,
            aten.adaptive_avg_pool1d.default, aten.mean.dim, aten.expand.default, aten.amax.default,
            aten.repeat_interleave.self_int, aten.upsample_nearest1d.vec,
            aten._upsample_nearest_exact1d.vec, aten.upsample_linear1d.vec,
        ),
        _first,
    ),
}  # fmt: skip
