"""Where moved numbers come from: a chain of reshapes, cuts and gathers, asked backward for some places at its end.

The chain is not run, not even on indices, which for relative positions would be more than the matrix of
attention; each op says which place of what it reads a place of its result comes from. Places are one tensor of
numbers an axis, which broadcast, so that an axis that no op mixes with others (heads, as a rule) stays short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn.functional import pad

from nucleoscope.engine.attention.capture.axes import turned
from nucleoscope.engine.attention.capture.logits import NotCaptured, largest, source
from nucleoscope.engine.attention.capture.products import shape

aten = torch.ops.aten

Places = list[Tensor]  # one an axis
NONE = -1  # a place that is none of the numbers that moved: padding


def grid(size: Sequence[int], rows: range, columns: range, device: torch.device) -> Places:
    """The places of a tensor of this size in some of the rows and columns that its last two axes are."""
    ranges = [*(range(n) for n in size[:-2]), rows, columns]
    rank = len(size)
    return [
        torch.arange(each.start, each.stop, device=device).view([-1 if i == axis else 1 for i in range(rank)])
        for axis, each in enumerate(ranges)
    ]  # fmt: skip


def flat(places: Places, size: Sequence[int]) -> Tensor:
    """The number that each place has where a tensor of this size is laid out in a row."""
    counted = torch.zeros((), dtype=torch.int64)
    for each, n in zip(places, size, strict=True):
        counted = counted.to(each.device) * n + each if n > 1 else counted
    return counted


def origins(path: tuple[Node, ...], places: Places, held: dict[Node, Tensor]) -> Places:
    """The places that what stands at the end of a path came from, of the tensor that it begins at.

    `held` has the positions that gathers on the path read. Raises NotCaptured for padding, and for an op that
    is not followed.
    """
    for node in reversed(path):
        places = _STEPS[node.target](node, places, held)
    return places


def _reshaped(node: Any, places: Places, _: Any) -> Places:
    """Axes of both shapes fall into groups that hold the same numbers; within one, numbers are counted."""
    after, before = shape(node), shape(source(node))
    made: Places = []
    i = j = 0
    while j < len(before) or i < len(after):
        first, start = i, j
        i, j = min(i + 1, len(after)), min(j + 1, len(before))
        while (these := prod(after[first:i])) != (those := prod(before[start:j])):
            i, j = (i + 1, j) if these < those else (i, j + 1)
        made += _unravelled(
            flat(places[first:i], after[first:i]), before[start:j], places[0].device
        )
    return made


def _unravelled(number: Tensor, size: Sequence[int], device: torch.device) -> Places:
    made: Places = []
    wide = [axis for axis, n in enumerate(size) if n > 1]
    for axis, n in enumerate(size):
        if n == 1:
            made.append(torch.zeros((), dtype=torch.int64, device=device))
            continue
        inner = prod(size[axis + 1 :])
        part = number if inner == 1 else number // inner
        made.append(part if axis == wide[0] else part % n)
    return made


def _turned(node: Any, places: Places, _: Any) -> Places:
    made = list(places)
    for place, axis in zip(places, turned(node, len(places)), strict=True):
        made[axis] = place
    return made


def _expanded(node: Any, places: Places, _: Any) -> Places:
    before = shape(source(node))
    return _narrowed(places[len(places) - len(before) :], before)


def _narrowed(places: Places, size: Sequence[int]) -> Places:
    """Of an axis that holds one number for all, that one."""
    return [each if n > 1 else torch.zeros_like(each) for each, n in zip(places, size, strict=True)]


def _along(places: Places, axis: int, count: int, moved: Callable[[Tensor], Tensor]) -> Places:
    """An op that moves numbers along one axis of so many, asked by the numbers of its places."""
    told = moved(torch.arange(count, device=places[0].device))[places[axis]]
    if bool((told == NONE).any()):
        raise NotCaptured("padding stands beside the numbers of a product")
    return [*places[:axis], told, *places[axis + 1 :]]


def _cut(node: Any, places: Places, _: Any) -> Places:
    """slice and narrow."""
    axis = _given(node, 1, "dim", 0) % len(places)
    count = shape(source(node))[axis]
    if node.target is aten.narrow.default:
        return _along(places, axis, count, lambda told: told.narrow(0, *node.args[2:]))
    cut = slice(
        *(_given(node, at, name, None) for at, name in enumerate(("start", "end", "step"), 2))
    )
    return _along(places, axis, count, lambda told: told[cut])


def _selected(node: Any, places: Places, _: Any) -> Places:
    axis, index = node.args[1:3]
    before = shape(source(node))
    axis = int(axis) % len(before)
    one = torch.tensor(int(index) % before[axis], device=places[0].device)
    return [*places[:axis], one, *places[axis:]]


def _beside(node: Any, places: Places, _: Any) -> Places:
    """Of a cat, the largest part."""
    parts = [each for each in node.args[0] if isinstance(each, Node)]
    axis, it = _given(node, 1, "dim", 0) % len(places), parts.index(largest(node))
    sizes = [shape(each)[axis] for each in parts]
    ends = (sum(sizes[:it]), sum(sizes[it + 1 :]))
    return _along(places, axis, sizes[it], lambda told: pad(told, ends, value=NONE))


def _padded(node: Any, places: Places, _: Any) -> Places:
    if _given(node, 2, "mode", "constant") != "constant" and node.target is aten.pad.default:
        raise NotCaptured(f"numbers of a product are padded by {_given(node, 2, 'mode', '')}")
    pads = list(node.args[1])
    for back, at in enumerate(range(0, len(pads), 2)):
        axis, ends = len(places) - 1 - back, pads[at : at + 2]
        count = shape(source(node))[axis]
        places = _along(places, axis, count, partial(pad, pad=ends, value=NONE))
    return places


def _gathered(node: Any, places: Places, held: dict[Node, Tensor]) -> Places:
    """gather and take_along_dim; an index that is the same along an axis is read once there."""
    index, axis = (
        node.args[1:3] if node.target is aten.take_along_dim.default else node.args[2:0:-1]
    )
    axis = int(axis) % len(places)
    index = held[index]
    index = index.expand(
        [-1 if n == m else m for n, m in zip(index.shape, shape(node), strict=True)]
    )
    at = [
        p if step else p[(slice(0, 1),) * p.ndim] * 0
        for p, step in zip(places, index.stride(), strict=True)
    ]
    made = _narrowed(places, shape(source(node)))
    made[axis] = index[tuple(at)]
    return made


def _indexed(node: Any, places: Places, held: dict[Node, Tensor]) -> Places:
    """x[:, :, index]: indices of axes that follow one another."""
    listed = list(node.args[1])
    axes = [axis for axis, each in enumerate(listed) if each is not None]
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise NotCaptured("numbers of a product are read by indices of axes apart")
    indices = torch.broadcast_tensors(*(held[each] for each in listed if each is not None))
    begin, end = axes[0], axes[0] + indices[0].ndim
    sizes = shape(source(node))
    read = [
        index[tuple(places[begin:end])] % sizes[axis]
        for index, axis in zip(indices, axes, strict=True)
    ]
    return [*places[:begin], *read, *places[end:]]


def _index_selected(node: Any, places: Places, held: dict[Node, Tensor]) -> Places:
    axis = int(node.args[1]) % len(places)
    index, count = held[node.args[2]], shape(source(node))[axis]
    return _along(places, axis, count, lambda told: told[index])


def _flipped(node: Any, places: Places, _: Any) -> Places:
    for each in node.args[1]:
        axis = int(each) % len(places)
        places = _along(places, axis, shape(node)[axis], lambda told: told.flip(0))
    return places


def _rolled(node: Any, places: Places, _: Any) -> Places:
    axes = list(_given(node, 2, "dims", []))
    if not axes:
        raise NotCaptured("numbers of a product are rolled over all axes at once")
    for shift, each in zip(node.args[1], axes, strict=True):
        axis = each % len(places)
        places = _along(places, axis, shape(node)[axis], partial(torch.roll, shifts=shift))
    return places


def _strided(node: Any, places: Places, _: Any) -> Places:
    number = torch.tensor(_given(node, 3, "storage_offset", None) or 0, device=places[0].device)
    for each, step in zip(places, node.args[2], strict=True):
        number = number + each * step
    return _unravelled(number, shape(source(node)), places[0].device)


def _windowed(node: Any, places: Places, _: Any) -> Places:
    axis, step = int(node.args[1]) % (len(places) - 1), node.args[3]
    return [*places[:axis], places[axis] * step + places[-1], *places[axis + 1 : -1]]


def _given(node: Any, at: int, name: str, otherwise: Any) -> Any:
    return node.args[at] if len(node.args) > at else node.kwargs.get(name, otherwise)


_STEPS: dict[Any, Callable[[Any, Places, Any], Places]] = {
    **dict.fromkeys(
        (aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.unsqueeze.default,
         aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.flatten.using_ints,
         aten.unflatten.int), _reshaped),
    **dict.fromkeys(
        (aten.permute.default, aten.transpose.int, aten.mT.default, aten.movedim.int,
         aten.swapaxes.default, aten.numpy_T.default), _turned),
    aten.expand.default: _expanded, aten.slice.Tensor: _cut, aten.narrow.default: _cut,
    aten.select.int: _selected, aten.cat.default: _beside, aten.constant_pad_nd.default: _padded,
    aten.pad.default: _padded, aten.gather.default: _gathered, aten.take_along_dim.default: _gathered,
    aten.index.Tensor: _indexed, aten.index_select.default: _index_selected, aten.flip.default: _flipped,
    aten.roll.default: _rolled, aten.as_strided.default: _strided, aten.unfold.default: _windowed,
}  # fmt: skip
