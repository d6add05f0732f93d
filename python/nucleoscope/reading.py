"""What the user gives, checked and read: sequences as letters, further inputs, a range of sites."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Letters = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """One-hot input and the letters it spells."""

    values: Tensor  # as the model takes it: [N, A, L] or [N, L, A]
    letters: Letters  # [N, L]; -1 an all-zero column, A + k the k-th ambiguous column
    ambiguous: Tensor  # [K, A] float64
    layout: str  # "NCL" or "NLC"

    @property
    def size(self) -> int:
        """Letters of the alphabet."""
        return self.columns.shape[1]

    @property
    def columns(self) -> Tensor:
        """The input as [N, A, L], whatever the model's layout."""
        return self.values if self.layout == "NCL" else self.values.transpose(1, 2)


def read_sequences(X: Tensor, alphabet: str, layout: str) -> Sequences:
    """Check a batch of one-hot sequences and read its letters.

    A column is one letter (one-hot), no letter (all zero: N), or an IUPAC code as equal parts of its
    letters (R as A = G = 0.5, N as four times 0.25). Anything else is refused by name.
    """
    if layout not in ("NCL", "NLC"):
        raise ValueError(
            f"layout={layout!r}: use 'NCL' for X [N, alphabet, L] or 'NLC' for [N, L, alphabet]"
        )
    if not isinstance(alphabet, str):
        raise TypeError(f"alphabet={alphabet!r}: a string, each letter once, e.g. 'ACGT'")
    if len(alphabet) < 2 or len(set(alphabet)) != len(alphabet):
        raise ValueError(
            f"alphabet={alphabet!r}: give each letter once, in the order of X's channels"
        )
    if not isinstance(X, Tensor):
        raise TypeError(
            f"X: expected a torch.Tensor, got {type(X).__name__}; use torch.from_numpy(X)"
        )
    if X.ndim != 3:
        raise ValueError(
            f"X: expected 3 dimensions [N, {len(alphabet)}, L], got shape {tuple(X.shape)}"
        )
    if X.layout is not torch.strided or X.is_meta:
        raise TypeError(
            f"X: expected a dense tensor that holds numbers, got layout {X.layout} on {X.device}; use "
            "X.to_dense()"
        )
    if X.is_complex():
        raise TypeError(f"X: expected real numbers, got {X.dtype}")
    axis = 1 if layout == "NCL" else 2
    if X.shape[axis] != len(alphabet):
        other = X.shape[3 - axis] == len(alphabet)
        hint = (
            f"; its other axis has {len(alphabet)}: use layout={'NLC' if axis == 1 else 'NCL'!r}"
            if other
            else ""
        )
        raise ValueError(
            f"X: axis {axis} must hold the {len(alphabet)} letters of alphabet={alphabet!r}, "
            f"but shape is {tuple(X.shape)}{hint}"
        )
    if X.numel() == 0:
        raise ValueError(f"X: it holds nothing (shape {tuple(X.shape)})")
    columns = (X if layout == "NCL" else X.transpose(1, 2)).detach().cpu()
    letters, ambiguous = _letters(columns, alphabet)
    return Sequences(X.detach(), letters, ambiguous, layout)


def _letters(columns: Tensor, alphabet: str) -> tuple[Letters, Tensor]:
    plain, odd = _plain_letters(columns)
    letters, size = plain.long(), len(alphabet)
    if not odd.any():
        return letters.numpy(), torch.empty(0, size, dtype=torch.float64)
    if columns.is_floating_point() and not torch.isfinite(columns).all():
        raise ValueError("X: it holds NaN or infinite numbers")
    where = odd.nonzero()
    parts = columns.movedim(1, 2)[odd].to(torch.float64)  # [K, A]
    present = parts > 0
    even = torch.where(present, 1.0 / present.sum(1, keepdim=True).clamp(min=1), 0.0)
    wrong = ((parts - even).abs() > 1e-3).any(1)
    if wrong.any():
        n, i = where[wrong][0].tolist()
        shown = [round(v, 4) for v in parts[wrong][0].tolist()]
        raise ValueError(
            f"X: sequence {n}, position {i} is {shown}, which is neither one letter (one-hot), none (all "
            f"zero: N), nor an IUPAC code as equal parts. Mutagenesis needs letters: round X first."
        )
    codes, which = torch.unique(
        parts, dim=0, return_inverse=True
    )  # as they stand, not as they round
    letters[odd] = which + size
    return letters.numpy(), codes


def _plain_letters(columns: Tensor) -> tuple[Tensor, Tensor]:  # [N, L] twice
    """The letter of each column, -1 where it has none, and which columns are neither.

    Letter after letter, in numpy: it compares several times as fast as torch, and adds bytes faster than either
    sums them over an axis between others.
    """
    size = columns.shape[1]
    half = columns.dtype in (torch.float16, torch.bfloat16)
    given = (columns.float() if half else columns).numpy()
    small = np.int8 if size < 127 else np.int32
    letters, ones, known = (np.zeros(given[:, 0].shape, small) for _ in range(3))
    for letter in range(size):
        column = given[:, letter]
        here = (column == 1).view(np.int8)
        ones += here
        known += (column == 0).view(np.int8)  # what is neither, NaN among it, is no letter's
        letters += here * small(letter + 1)
    known += ones
    odd = (known < size) | (ones > 1)
    letters -= small(1)
    np.copyto(letters, -1, where=odd)
    return torch.from_numpy(letters), torch.from_numpy(odd)


def read_others(args: tuple[Tensor, ...] | None, count: int) -> tuple[Tensor, ...]:
    """Check the model's further inputs: tensors with one row per sequence, and no NaN in them."""
    if args is None:
        return ()
    if isinstance(args, Tensor) or not isinstance(args, tuple | list):
        raise TypeError(
            "args: give a tuple of tensors, one per further input of the model, e.g. args=(c,)"
        )
    for index, arg in enumerate(args):
        if not isinstance(arg, Tensor):
            raise TypeError(f"args[{index}]: expected a torch.Tensor, got {type(arg).__name__}")
        if arg.ndim == 0 or len(arg) != count:
            raise ValueError(
                f"args[{index}]: needs one row per sequence: X has {count}, args[{index}] has shape "
                f"{tuple(arg.shape)}"
            )
        if (missing := torch.isnan(arg.detach())).any():  # a mask may be infinite by right
            where = missing.nonzero()[0].tolist()
            raise ValueError(
                f"args[{index}]: it holds NaN, first at {where}; where nothing is known, give what the model was "
                "trained with there, as a rule 0"
            )
    return tuple(a.detach() for a in args)


def read_range(start: int, end: int | None, length: int) -> tuple[int, int]:
    """Check a half-open range of sites."""
    end = length if end is None else end
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name}={value!r}: a position, a whole number")
    start, end = int(start), int(end)
    if not 0 <= start < length:
        raise ValueError(f"start={start}: sites run from 0 to {length - 1}")
    if not start < end <= length:
        raise ValueError(f"end={end}: must be above start={start} and at most the length {length}")
    return start, end


def read_model(model: nn.Module) -> torch.dtype:
    """Check that a model can be explained; its number type."""
    training = [
        name or "the model itself"
        for name, module in model.named_modules()
        if getattr(module, "training", False)  # a frozen scripted module has no mode
    ]
    if training:
        raise ValueError(
            f"model: it is in training mode ({training[0]}), so dropout and batch statistics would be on. "
            "Call model.eval() first."
        )
    dtypes = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        _check_weight(name, tensor)
        if tensor.is_floating_point():
            dtypes.append(tensor.dtype)
    return dtypes[0] if dtypes else torch.float32


def _check_weight(name: str, tensor: Tensor) -> None:
    if is_lazy(tensor):
        raise ValueError(
            f"model: weight {name!r} of a lazy module has no shape yet: call the model on X once"
        )
    if tensor.is_meta or tensor.layout is not torch.strided:
        raise ValueError(
            f"model: weight {name!r} is no dense tensor of numbers (layout {tensor.layout}, device "
            f"{tensor.device}): load its numbers, or make it dense by to_dense()"
        )
    if tensor.is_inference():
        raise ValueError(
            f"model: weight {name!r} was made under torch.inference_mode, where torch.export cannot "
            "follow it: build or load the model outside of it"
        )
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    if tensor.is_floating_point() and tensor.dtype not in kinds:
        raise ValueError(
            f"model: weight {name!r} is {tensor.dtype}; originals are kept in float32: call model.float()"
        )


def read_precision(precision: str, dtype: torch.dtype) -> torch.dtype:
    """The number type the engine computes in; with "tf32" or "bf16", products of deltas alone are rounded."""
    kinds = dict.fromkeys(("fp32", "tf32", "bf16"), torch.float32) | {"fp64": torch.float64}
    if precision not in kinds:
        raise ValueError(f"precision={precision!r}: use one of {', '.join(map(repr, kinds))}")
    if precision != "fp64" and dtype == torch.float64:
        raise ValueError(
            f"precision={precision!r}: the model is float64. Pass precision='fp64', or model.float()."
        )
    return kinds[precision]
