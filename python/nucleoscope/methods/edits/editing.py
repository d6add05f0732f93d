"""What methods on edits share: check the request, run the edits, verify."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.steady import takes_one
from nucleoscope.engine.edits.edited import Edited, edited
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.edits.verify import MEASURED, Disagreement, verify_effects
from nucleoscope.engine.graph import Untraceable
from nucleoscope.engine.indels.moved import Splices
from nucleoscope.engine.indels.spliced import spliced
from nucleoscope.engine.prepare import Asked, ask
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods.edits.loop_batch import loop_batch
from nucleoscope.methods.edits.settled import check_answers, settled
from nucleoscope.methods.ensemble import View
from nucleoscope.methods.running import (
    exactly,
    facts_of,
    read_func,
    read_verify,
)
from nucleoscope.naive.methods import edited as naive
from nucleoscope.result import Check

Engine = Callable[[Asked, Read, Table, Callable[[int], Any], bool], Edited]


@dataclass(frozen=True)
class Options:
    """What every method on edits takes, as `saturation_mutagenesis` does."""

    target: Any = None
    func: Callable[[Tensor], Tensor] | None = None
    layout: str = "NCL"
    alphabet: str = "ACGT"
    precision: str = "fp32"
    memory: int | None = None
    verify: int = 2
    progress: bool = False
    device: str | torch.device | None = None
    reverse_complement: bool = False
    reverse_target: Any = None
    shifts: Sequence[int] = (0,)


@dataclass(frozen=True)
class Measured:
    """What the edits of a table do, with what a result says about it."""

    changes: Tensor  # [M, T]
    original: Tensor  # [N, T]
    facts: dict[str, Any]
    checks: tuple[Check, ...]
    spread: Tensor | None = None  # of the changes, over several models
    more: Tensor | None = (
        None  # what pairs do beyond their edits alone, where that was carried by itself
    )


class Request:
    """One view of a checked call: one model, and sequences as it is shown them."""

    def __init__(
        self, asked: Asked, options: Options, read: Read, rounding: list[str], view: View | None = None
    ) -> None:  # fmt: skip
        self.asked, self.options, self.rounding = asked, options, rounding
        self.read, self.view = read, view or View()
        self.many = isinstance(options.target, list)

    @property
    def letters(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The letters of the sequences, [N, L]."""
        return self.asked.sequences.letters

    def measure(
        self, table: Table, between: Callable[[int], Any] | None = None, by: Engine = edited
    ) -> Measured:
        """Run a table of edits by an engine, verify it, and say what was done."""
        spans = (int(table.position.min()), int(table.position.max()) + 1)
        asked = replace(self.asked, start=spans[0], end=spans[1])
        with tqdm(
            total=len(table), unit=" edits", disable=not self.options.progress, unit_scale=True
        ) as bar:
            found, engine, checks = self._run(asked, table, between or bar.update, by)
        facts = facts_of(asked, self.read, found, engine)
        return Measured(found.raw, found.original, facts, checks, more=found.more)

    def spliced(
        self, edits: Splices, original: Tensor
    ) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.bool_]], tuple[Check, ...]]:
        """Insertions and deletions through their windows, [K, T]; which those are [M]; and the checks."""
        if not len(edits):
            return original[:0], np.zeros(0, dtype=np.bool_), ()
        try:
            found = spliced(self.asked, self.read, edits)
        except Untraceable:  # then the model runs on all of them
            return original[:0], np.zeros(len(edits), dtype=np.bool_), ()
        count, done = read_verify(self.options.verify), np.flatnonzero(found.done)
        if not len(done):
            return original[:0], found.done, ()
        raw = found.changes[torch.from_numpy(done)]
        if not count:
            return raw, found.done, ()
        random = np.random.default_rng(0).permutation(len(done))[: count + MEASURED].tolist()
        some = np.array(list(dict.fromkeys([int(raw.abs().amax(1).argmax()), *random])))
        letters = self.letters
        every = np.broadcast_to(np.arange(letters.shape[1]), (len(some), letters.shape[1]))
        chosen = edits.part(done[some])
        row, position = np.nonzero(chosen.letters(letters, every) != letters[chosen.sequence])
        put = chosen.letters(letters, every)[row, position]
        table = Table(chosen.sequence, row, position, put)
        claim = Edited(raw[torch.from_numpy(some)], original.to(raw), found.exact, local=True)
        verdict = verify_effects(self.asked, claim, table, self.read, count, seed=0)
        said = f"insertions and deletions: {verdict}"
        return raw, found.done, (Check("verification", True, said),)

    def by_the_model(self, edits: Iterator[tuple[int, Tensor]]) -> Tensor:
        """What edited sequences [A, L] do, by running the model itself on each, [M, T]."""
        asked = self.asked
        single = takes_one(asked.model, asked.part(0, 1), self.read)
        net = doubled(asked.model) if asked.dtype != asked.native else asked.model
        X, *others = (t.to(asked.dtype) if t.is_floating_point() else t for t in asked.inputs)
        batch = 1 if single else loop_batch(net, X, tuple(others), asked.memory)
        turned = ((n, self._laid(each).to(X)) for n, each in edits)
        return naive.changes(net, X, tuple(others), turned, read=self.read, batch=batch).cpu()

    def _laid(self, columns: Tensor) -> Tensor:
        return columns if self.asked.sequences.layout == "NCL" else columns.T

    def _run(
        self, asked: Asked, table: Table, between: Callable[[int], Any], by: Engine
    ) -> tuple[Edited, str, tuple[Check, ...]]:
        count = read_verify(self.options.verify)

        def by_deltas() -> Edited:
            # without a verification nothing would tell that float32 is not enough
            return by(asked, self.read, table, between, not count)

        def hold(found: Edited) -> tuple[Edited, object]:
            try:
                return found, verify_effects(asked, found, table, self.read, count, seed=0)
            except Disagreement:
                if not found.brief:
                    raise
            # float32 was not enough for this model's originals
            found = by(asked, self.read, table, lambda _edits: None, True)
            check_answers(found, self.read)
            return found, verify_effects(asked, found, table, self.read, count, seed=0)

        def by_the_loop(batch: int) -> Edited:
            return self._by_the_loop(table, between, batch)

        held = hold if count else None
        return settled(asked, self.read, self.rounding, by_deltas, by_the_loop, held)

    def _by_the_loop(self, table: Table, between: Callable[[int], Any], batch: int) -> Edited:
        X, *others = self.asked.inputs
        model, given = self.asked.model, tuple(others)
        edits = ((n, self._laid(each).to(X)) for n, each in self.edited_columns(table))
        raw = naive.changes(
            model, X, given, edits, read=self.read, batch=batch, between=between
        )  # fmt: skip
        original = naive.originals(model, X, given, self.read)
        return Edited(raw.cpu(), original.cpu(), exact=False, local=False)

    def edited_columns(self, table: Table) -> Iterator[tuple[int, Tensor]]:
        """Each edit's sequence, and that sequence with the edit in it, [A, L]."""
        sequences = self.asked.sequences
        size = sequences.size
        letters = torch.cat([torch.eye(size).double(), sequences.ambiguous, torch.zeros(1, size)])
        columns = sequences.columns.cpu()
        for edit, n in enumerate(table.sequence.tolist()):
            positions, put = table.rows(edit)
            made = columns[n].clone()
            made[:, torch.from_numpy(positions)] = letters[put].T.to(made)
            yield n, made


@contextlib.contextmanager
def request(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None, options: Options
) -> Iterator[Request]:
    """Check everything but the edits, take the turn, and compute in the number types asked for."""
    read_verify(options.verify)
    read_func(options.func)
    with in_turn, contextlib.ExitStack() as stack:
        asked = ask(
            model, X, args, start=0, end=None, layout=options.layout, alphabet=options.alphabet,
            precision=options.precision, memory=options.memory, device=options.device,
        )  # fmt: skip
        read = Read(options.target, options.func)
        yield Request(asked, options, read, stack.enter_context(exactly(asked)))
