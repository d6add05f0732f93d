"""What runs along a sequence: a track's bins as stretches of bases."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from numbers import Integral
from typing import Any

from torch import Tensor

Inputs = tuple[Tensor, ...]  # of one sequence: [1, A, L], then the further inputs
Bases = tuple[int, int]  # [start, end)


@dataclass(frozen=True)
class Track:
    """What runs along the bases [start, end) of a sequence, so many bases a bin: [1, channels, bins]."""

    values: Tensor
    step: int
    covers: Bases

    def bins(self, start: Any, end: Any) -> slice:
        """A stretch in bases as bins; raises where it is not there, or ends within a bin."""
        lo, hi = whole("start", start), whole("end", end)
        first, last = self.covers
        if not first <= lo < hi <= last:
            what = (
                f"{last} bases" if first == 0 else f"bases [{first}, {last}) that its track covers"
            )
            raise IndexError(f"edits: [{lo}, {hi}) does not lie in the {what}")
        if (lo - first) % self.step or (hi - first) % self.step:
            behind = f" from {first} on" if first else ""
            raise ValueError(
                f"edits: [{lo}, {hi}) ends within a bin; this track has bins of {self.step} bases: use "
                f"multiples{behind}"
            )
        return slice((lo - first) // self.step, (hi - first) // self.step)


def track_of(inputs: Inputs, number: int, covers: Bases | None = None) -> Track:
    """A further input whose last axis runs along the sequence, or along the bases that it `covers`.

    Raises ValueError where a bin would not be a whole number of bases.
    """
    track, length = given(inputs, number), inputs[0].shape[-1]
    first, last = (0, length) if covers is None else _read_covers(covers, length)
    size = track.shape[-1] if track.ndim == 3 else 0
    if size == 0 or (last - first) % size:
        raise ValueError(
            f"args[{number}]: its last axis has {size} positions, which is no whole number of bases each of "
            f"{last - first}: is it of another resolution? Tracks are [N, channels, positions]; what has no "
            "positions (SetNumber) has another number of axes. Of a track along a part of the sequence alone "
            "(BPNet's control: its middle) an edit says which bases it has, by covers=(start, end)"
        )
    return Track(track, (last - first) // size, (first, last))


def sequence_of(inputs: Inputs) -> Track:
    """The sequence, a base a bin."""
    return Track(inputs[0], 1, (0, inputs[0].shape[-1]))


def is_one_of(number: Any, many: int) -> bool:
    """Whether it numbers one of so many, from 0; True is not 1."""
    return _is_whole(number) and 0 <= number < many


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole(name: str, value: Any) -> int:
    """A position or width of an edit."""
    if not _is_whole(value):
        raise TypeError(f"edits: {name}={value!r} is no position; give whole numbers of bases")
    return int(value)


def _read_covers(covers: Any, length: int) -> Bases:
    if not isinstance(covers, tuple | list) or len(covers) != 2:
        raise TypeError(f"edits: covers={covers!r}: give the bases (start, end) of the track")
    first, last = whole("covers", covers[0]), whole("covers", covers[1])
    if not 0 <= first < last <= length:
        raise IndexError(f"edits: covers={covers!r} does not lie in the {length} bases")
    return first, last


def channels(track: Tensor, channel: int | None) -> Tensor:
    """A view of one channel [1, positions], or of all."""
    if channel is None:
        return track
    if track.ndim != 3 or not is_one_of(channel, track.shape[1]):
        raise IndexError(f"edits: channel={channel!r} of a track of shape {tuple(track.shape[1:])}")
    return track[:, channel]


def resolution(inputs: Inputs) -> int:
    """The least number of bases that is a whole number of bins of every track with positions."""
    return lcm(*(track_of(inputs, n).step for n in positional(inputs) if n >= 0), 1)


def replaced(inputs: Inputs, number: int, value: Tensor) -> Inputs:
    """The inputs with another one in the place of args[number]; -1 is the sequence."""
    return (*inputs[: number + 1], value, *inputs[number + 2 :])


def given(inputs: Inputs, number: Any) -> Tensor:
    """A further input by its number in `args`. Raises IndexError where there is none."""
    many = len(inputs) - 1
    if not is_one_of(number, many):
        raise IndexError(f"edits: input={number!r}: there are {many} further inputs, args[0] on")
    return inputs[1 + int(number)]


def positional(inputs: Inputs) -> list[int]:
    """The sequence (-1) and the further inputs that run along it: [1, channels, positions].

    Raises ValueError where such a one has bins that are no whole number of bases: it is not left as it is.
    """
    tracks = [n for n, t in enumerate(inputs[1:]) if t.ndim == 3]
    for number in tracks:
        track_of(inputs, number)
    return [-1, *tracks]
