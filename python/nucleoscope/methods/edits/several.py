"""Methods on edits, asked in several views: of models, strands and shifts; the mean of what each says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import complement
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.prepare import Asked, ask
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods.alike import check_alike
from nucleoscope.methods.edits.editing import Measured, Options, Request
from nucleoscope.methods.ensemble import Mean, View, members, reverse_read, together, views, ways
from nucleoscope.methods.running import exactly, read_func, read_verify, versions
from nucleoscope.reading import Sequences
from nucleoscope.result import Check

Model = nn.Module | Callable[..., Any]
Models = Model | Sequence[Model]
SETTINGS = ("layout", "alphabet", "precision", "memory", "device")  # that a request is read by


class Views:
    """A checked call: its sequences can be read before its edits are made, and each view is asked about them."""

    def __init__(
        self, models: Sequence[Any], X: Tensor, args: tuple[Tensor, ...] | None, options: Options, method: str
    ) -> None:  # fmt: skip
        self._models, self._X, self._args = models, X, args
        self._options, self._method = options, method
        self._read = Read(options.target, options.func)
        both = options.reverse_complement
        self._reverse = reverse_read(self._read, options.reverse_target, both)
        self._views = views(len(models), both, options.shifts, options.alphabet)
        self._first = self._asked(View())
        strands = (self._read,) if self._reverse is self._read else (self._read, self._reverse)
        for read in strands:
            check_alike(models, X, args, read, self._settings)

    @property
    def letters(self) -> Ints:
        """The letters of the sequences, [N, L]."""
        return self._first.sequences.letters

    def measure(self, table: Table) -> Measured:
        """What a table of edits does, on the mean."""
        span = int(table.position.min()), int(table.position.max()) + 1
        return self.mean(span, lambda one: one.measure(self._seen(table, one)))

    def mean(self, span: tuple[int, int], measure: Callable[[Request], Measured]) -> Measured:
        """The mean over all views of what `measure` finds of edits in [start, end), and the spread over models."""
        check_shifts(self._views, span, self.letters.shape[1])
        changes, originals = Mean(), Mean()
        facts, checks = list[dict[str, Any]](), list[Check]()
        for _, own in groupby(self._views, lambda view: view.member):
            found = [self._found(view, measure) for view in own]
            changes.add(torch.stack([each.changes for each in found]).mean(0))
            originals.add(torch.stack([each.original for each in found]).mean(0))
            facts += [each.facts for each in found]
            checks += [check for each in found for check in each.checks]
        (mean, spread), (original, _) = changes.result(), originals.result()
        said = {
            "method": self._method, "target": str(self._read), **together(facts), **ways(self._views),
            **versions(),
        }  # fmt: skip
        return Measured(mean, original, said, tuple(checks), spread)

    def effects(
        self, found: Measured, before: Tensor, axes: tuple[str, ...], facts: dict[str, Any] | None = None
    ) -> Effects:  # fmt: skip
        """Changes [M, T] as a result on these axes; of two, the first is as long as that of `before` [N, 1, T]."""
        shape = (-1, before.shape[-1]) if len(axes) == 1 else (len(before), -1, before.shape[-1])
        changes = found.changes.view(shape)
        spread = None if found.spread is None else found.spread.view(shape)
        said = {"edits": len(found.changes), **found.facts, **(facts or {})}
        if isinstance(self._options.target, list):
            return Effects(changes, before, (*axes, "target"), said, found.checks, spread)
        spread = None if spread is None else spread[..., 0]
        return Effects(changes[..., 0], before[..., 0], axes, said, found.checks, spread)

    def _found(self, view: View, measure: Callable[[Request], Measured]) -> Measured:
        asked = self._first if view == View() else self._asked(view)
        with exactly(asked) as rounding:
            read = self._reverse if view.mirrored else self._read
            found = measure(Request(asked, self._options, read, rounding, view))
        return replace(found, checks=tuple(view.checks(found.checks, len(self._models))))

    def _asked(self, view: View) -> Asked:
        options = self._options
        X = self._X if view.plain else view.of(self._X, options.layout, options.alphabet)
        return ask(self._models[view.member], X, self._args, start=0, end=None, **self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self._options, name) for name in SETTINGS}

    def _seen(self, table: Table, one: Request) -> Table:
        """Edits of the sequences as edits of a view's."""
        view, alphabet = one.view, self._options.alphabet
        if view.plain:
            return table
        there, length = one.asked.sequences, self.letters.shape[1]
        position, letter = (
            table.position + view.shift,
            _letters(self._first.sequences, there, view, alphabet),
        )
        if view.mirrored:
            position = length - 1 - position
        return Table.of(table.sequence, table.edit, position, letter[table.letter])


def check_shifts(views: Sequence[View], span: tuple[int, int], length: int) -> None:
    """Raises ValueError where edits in [start, end) leave a sequence in any view."""
    start, end = span
    for shift in {view.shift for view in views} - {0}:
        if start + shift < 0 or end + shift > length:
            raise ValueError(
                f"shifts: {shift} moves edits out of the sequence of {length}; they cover [{start}, {end}) "
                "and must stay inside in all shifts"
            )


def _letters(here: Sequences, there: Sequences, view: View, alphabet: str) -> Ints:
    """What each letter of the sequences is in a view's: those of the alphabet, ambiguous ones, and last none."""
    turned = complement(alphabet) if view.mirrored else torch.arange(len(alphabet))
    alike = (here.ambiguous[:, None, turned] == there.ambiguous).all(2)  # [here, there]
    ambiguous = [
        int(row.nonzero()[0]) + len(alphabet) if row.any() else -1  # of none, no edit is inside
        for row in alike
    ]
    return np.array([*turned.tolist(), *ambiguous, -1])


@contextlib.contextmanager
def several(
    model: Any, X: Tensor, args: tuple[Tensor, ...] | None, options: Options, method: str
) -> Iterator[Views]:
    """Check everything but the edits, and take the turn; `model` may be a list of them."""
    read_verify(options.verify)
    read_func(options.func)
    with in_turn:
        yield Views(members(model), X, args, options, method)
