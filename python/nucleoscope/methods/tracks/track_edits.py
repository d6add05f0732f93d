"""Edits of what a model reads beside its sequence: a peak erased, a domain swapped, a covariate set."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from nucleoscope.methods.tracks.track import (
    Bases,
    Inputs,
    channels,
    given,
    is_one_of,
    positional,
    replaced,
    sequence_of,
    track_of,
    whole,
)


@dataclass(frozen=True)
class Erase:
    """A stretch [start, end), in bases, of a track set to one value, in the track's own units.

    `input` is its number in `args`, [N, channels, positions] each; `channel` one of its channels, all by default.
    `covers`: the bases [start, end) that the track runs along, where these are not all: BPNet's control has a
    number a base in the middle of the sequence alone, (557, 1557) of 2,114.
    """

    start: int
    end: int
    input: int = 0
    channel: int | None = None
    value: float = 0.0
    covers: Bases | None = None

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        track = track_of(inputs, self.input, self.covers)
        edited = track.values.clone()
        channels(edited, self.channel)[..., track.bins(self.start, self.end)] = self.value
        return replaced(inputs, self.input, edited)


@dataclass(frozen=True)
class Put:
    """A track's values from `start` on, in bases, replaced: another cell type's, or a made peak.

    values: [..., bins], as many channels as are meant. `covers` as of `Erase`.
    """

    start: int
    values: Tensor
    input: int = 0
    channel: int | None = None
    covers: Bases | None = None

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        track = track_of(inputs, self.input, self.covers)
        start = whole("start", self.start)
        where = track.bins(start, start + self.values.shape[-1] * track.step)
        edited = track.values.clone()
        there = channels(edited, self.channel)[0, ..., where]
        if self.values.shape != there.shape:
            raise ValueError(
                f"edits: Put has values of shape {tuple(self.values.shape)}, where {tuple(there.shape)} stand"
            )
        there.copy_(self.values)
        return replaced(inputs, self.input, edited)


@dataclass(frozen=True)
class Swap:
    """Two stretches of one width, in bases, in each other's place.

    ``input=None``: of the sequence and of every track with positions, as a domain is moved; each must run along
    all of it. `covers` as of `Erase`, of one input.
    """

    first: int
    second: int
    width: int
    input: int | None = None
    covers: Bases | None = None

    def applied(self, inputs: Inputs) -> Inputs:
        """The inputs with this edit."""
        first, second, width = (
            whole(name, getattr(self, name)) for name in ("first", "second", "width")
        )
        if abs(first - second) < width:
            raise ValueError(f"edits: {self} has stretches that overlap")
        if self.input is None and self.covers is not None:
            raise ValueError(f"edits: {self}: covers is of one track; say which by input")
        which = [self.input] if self.input is not None else positional(inputs)
        made = inputs
        for number in which:
            track = sequence_of(inputs) if number == -1 else track_of(inputs, number, self.covers)
            a, b = (track.bins(at, at + width) for at in (first, second))
            edited = track.values.clone()
            edited[..., a], edited[..., b] = track.values[..., b], track.values[..., a]
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
        numbers = given(inputs, self.input)
        flat = numbers.clone().flatten(1)
        if not is_one_of(self.index, flat.shape[1]):
            raise IndexError(
                f"edits: {self}: args[{self.input}] has numbers 0 to {flat.shape[1] - 1}"
            )
        flat[:, self.index] = self.value
        return replaced(inputs, self.input, flat.view_as(numbers))


TrackEdit = Erase | Put | Swap | SetNumber


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
        if isinstance(edit, Put) and (edit.values.ndim == 0 or torch.isnan(edit.values).any()):
            what = "hold NaN" if edit.values.ndim else "are a single number"
            raise ValueError(f"edits: Put's values {what}: give a tensor [..., bins] of numbers")
        value = getattr(edit, "value", 0.0)
        if not isinstance(value, Real) or value != value:
            raise TypeError(f"edits: value={value!r} is no number")
    return list(edits)
