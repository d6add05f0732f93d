"""Checks that the ops share. Each refuses with the argument, what was wrong, and what to do."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.ops._extension import _C


class Arguments:
    """The arguments of one call, read in turn; an axis keeps the length it had first."""

    def __init__(self, op: str) -> None:
        self.op = op
        self._read: dict[str, tuple[Tensor, str]] = {}  # name -> tensor, axes
        self._lengths: dict[str, int] = {}  # axis -> length

    def read(self, name: str, tensor: Tensor, axes: str, *dtypes: torch.dtype) -> None:
        """Check one tensor's dtype, rank, lengths and device; ``axes`` is a letter each, ``"WS"``;
        one of any length is a dot.

        Raises:
            TypeError: its dtype is none of ``dtypes``.
            ValueError: its shape or its device disagrees with the arguments read before.
        """
        if tensor.dtype not in dtypes:
            allowed = " or ".join(str(each) for each in dtypes)
            raise TypeError(
                f"{self.op}: {name} has dtype {tensor.dtype}, must be {allowed}: "
                f"convert it with {name}.to({dtypes[0]})"
            )
        shape = tensor.shape
        if len(shape) != len(axes):
            raise ValueError(
                f"{self.op}: {name} has {len(shape)} axes, shape {list(shape)}; "
                f"must have {len(axes)}: {_named(axes)}"
            )
        for axis, length in zip(axes, shape, strict=True):
            if axis == ".":
                continue
            known = self._lengths.setdefault(axis, length)
            if known != length:
                origin, named = next(
                    (n, _named(a)) for n, (_, a) in self._read.items() if axis in a
                )
                raise ValueError(
                    f"{self.op}: {name} {_named(axes)} has shape {list(shape)}, but {axis} is "
                    f"{known} in {origin} {named}: make the two agree"
                )
        self._read[name] = tensor, axes
        first, (other, _) = next(iter(self._read.items()))
        if tensor.device != other.device:
            raise ValueError(
                f"{self.op}: {name} is on {tensor.device}, but {first} is on {other.device}: "
                f"move it with {name}.to('{other.device}')"
            )

    def check_indices(self, name: str, axis: str) -> None:
        """Check that every entry of an int32 argument indexes ``axis`` or is -1 (none).

        On a GPU this waits for the device.

        Raises:
            ValueError: an entry lies outside [-1, length).
        """
        tensor, length = self._read[name][0], self._lengths[axis]
        dense = tensor.device.type == "cpu" and tensor.is_contiguous()
        if dense and _C.indices_within(tensor.data_ptr(), tensor.numel(), length):
            return
        outside = (tensor < -1) | (tensor >= length)
        if not outside.any():
            return
        place = outside.nonzero()[0].tolist()
        raise ValueError(
            f"{self.op}: {name}{place} is {int(tensor[tuple(place)])}; must be an index of axis "
            f"{axis}, which has length {length}, or -1 for none"
        )


def _named(axes: str) -> str:
    return f"[{', '.join(axes)}]"
