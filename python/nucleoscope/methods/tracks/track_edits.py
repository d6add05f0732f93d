"""Edits of what a model reads beside its sequence: a peak erased, a domain swapped, a covariate set."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from numbers import Integral, Real
from typing import Any

from torch import Tensor

Inputs = tuple[Tensor, ...]  # of one sequence: [1, A, L], then the further inputs


@dataclass(frozen=True)
class Erase:
    """A stretch [start, end), in bases, of a track set to one value, in the track's own units.

    `input` is its number in `args`, [N, channels, positions] each; `channel` one of its channels, all by default.
    """

    start: int
    end: int
    input: int = 0
    channel: int | None = None
    value: float = 0.0

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        track, step = track_of(inputs, self.input)
        lo, hi = bins(self.start, self.end, inputs[0].shape[-1], step)
        edited = track.clone()
        channels(edited, self.channel)[..., lo:hi] = self.value
        return replaced(inputs, self.input, edited)


@dataclass(frozen=True)
class Put:
    """A track's values from `start` on, in bases, replaced: another cell type's, or a made peak.

    values: [..., bins], as many channels as are meant.
    """

    start: int
    values: Tensor
    input: int = 0
    channel: int | None = None

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        track, step = track_of(inputs, self.input)
        end = self.start + self.values.shape[-1] * step
        lo, hi = bins(self.start, end, inputs[0].shape[-1], step)
        edited = track.clone()
        there = channels(edited, self.channel)[0, ..., lo:hi]
        if self.values.shape != there.shape:
            raise ValueError(
                f"edits: Put has values of shape {tuple(self.values.shape)}, where {tuple(there.shape)} stand"
            )
        there.copy_(self.values)
        return replaced(inputs, self.input, edited)


@dataclass(frozen=True)
class Swap:
    """Two stretches of one width, in bases, in each other's place.

    ``input=None``: of the sequence and of every track with positions, as a domain is moved.
    """

    first: int
    second: int
    width: int
    input: int | None = None

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        if abs(self.first - self.second) < self.width:
            raise ValueError(f"edits: {self} has stretches that overlap")
        length = inputs[0].shape[-1]
        which = [self.input] if self.input is not None else _positional(inputs)
        made = inputs
        for number in which:
            track, step = track_of(inputs, number) if number >= 0 else (inputs[0], 1)
            a, b = (bins(at, at + self.width, length, step) for at in (self.first, self.second))
            edited = track.clone()
            edited[..., slice(*a)], edited[..., slice(*b)] = (
                track[..., slice(*b)],
                track[..., slice(*a)],
            )
            made = replaced(made, number, edited)
        return made


@dataclass(frozen=True)
class SetNumber:
    """A number without a position (a covariate, a motif's activity) set to a value, in its own units."""

    index: int
    value: float
    input: int = 0

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        given = _given(inputs, self.input)
        flat = given.clone().flatten(1)
        if not isinstance(self.index, Integral) or not 0 <= self.index < flat.shape[1]:
            raise IndexError(
                f"edits: {self}: args[{self.input}] has numbers 0 to {flat.shape[1] - 1}"
            )
        flat[:, self.index] = self.value
        return replaced(inputs, self.input, flat.view_as(given))


TrackEdit = Erase | Put | Swap | SetNumber


def track_of(inputs: Inputs, number: int) -> tuple[Tensor, int]:
    """A further input whose last axis runs along the sequence, and how many bases one of its bins has.

    Raises ValueError where a bin would not be a whole number of bases.
    """
    track, length = _given(inputs, number), inputs[0].shape[-1]
    size = track.shape[-1] if track.ndim == 3 else 0
    if size == 0 or length % size:
        raise ValueError(
            f"args[{number}]: its last axis has {size} positions, which is no whole number of bases each of "
            f"{length}: is it of another resolution? Tracks are [N, channels, positions]; what has no "
            "positions (SetNumber) has another number of axes"
        )
    return track, length // size


def bins(start: Any, end: Any, length: int, step: int) -> tuple[int, int]:
    """A stretch in bases as bins of a track; raises where it is not there, or ends within a bin."""
    for value in (start, end):
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"edits: {value!r} is no position; give whole numbers of bases")
    if not 0 <= start < end <= length:
        raise IndexError(f"edits: [{start}, {end}) does not lie in the {length} bases")
    if start % step or end % step:
        raise ValueError(
            f"edits: [{start}, {end}) ends within a bin; this track has bins of {step} bases: use multiples"
        )
    return int(start) // step, int(end) // step


def channels(track: Tensor, channel: int | None) -> Tensor:
    """A view of one channel [1, positions], or of all."""
    if channel is None:
        return track
    if track.ndim != 3 or not isinstance(channel, Integral) or not 0 <= channel < track.shape[1]:
        raise IndexError(f"edits: channel={channel!r} of a track of shape {tuple(track.shape[1:])}")
    return track[:, channel]


def resolution(inputs: Inputs) -> int:
    """The least number of bases that is a whole number of bins of every track with positions."""
    return lcm(*(track_of(inputs, n)[1] for n in _positional(inputs) if n >= 0), 1)


def replaced(inputs: Inputs, number: int, value: Tensor) -> Inputs:
    """The inputs with another one in the place of args[number]; -1 is the sequence."""
    return (*inputs[: number + 1], value, *inputs[number + 2 :])


def _given(inputs: Inputs, number: Any) -> Tensor:
    many = len(inputs) - 1
    if not isinstance(number, int) or not 0 <= number < many:
        raise IndexError(f"edits: input={number!r}: there are {many} further inputs, args[0] on")
    return inputs[1 + number]


def _positional(inputs: Inputs) -> list[int]:
    """The sequence (-1) and the further inputs that run along it: [1, channels, positions].

    Raises ValueError where such a one has bins that are no whole number of bases: it is not left as it is.
    """
    tracks = [n for n, t in enumerate(inputs[1:]) if t.ndim == 3]
    for number in tracks:
        track_of(inputs, number)
    return [-1, *tracks]


def read_edits(edits: Any) -> list[TrackEdit]:
    """Check a list of edits."""
    if not isinstance(edits, list | tuple) or not edits:
        raise TypeError("edits: give a list of Erase, Put, Swap or SetNumber, one or more")
    for edit in edits:
        if not isinstance(edit, TrackEdit):
            raise TypeError(f"edits: {edit!r} is no Erase, Put, Swap or SetNumber")
        if isinstance(edit, Put) and not isinstance(edit.values, Tensor):
            raise TypeError(
                f"edits: Put's values are a {type(edit.values).__name__}: give a tensor [..., bins]"
            )
        value = getattr(edit, "value", 0.0)
        if not isinstance(value, Real) or value != value:
            raise TypeError(f"edits: value={value!r} is no number")
    return list(edits)
