"""Which numbers of the output are asked about, as one linear reading of it per target."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.graph import Axes
from nucleoscope.engine.rows import Delta, fill_rows
from nucleoscope.engine.transfer import sent
from nucleoscope.engine.windows import WHOLE, Lattice

Index = Any  # int, slice, mask, tuple of them, or None


class Target:
    """The mean of the selected outputs, per target: what one score is the change of.

    `target` indexes one sample's output: an int or slice its first axis, a tuple several axes, a boolean
    mask its first axes, None everything; a list asks for several targets at once.
    """

    def __init__(self, target: Index | list[Index], shape: tuple[int, ...]) -> None:
        asked = target if isinstance(target, list) else [target]
        self.picks = [_pick(one, shape) for one in asked]  # per target [K] flat indices

    @classmethod
    def side_by_side(cls, targets: list[tuple[int, Target]]) -> Target:
        """Targets of several tensors that lie flat one after the other: (where it begins, its targets)."""
        made = cls([], ())
        made.picks = [pick + begin for begin, target in targets for pick in target.picks]
        return made

    def __len__(self) -> int:
        return len(self.picks)

    def of_values(self, values: Tensor) -> Tensor:
        """[B, *shape] -> [B, T]."""
        flat = values.reshape(len(values), -1)
        full = flat.shape[1]
        picks = [p.to(flat.device) for p in self.picks]
        if all(len(p) == 1 for p in picks):
            return flat[:, torch.cat(picks)]
        return torch.stack([(flat if len(p) == full else flat[:, p]).mean(1) for p in picks], 1)

    def cone(self, axes: Axes) -> tuple[int, int]:
        """The positions of the output that any target reads: their hull."""
        positions = self._positions(axes)
        return int(positions.min()), int(positions.max()) + 1

    def lattice(self, axes: Axes) -> Lattice:
        """The coarsest lattice of positions that holds all that any target reads."""
        positions = self._positions(axes)
        first = positions.min()
        return Lattice.through(int(first), int(np.gcd.reduce(positions - first)))

    def _positions(self, axes: Axes) -> np.ndarray[Any, Any]:
        return np.concatenate([self.places(p, axes)[0] for p in self.picks])

    @staticmethod
    def places(pick: Tensor, axes: Axes) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(position, channel) of each picked number."""
        flat = pick.numpy()
        rest, right = flat // axes.right, flat % axes.right
        return rest % axes.length, rest // axes.length * axes.right + right

    def reader(self, axes: Axes, like: Tensor, made: Lattice = WHOLE) -> Reader:
        """The same reading for deltas of an output with these axes, which is made on a lattice."""
        weights = torch.zeros(axes.length, axes.channels, len(self.picks), dtype=torch.float64)
        for at, pick in enumerate(self.picks):
            position, channel = (torch.from_numpy(p) for p in self.places(pick, axes))
            weights[position, channel, at] = 1.0 / len(pick)
        weights = weights[made.cut]
        even = bool((weights == weights[:1]).all())
        return Reader((weights[0] if even else weights).to(like), even)


class Reader:
    """Reads targets off the deltas of the output layer."""

    def __init__(self, weights: Tensor, even: bool) -> None:
        self.weights = weights  # [C, T], or [length, C, T] where positions count differently
        self.even = even

    def __call__(self, delta: Delta) -> Tensor:
        """Delta on the output's rows -> [S, E, T]."""
        if self.even:
            return delta.values.sum(0) @ self.weights
        rows = delta.rows
        position = np.clip(rows.positions, 0, rows.length - 1)
        weights = self.weights[sent(position, self.weights.device)]  # [W, S, C, T]
        if rows.outside is not None:
            weights = fill_rows(weights.contiguous(), rows.outside, 0.0)
        return torch.einsum("wsec,wsct->set", delta.values, weights)


def _pick(target: Index, shape: tuple[int, ...]) -> Tensor:
    if type(target) is int and len(shape) == 1 and -shape[0] <= target < shape[0]:
        return torch.tensor([target % shape[0]])  # the common one, without a list of all numbers
    numbers = torch.arange(prod(shape)).view(shape)
    if target is None:
        return numbers.flatten()
    if isinstance(target, bool):
        raise IndexError(
            f"target={target}: give the index of an output, or None for their mean; a mask as a tensor"
        )
    if len(shape) == 0:
        raise IndexError(
            f"target={target!r}: the model returns one number per sequence; use target=None"
        )
    try:
        picked = numbers[_on_cpu(target)]
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(
            f"target={described(target)} does not index one sequence's output of shape {shape}: {error}. "
            "Give an int, a slice, a boolean mask, a tuple of them, a list for several targets, or None "
            "for the mean."
        ) from error
    if picked.numel() == 0:
        raise IndexError(
            f"target={described(target)} selects nothing of one sequence's output of shape {shape}"
        )
    return picked.flatten()


def _on_cpu(target: Index) -> Index:
    if isinstance(target, tuple):
        return tuple(map(_on_cpu, target))
    return target.cpu() if isinstance(target, Tensor) else target


def described(target: Index | list[Index]) -> str:
    """A target as a user would know it again, masks by their size."""
    if isinstance(target, Tensor | np.ndarray):
        kind = "mask" if target.dtype in (torch.bool, np.bool_) else "index"
        return f"<{kind} of shape {tuple(target.shape)}>"
    if isinstance(target, tuple | list):
        inner = ", ".join(map(described, target))
        if isinstance(target, list):
            return f"[{inner}]"
        return f"({inner},)" if len(target) == 1 else f"({inner})"
    return repr(target)
