"""What a softmax is taken of, read backward off the graph: products, biases, masks, a soft cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import torch
from torch.fx import Node

from nucleoscope.engine.attention.capture.products import Product, product, shape

aten = torch.ops.aten

SAME = {  # the same numbers at the same places
    aten.clone.default, aten.contiguous.default, aten._to_copy.default, aten.to.dtype, aten.to.device,
    aten.to.dtype_layout, aten.type_as.default, aten.dropout.default, aten.alias.default, aten.detach.default,
    aten.lift_fresh_copy.default, aten.detach_.default, aten.feature_dropout.default,
}  # fmt: skip
LAYOUT = {  # the same numbers at other places, or some of them, or zeros beside them
    aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.unsqueeze.default,
    aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.expand.default, aten.permute.default,
    aten.transpose.int, aten.flatten.using_ints, aten.unflatten.int, aten.slice.Tensor, aten.select.int,
    aten.narrow.default, aten.cat.default, aten.constant_pad_nd.default, aten.pad.default, aten.gather.default,
    aten.index.Tensor, aten.index_select.default, aten.flip.default, aten.roll.default,
    aten.take_along_dim.default,
    aten.as_strided.default, aten.mT.default, aten.movedim.int, aten.swapaxes.default, aten.unfold.default,
    aten.numpy_T.default,
}  # fmt: skip
HIDDEN = -1e4  # a logit that is lower by this has no weight in any number type


class NotCaptured(ValueError):
    """Attention whose weights cannot be taken apart into queries and keys; the message says why."""


@dataclass(frozen=True)
class Scale:
    """A tensor that logits are multiplied by: one number for all keys of a query."""

    node: Node
    divides: bool


Scales = tuple[Scale, ...]


@dataclass(frozen=True)
class Term:
    """A product that goes into the logits: times a factor, through ops that only move or scale numbers."""

    product: Product
    factor: float
    path: tuple[Node, ...]  # from the product on
    at: Node  # the node whose axes are those of the logits
    capped: bool
    scales: Scales = ()


@dataclass(frozen=True)
class Bias:
    """What is added to the logits."""

    node: Node
    factor: float
    capped: bool  # before the soft cap
    scales: Scales = ()


@dataclass(frozen=True)
class Mask:
    """Which keys a query sees."""

    node: Node
    seen: bool  # True where a key is seen, else where it is hidden
    value: Any  # what hides: a number, or a node
    scales: Scales = ()


@dataclass
class Logits:
    """All of it; in the order of `Scores`: products, biases, soft cap, masks."""

    terms: list[Term] = field(default_factory=list)
    biases: list[Bias] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    softcap: float | None = None
    capped: bool = False  # whether what is read now lies within the soft cap
    scales: Scales = ()  # what is read now is multiplied by these as well

    @property
    def all_scales(self) -> Scales:
        """Of all that is read."""
        parts: list[Term | Bias | Mask] = [*self.terms, *self.biases, *self.masks]
        return tuple(scale for part in parts for scale in part.scales)

    def read(self, node: Node, factor: float = 1.0) -> None:
        """Go on backward from a node that counts `factor` times. Raises NotCaptured."""
        if (made := product(node)) is not None:
            times = factor * float(node.kwargs.get("alpha", 1))  # type: ignore[arg-type]
            self.terms.append(Term(made, times, (), node, self.capped, self.scales))
            if node.target is aten.baddbmm.default and (beta := node.kwargs.get("beta", 1)):
                self._side(node.args[0], factor * float(beta))  # type: ignore[arg-type]
        elif node.target in SAME or moves_heads_only(node):
            self.read(source(node), factor)
        elif node.target in LAYOUT and (term := moved(node, factor, self.capped)) is not None:
            self.terms.append(replace(term, scales=self.scales))
        elif (step := STEPS.get(node.target)) is not None:
            step(self, node, factor)
        else:
            self.bias(node, factor)

    def bias(self, node: Node, factor: float) -> None:
        """Keep what a node holds as it is."""
        self.biases.append(Bias(node, factor, self.capped, self.scales))

    def _side(self, node: Any, factor: float) -> None:
        if not isinstance(node, Node):
            return  # the same number for every key changes no weight
        self.read(node, factor)


def source(node: Node) -> Node:
    """The first tensor that a node reads."""
    read = node.all_input_nodes
    if not read:
        raise NotCaptured(f"{node.target} reads nothing")
    return read[0]


def moves_heads_only(node: Node) -> bool:
    """Whether a reshape leaves the last two axes, those of queries and keys, as they are."""
    views = {
        aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.unsqueeze.default,
        aten.squeeze.dim, aten.squeeze.default, aten.squeeze.dims, aten.flatten.using_ints,
        aten.unflatten.int, aten.expand.default,
    }  # fmt: skip
    if node.target not in views:
        return False
    before, after = shape(source(node)), shape(node)
    same = len(before) >= 2 and before[-2:] == after[-2:] and len(after) >= 2
    return same and torch.Size(before).numel() == torch.Size(after).numel()


def moved(node: Node, factor: float, capped: bool) -> Term | None:
    """A product whose numbers are moved to this node; None where something else is."""
    path: list[Node] = []
    at = node
    while at.target in LAYOUT or at.target in SAME or _scaled(at) is not None:
        if (times := _scaled(at)) is not None:
            factor *= times
        elif at.target in LAYOUT:
            path.append(at)
        at = largest(at) if at.target is aten.cat.default else source(at)
    made = product(at)
    if made is None or at.target is aten.baddbmm.default:  # whose other tensor is moved as well
        return None
    return Term(made, factor, tuple(reversed(path)), node, capped)


def largest(cat: Node) -> Node:
    """The part of a cat that is followed."""
    return max(cat.all_input_nodes, key=lambda each: torch.Size(shape(each)).numel())


def _scaled(node: Node) -> float | None:
    """The number that a node multiplies its input by; None where it does something else."""
    if node.target not in (aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar):
        return None
    by = node.args[1]
    if not isinstance(by, Real):
        return None
    return float(by) if node.target in (aten.mul.Tensor, aten.mul.Scalar) else 1.0 / float(by)


def _times(logits: Logits, node: Node, factor: float) -> None:
    times = _scaled(node)
    if times is not None:
        logits.read(source(node), factor * times)
    elif (found := _scale(node)) is not None:
        inner, scale = found
        outside = logits.scales
        logits.scales = (*outside, scale)
        logits.read(inner, factor)
        logits.scales = outside
    else:
        logits.bias(node, factor)


def _scale(node: Node) -> tuple[Node, Scale] | None:
    """What a node multiplies, and the tensor that it multiplies it by; None where that differs from key to key."""
    first, second = node.args[:2]
    if not (isinstance(first, Node) and isinstance(second, Node)):
        return None
    if shape(first) == shape(node) and shape(second)[-1:] in ((), (1,)):
        return first, Scale(second, node.target is aten.div.Tensor)
    multiplies = node.target is aten.mul.Tensor
    if multiplies and shape(second) == shape(node) and shape(first)[-1:] in ((), (1,)):
        return second, Scale(first, False)
    return None


def _plus(logits: Logits, node: Node, factor: float) -> None:
    first, second = node.args[:2]
    if node.target is aten.sub.Tensor and _is_largest(second):
        logits._side(first, factor)  # the same for all keys of a query
        return
    sign = -1.0 if node.target is aten.sub.Tensor else 1.0
    logits._side(first, factor)
    logits._side(second, factor * sign * float(node.kwargs.get("alpha", 1)))  # type: ignore[arg-type]


def _is_largest(node: Any) -> bool:
    """Whether a node is the largest of each query's logits, that exponentials stay finite."""
    while isinstance(node, Node) and node.target in SAME:
        node = source(node)
    return isinstance(node, Node) and node.target is aten.amax.default and shape(node)[-1:] == (1,)


def _hide(logits: Logits, node: Node, factor: float) -> None:
    held, mask, value = node.args
    _check_hidden(value, factor)
    logits.masks.append(Mask(mask, False, value, logits.scales))  # type: ignore[arg-type]
    logits._side(held, factor)


def _choose(logits: Logits, node: Node, factor: float) -> None:
    mask, yes, no = node.args
    numbers = [isinstance(n, Node) and len(shape(n)) >= 2 for n in (yes, no)]
    if numbers[0] == numbers[1]:  # not one side that is hidden by one number
        logits.bias(node, factor)
        return
    seen = numbers[0]
    held, value = (yes, no) if seen else (no, yes)
    _check_hidden(value, factor)
    logits.masks.append(Mask(mask, seen, value, logits.scales))  # type: ignore[arg-type]
    logits._side(held, factor)


def _check_hidden(value: Any, factor: float) -> None:
    if isinstance(value, Real) and float(value) * factor > HIDDEN:
        raise NotCaptured(f"masked logits become {value}, which still has weight")


def _cap(logits: Logits, node: Node, factor: float) -> None:
    if logits.softcap is not None or logits.terms or logits.scales:
        raise NotCaptured("tanh in the logits beside something else")
    logits.softcap, logits.capped = factor, True
    logits.read(source(node), factor)
    logits.capped = False


def _minus(logits: Logits, node: Node, factor: float) -> None:
    logits.read(source(node), -factor)


Step = Callable[[Logits, Node, float], None]
STEPS: dict[Any, Step] = {
    aten.mul.Tensor: _times, aten.mul.Scalar: _times, aten.div.Tensor: _times, aten.div.Scalar: _times,
    aten.add.Tensor: _plus, aten.sub.Tensor: _plus, aten.add.Scalar: _plus, aten.neg.default: _minus,
    aten.masked_fill.Scalar: _hide, aten.masked_fill.Tensor: _hide,
    aten.where.self: _choose, aten.where.ScalarOther: _choose, aten.where.ScalarSelf: _choose,
    aten.tanh.default: _cap,
}  # fmt: skip
