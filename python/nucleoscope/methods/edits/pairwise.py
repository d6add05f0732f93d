"""Epistasis: what two substitutions do together beyond what each does alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of, complement
from nucleoscope.effects import Pairs
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.edits.edited import Edited, apart, edited
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.graph import Untraceable
from nucleoscope.engine.pairs.interactions import interactions
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Measured, Options, Request
from nucleoscope.methods.edits.several import Models, several
from nucleoscope.reading import read_range

AXES = ("sequence", "letter", "site", "letter", "site")


def pairwise(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,
    *,
    start: int = 0,
    end: int | None = None,
    target: Any = None,
    func: Func | None = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    shifts: Sequence[int] = (0,),
) -> Pairs:  # interactions [N, 4, S, 4, S], S = end - start; [..., T] for a list of targets
    """How far any two substitutions of a region are from adding up.

    Pairs whose windows do not meet in any layer that is not linear add up exactly; they are not run, and
    ``facts["pairs_skipped"]`` counts them. An interaction is a difference of effects: its error is
    rounding relative to those (``precision="fp64"`` for interactions far smaller than effects).
    The other arguments are those of `saturation_mutagenesis`; edits must stay inside in all `shifts`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant; a region needs two sites.
    Disagreement
        If the verification fails.

    Source: double mutant cycles, Horovitz 1996 (Fold. Des. 1, R121).

    Equivalent to::

        f(a at i, b at j) - f(a at i) - f(b at j) + f(as it is)
    """
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "pairwise") as asked:
        start, end = read_range(start, end, asked.letters.shape[1])
        if end - start < 2:
            raise ValueError(f"start={start}, end={end}: a pair needs two sites")
        found = asked.mean((start, end), lambda one: _measured(one, start, end))
        shape = (len(asked.letters), len(alphabet), end - start)
    interactions, singles = _split(found.changes, shape)
    spread = None if found.spread is None else _split(found.spread, shape)[0]
    original = found.original
    axes: tuple[str, ...] = (*AXES, "target")
    if not isinstance(target, list):
        interactions, singles, original = interactions[..., 0], singles[..., 0], original[:, 0]
        spread, axes = None if spread is None else spread[..., 0], AXES
    return Pairs(
        interactions, singles, original, alphabet, start, axes, found.facts, found.checks, spread
    )  # fmt: skip


def _measured(asked: Request, start: int, end: int) -> Measured:
    """Interactions and single changes as one view finds them, [N * A * S * (A * S + 1), T]."""
    view = asked.view
    begin, stop = view.span(start, end, asked.letters.shape[1])
    plan = _Pairs(asked, begin, stop, _may_interact(asked, begin, stop))
    found = asked.measure(plan.table, by=plan.run)
    interactions, singles = plan.laid(found)
    if view.mirrored:
        other = complement(asked.options.alphabet)
        interactions = interactions.flip(2, 4)[:, other][:, :, :, other]
        singles = singles.flip(2)[:, other]
    both = torch.cat([each.flatten(0, -2) for each in (interactions, singles)])
    facts = {
        "edits": len(plan.table),
        "pairs": plan.many + plan.skipped,
        "pairs_skipped": plan.skipped,
    }
    return replace(found, changes=both, facts=found.facts | facts)


def _split(both: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Interactions [N, A, S, A, S, T] and single changes [N, A, S, T] again."""
    interactions, singles = both.split([prod(shape) * prod(shape[1:]), prod(shape)])
    return interactions.view(*shape, *shape[1:], -1), singles.view(*shape, -1)


def _may_interact(asked: Request, start: int, end: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which two sites [S, S] are not proved to add up."""
    try:
        return ~apart(asked.asked, asked.read, start, end)
    except Untraceable:  # then no window is known, and `measure` says so
        return np.ones((end - start, end - start), dtype=np.bool_)


class _Pairs:
    """Single substitutions, then pairs of them, as one table of edits."""

    def __init__(
        self, asked: Request, start: int, end: int, together: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> None:
        size = asked.asked.sequences.size
        letters = asked.letters[:, start:end]
        self.sites, self.together = (start, end), together
        self.shape = (len(letters), size, end - start)
        n, letter, site = np.nonzero(letters[:, None] != np.arange(size)[:, None])
        self.single = (n, letter, site)
        pairs = [self._of(np.flatnonzero(n == each)) for each in range(len(letters))]
        first, second = np.concatenate(pairs, 1)
        runs = together[site[first], site[second]]
        self.first, self.second = first[runs], second[runs]
        self.many, self.skipped = int(runs.sum()), int((~runs).sum())
        alone = np.arange(len(n))
        pair = len(n) + np.arange(self.many)
        edits = np.concatenate([alone, pair, pair])
        which = np.concatenate([alone, self.first, self.second])
        sequence = np.concatenate([n, n[self.first]])
        self.table = Table.of(sequence, edits, site[which] + start, letter[which])

    def _of(self, own: Ints) -> Ints:
        """Pairs of a sequence's substitutions at two sites, the earlier site first, [2, K]."""
        site = self.single[2][own]
        first, second = np.nonzero(site[:, None] < site)
        return np.stack([own[first], own[second]])

    def run(
        self,
        asked: Asked,
        read: Read,
        table: Table,
        between: Callable[[int], Any],
        double: bool = False,
    ) -> Edited:
        """The table's edits: pairs by what they do beyond their edits alone, where that costs less."""
        start, end = self.sites
        here = replace(asked, start=start, end=end)
        more = interactions(here, read, self.together, between)
        if more is None or more.isnan().any():  # what float32 loses is made once more as edits
            return edited(asked, read, table, between, double)
        count = len(self.single[0])
        found = edited(asked, read, table.part(np.arange(len(table)) < count), between, double)
        made = more[self._places(self.first, self.second)]
        pairs = found.raw[self.first] + found.raw[self.second] + made
        return replace(found, raw=torch.cat([found.raw, pairs]), more=more)

    def laid(self, found: Measured) -> tuple[Tensor, Tensor]:
        """Interactions [N, A, S, A, S, T] and single changes [N, A, S, T]."""
        count, targets = len(self.single[0]), found.changes.shape[1]
        alone, both = found.changes[:count], found.changes[count:]
        singles = alone.new_zeros(*self.shape, targets)
        singles[self.single] = alone
        if found.more is not None:
            return found.more, singles
        pairs = alone.new_zeros(*self.shape, *self.shape[1:], targets)
        made = both - alone[self.first] - alone[self.second]
        for one, two in ((self.first, self.second), (self.second, self.first)):
            pairs[self._places(one, two)] = made
        return pairs, singles

    def _places(self, one: Ints, two: Ints) -> tuple[Ints, ...]:
        """Where pairs of single substitutions are among all, [N, A, S, A, S]."""
        (n, a, i), (_, b, j) = ([each[which] for each in self.single] for which in (one, two))
        return n, a, i, b, j
