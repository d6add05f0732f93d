"""The other strand of a sequence and of what runs along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nucleoscope.alphabet import complement
from nucleoscope.engine.answers.read import Read
from nucleoscope.methods.ensemble import View, reverse_read
from nucleoscope.methods.tracks.track import Inputs, positional

Turn = Callable[..., tuple[Tensor, ...]]  # further inputs as those of the other strand


@dataclass(frozen=True)
class Strand:
    """What is shown to a model, and what is read of it."""

    read: Read
    alphabet: str
    mirrored: bool = False
    reverse_args: Turn | None = None

    def of(self, inputs: Inputs) -> Inputs:
        """Inputs of one sequence as this strand has them."""
        if not self.mirrored:
            return inputs
        sequence = View(mirrored=True).of(inputs[0], "NCL", self.alphabet)
        if self.reverse_args is None:
            return sequence, *_flipped(inputs)
        own = [t.clone() for t in inputs[1:]]  # the user's tensors, which it may write into
        return sequence, *_held(self.reverse_args(*own), inputs[1:])


def strands(
    read: Read, reverse_complement: bool, reverse_target: Any, reverse_args: Turn | None, alphabet: str
) -> list[Strand]:  # fmt: skip
    """One, or both. Raises TypeError or ValueError that names the argument."""
    if not isinstance(reverse_complement, bool):
        raise TypeError(f"reverse_complement={reverse_complement!r}: True or False")
    if reverse_args is not None and not callable(reverse_args):
        raise TypeError(
            f"reverse_args: a {type(reverse_args).__name__}; give a function of the further inputs that gives "
            "those of the other strand, in the same order"
        )
    if reverse_args is not None and not reverse_complement:
        raise ValueError("reverse_args: there is no other strand without reverse_complement=True")
    other = reverse_read(read, reverse_target, reverse_complement)
    if not reverse_complement:
        return [Strand(read, alphabet)]
    complement(alphabet)
    return [Strand(read, alphabet), Strand(other, alphabet, True, reverse_args)]


def _flipped(inputs: Inputs) -> Inputs:
    """The further inputs, of which those with positions run the other way."""
    try:
        along = positional(inputs)
    except ValueError as refused:
        raise ValueError(
            f"reverse_complement: {refused} For the other strand, say by reverse_args what becomes of it"
        ) from None
    return tuple(t.flip(-1) if n in along else t for n, t in enumerate(inputs[1:]))


def _held(made: Any, given: Inputs) -> Inputs:
    """What `reverse_args` gave, which are as many inputs, of the same shapes, in the number types of these."""
    found = tuple(made) if isinstance(made, tuple | list) else (made,)
    shapes = [tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__ for t in found]
    wanted = [tuple(t.shape) for t in given]
    if shapes != wanted:
        raise ValueError(f"reverse_args: it gave {shapes} of inputs of shapes {wanted}")
    return tuple(t.to(of) for t, of in zip(found, given, strict=True))
