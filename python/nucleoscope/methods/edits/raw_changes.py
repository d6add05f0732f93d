"""A checked request -> raw changes: by deltas and verified, or by the plain loop where that cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from nucleoscope.engine.answers.half import check_half, half_type
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.saturation import Unsaturated
from nucleoscope.engine.edits.changes import Changes, by_deltas
from nucleoscope.engine.edits.verify import verify as verify_edits
from nucleoscope.engine.prepare import Asked
from nucleoscope.methods.edits.linear_trunk import ENGINE, LinearTrunk, Screen
from nucleoscope.methods.edits.settled import settled
from nucleoscope.methods.running import exactly, facts_of
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.result import Check


@dataclass(frozen=True)
class Answered:
    """Raw changes, how they were made, and the checks they passed."""

    found: Changes
    engine: str
    checks: tuple[Check, ...]
    facts: dict[str, Any]
    screen: Screen | None = None  # where some are approximations: which, and what they are off by


def answered(
    asked: Asked, read: Read, verify: int, progress: bool, trunk: LinearTrunk | None = None
) -> Answered:
    """What every substitution at the asked sites does to the targets, verified."""
    with exactly(asked) as rounding, _named_half(asked):
        screen = Screen(trunk) if trunk else None
        found, engine, checks = _changes(asked, read, verify, progress, rounding, screen)
        if asked.half is not None:
            few = asked.part(0, 4)
            effect, original = float(found.raw.abs().max()), found.original[:4]
            said = check_half(asked.half, few, read, original, effect)
            checks = (*checks, Check("half precision", True, said))
    facts = facts_of(asked, read, found, engine)
    if screen is not None:
        checks = (*checks, screen.check)
    return Answered(found, engine, checks, facts, screen)


@contextlib.contextmanager
def _named_half(asked: Asked) -> Iterator[None]:
    """Of a model that fails as a float32 copy, say that this is what failed."""
    try:
        yield
    except ValueError as error:
        if asked.half is None or not str(error).startswith("X: the model fails"):
            raise
        raise ValueError(
            f"model: its weights are {half_type(asked.half)}, and as a copy in float32, which is what is "
            f"computed with, it fails: {str(error).splitlines()[0]}. Does forward cast to half precision "
            "itself? Let it cast to the type of its weights, or call model.float()."
        ) from error


def _changes(
    asked: Asked,
    read: Read,
    verify: int,
    progress: bool,
    rounding: list[str],
    screen: Screen | None,
) -> tuple[Changes, str, tuple[Check, ...]]:
    """The raw changes, by which engine they were made, and the checks they passed."""

    def make() -> Changes:
        bar.reset()  # after a trace that was thrown away
        return (screen.changes if screen else by_deltas)(asked, read, bar.update)

    def loop(batch: int) -> Changes:
        with Unsaturated() if read.func else contextlib.nullcontext():
            return _looped(asked, read, bar.update, batch)

    def hold(found: Changes) -> tuple[Changes, object]:
        among = screen.exact if screen else None
        return found, verify_edits(asked, found, read, verify, 0, among)

    edits = asked.sequences.letters[:, asked.start : asked.end].size * (asked.sequences.size - 1)
    with tqdm(total=edits, unit=" edits", disable=not progress, unit_scale=True) as bar:
        found, engine, checks = settled(
            asked, read, rounding, make, None if screen else loop, hold if verify else None
        )
    return found, ENGINE if screen else engine, checks


def _looped(asked: Asked, read: Read, between: Callable[[int], Any], batch: int) -> Changes:
    X, *others = asked.inputs
    axis = 1 if asked.sequences.layout == "NCL" else 2
    sites = range(asked.start, asked.end)
    raw = naive(
        asked.model, X, tuple(others), sites=sites, letters=axis, read=read, batch=batch,
        between=lambda edits: between(edits * (X.shape[axis] - 1) // X.shape[axis]),
    )  # fmt: skip
    with torch.no_grad():
        own = [  # of copies: a model may write into what it is given
            read(asked.model(*(t[n : n + 1].clone() for t in (X, *others)))) for n in range(len(X))
        ]
    return Changes(raw.cpu(), torch.cat(own).cpu(), exact=False, local=False)
