"""From what the user asked to something that can be planned and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.half import half_type, in_float32
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.device import choose, home
from nucleoscope.engine.memory import budget
from nucleoscope.engine.planning.near import Near
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.precision import check as check_precision
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.step import Edits
from nucleoscope.engine.tracing.cache import Traced, traced
from nucleoscope.engine.workers import side_by_side
from nucleoscope.reading import (
    Sequences,
    read_model,
    read_others,
    read_precision,
    read_range,
    read_sequences,
)
from nucleoscope.wrapped import unwrapped


@dataclass(frozen=True)
class Asked:
    """A checked request: the model's type, its inputs, the range of sites."""

    model: nn.Module
    sequences: Sequences
    others: tuple[Tensor, ...]
    start: int
    end: int
    dtype: torch.dtype  # what the engine computes in
    native: torch.dtype  # what the model computes in
    device: torch.device
    home: torch.device  # where the model is
    memory: int
    precision: str = "fp32"  # what deltas are multiplied in
    taken: str = ""  # how the model was come by, where it was wrapped or is a function
    half: nn.Module | None = (
        None  # the user's model, where it is in half precision and this is a float32 copy
    )
    near: Near | None = None  # outputs that are read where an edit is
    linear: bool = False  # whether what lies behind a seam is taken to first order

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs, in its own number type, on its own device."""
        return self.part(0, len(self.sequences.letters))

    @property
    def short_sums(self) -> bool:
        """Whether a forward may be `Forward.brief`: there, our own convolutions in float32."""
        return self.device.type == "cpu" and self.dtype == torch.float32

    def part(self, first: int, last: int) -> tuple[Tensor, ...]:
        """Those of sequences [first, last) alone: X may lie elsewhere and be larger than the device."""
        floats = (
            t[first:last].to(self.home, self.native if t.is_floating_point() else t.dtype)
            for t in self.others
        )
        return (self.sequences.values[first:last].to(self.home, self.native), *floats)


def ask(
    model: Any, X: Tensor, args: tuple[Tensor, ...] | None, *, start: int, end: int | None,
    layout: str, alphabet: str, precision: str, memory: int | None, device: str | torch.device | None,
) -> Asked:  # fmt: skip
    """Check everything the user gave; each complaint names its argument."""
    model, taken = unwrapped(model)
    half = model if half_type(model) is not None else None
    if half is not None:
        read_model(half)
        model = in_float32(half)
    native = read_model(model)
    sequences = read_sequences(X, alphabet_of(model, alphabet), layout)
    others = read_others(args, len(X))
    start, end = read_range(start, end, sequences.letters.shape[1])
    dtype = read_precision(precision, native)
    model_on = home(model)
    place = choose(device, model_on)
    check_precision(precision, place)
    return Asked(
        model, sequences, others, start, end, dtype, native, place, model_on, budget(memory, place),
        precision, taken, half,
    )  # fmt: skip


def forward(asked: Asked, read: Read) -> Traced:
    """The model traced up to what is asked about, with its weights packed; raises Untraceable."""
    example, *others = asked.inputs
    return traced(
        asked.model, example, tuple(others), asked.sequences.layout, asked.dtype, asked.device,
        asked.precision, read,
    )  # fmt: skip


def make_plan(asked: Asked, held: Traced) -> Plan:
    """The plan for all substitutions at the asked sites; for an untraced `func` whole outputs are formed."""
    read = None if held.untraced else held.leaves.target()
    size = asked.sequences.columns.shape[1]
    letters = asked.sequences.letters[:, asked.start : asked.end]
    plain = bool(((letters >= 0) & (letters < size)).all())
    sites = (asked.start, asked.end)
    number, workers = held.forward.like.element_size(), side_by_side(asked.device)
    graph = held.forward.graph
    return Plan(
        graph, read, size - plain, number, asked.memory, sites, workers, asked.device, asked.near,
        linear=asked.linear,
    )  # fmt: skip


def substitutions(sequences: Sequences, start: int, end: int) -> list[Edits]:
    """Every other letter at every site of [start, end): sites with a letter, and sites without one."""
    letters = sequences.letters[:, start:end]
    size = sequences.columns.shape[1]
    plain = (letters >= 0) & (letters < size)
    jobs = []
    for chosen, has_letter in ((plain, True), (~plain, False)):
        n, site = np.nonzero(chosen)
        if len(n):
            old = letters[n, site]
            jobs.append(
                Edits(n, site + start, old, _others(old, size, has_letter), sequences.ambiguous)
            )
    return jobs


def _others(old: Ints, size: int, has_letter: bool) -> Ints:
    every = np.tile(np.arange(size), (len(old), 1))
    return every[every != old[:, None]].reshape(len(old), size - 1) if has_letter else every
