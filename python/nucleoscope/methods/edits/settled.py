"""Raw changes of any edits: by deltas and held against the model, or by the plain loop where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.steady import check_steady
from nucleoscope.engine.edits.changes import Changes
from nucleoscope.engine.edits.edited import Edited
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.graph import FixedBatch, Untraceable
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import forget, is_held
from nucleoscope.methods.edits.loop_batch import loop_batch
from nucleoscope.methods.running import warn_of_the_loop, warn_of_whole_outputs
from nucleoscope.result import Check

LOOP = "plain loop"
Found = TypeVar("Found", Changes, Edited)


def settled(
    asked: Asked,
    read: Read,
    rounding: list[str],
    by_deltas: Callable[[], Found],
    by_the_loop: Callable[[int], Found] | None,  # so many edited sequences a batch; None: refused
    hold: Callable[[Found], tuple[Found, object]] | None,  # to the model; it may make finer ones
) -> tuple[Found, str, tuple[Check, ...]]:
    """The raw changes, by which engine they were made, and the checks they passed."""
    seen_before = is_held(asked.model)
    try:
        found = by_deltas()
    except Untraceable as why:
        if by_the_loop is None:
            raise
        warn_of_the_loop(why, rounding)
        found = by_the_loop(_batch(asked, read, single=isinstance(why, FixedBatch)))
        check_answers(found, read)
        said = "none needed: the plain loop is the definition"
        return found, LOOP, (Check("verification", True, said),)
    warn_of_whole_outputs(found.untraced)
    check_answers(found, read)
    engine = "delta" if found.local else "delta, then the model's own tail"
    if hold is None:
        return found, engine, ()
    try:
        found, verdict = hold(found)
    except Disagreement:
        if not seen_before:
            raise
        forget(asked.model)  # something may have changed that no key holds: a global, a file
        return settled(asked, read, rounding, by_deltas, by_the_loop, hold)
    return found, engine, (Check("verification", True, str(verdict)),)


def check_answers(found: Changes | Edited, read: Read) -> None:
    """Raise ValueError that says whose numbers are NaN or infinite."""
    if not torch.isfinite(found.raw).all():
        who = "func: of some edits it returns" if read.func else "model: some edits make its output"
        raise ValueError(f"{who} NaN or infinite; no scores can be given")


def _batch(asked: Asked, read: Read, single: bool) -> int:
    """How many edited sequences the plain loop gives to the model at once."""
    X, *others = asked.inputs
    batch = 1 if single else loop_batch(asked.model, X, tuple(others), asked.memory)
    if batch > 1:
        check_steady(asked.model, X, tuple(others), read, batch)
    return batch
