"""Targets that no letter changes: their scores are zeros or rounding, and a result says so."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import doubled
from nucleoscope.result import Check

NOTHING = 1e-9  # of a target: a letter that changes it by less does not change it
DOUBTED = 1e-5  # of a target: what float32 may leave of contributions that cancel
SAME = 1e-12  # of a target: what float64 leaves of them
SHOWN = 5  # targets that are named


def unmoved(asked: Asked, read: Read, raw: Tensor, original: Tensor) -> list[Check]:
    """A check that fails, where targets do not move: raw scores [N, T, A, L] of targets [N, T].

    Scores between `NOTHING` and `DOUBTED` may be rounding or small effects. Of these the targets are asked in
    float64, at the sequences and at others.
    """
    largest = raw.abs().amax((2, 3)).double()
    share = torch.where(largest > 0, largest / original.abs().double(), 0.0).amax(0)
    still, doubted = share <= NOTHING, (share > NOTHING) & (share <= DOUBTED)
    if doubted.any():
        still |= doubted & constant(asked, read)
    if not still.any():
        return []
    each = read.target if isinstance(read.target, list) else [read.target]
    named = [str(Read(each[t])) for t in still.nonzero()[:, 0].tolist()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    whose = f"{'targets' if len(named) > 1 else 'target'} {', '.join(named[:SHOWN])}{more}"
    said = (
        f"the scores of {whose} are 0, or rounding, for every letter of every sequence (at most "
        f"{float(share[still].max()):.1e} of its value). Is it constant, as a softmax summed over all classes is? "
        "Then ask for one class. Saturated? Ask for the logit, or by nucleoscope.targets.log_odds. Or does X not "
        "reach it?"
    )
    return [Check("target", False, said)]


def constant(asked: Asked, read: Read) -> Tensor:  # [T]
    """Whether targets are the same, to rounding, for a sequence and for it with other letters throughout.

    Asked in float64; a model that does not run in it is held to its own rounding.
    """
    try:
        return _same(_values(asked, read, torch.float64), SAME)
    except Exception:  # it cannot be copied, or pins its number type
        rounding = 8 * torch.finfo(asked.native).eps
        return _same(_values(asked, read, asked.native), rounding)


def _same(values: Iterator[Tensor], allowed: float) -> Tensor:
    """Whether numbers [T] stay what they are at first; no more of them are made once all have moved."""
    first = next(values)
    same = torch.ones(len(first), dtype=torch.bool)
    for other in values:
        same &= (other - first).abs() <= allowed * torch.maximum(other.abs(), first.abs())
        if not same.any():
            break
    return same


def _values(asked: Asked, read: Read, kind: torch.dtype) -> Iterator[Tensor]:  # each [T]
    model = asked.model if kind == asked.native else doubled(asked.model)
    n = int(
        asked.inputs[0].double().flatten(1).std(1).argmax()
    )  # letters moved are others; N stays N
    X, *others = (t.to(kind) if t.is_floating_point() else t for t in asked.part(n, n + 1))
    letters = 1 if asked.sequences.layout == "NCL" else 2
    for k in range(X.shape[letters]):
        with torch.no_grad():
            output = read.ask(model, X.roll(k, letters), *(t.clone() for t in others))
            where = read.leaves(output)
            made = where.read(where.joined(output))[0]
        if made.dtype != kind:
            raise TypeError("the model ends in a cast of its own")
        yield made.double().cpu()
