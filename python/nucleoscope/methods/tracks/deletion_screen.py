"""Deletions screened along a region: how much a predicted map changes when a stretch is taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.steady import answer, check_finite
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods.edits.one_by_one import averaged
from nucleoscope.methods.edits.several import Models
from nucleoscope.methods.ensemble import members
from nucleoscope.methods.running import exactly, versions
from nucleoscope.methods.tracks.track import Inputs, resolution, track_of
from nucleoscope.methods.tracks.track_effect import asked_for, inputs_of


@dataclass(frozen=True, eq=False)
class Deletions:
    """What each deletion changes of the predictions: the mean of |change| over the output, in its units."""

    impact: Tensor  # [sequence, deletion]
    starts: Tensor  # [deletion] first base that is taken out
    windows: Tensor  # [deletion] first base of the window that it is seen in
    width: int
    facts: dict[str, Any] = field(default_factory=dict)
    spread: Tensor | None = None  # standard deviation of the impact over several models


def deletion_screen(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, R] one-hot, a region longer than the model's input
    args: tuple[Tensor, ...]
    | None = None,  # tracks [N, channels, bins] of the same region; others [N, ...]
    *,
    length: int,
    width: int = 1000,
    step: int | None = None,
    output: str | int | None = None,
    alphabet: str | None = None,
    precision: str = "fp32",
) -> Deletions:  # impact [N, K]
    """C.Origami's in-silico screen: a stretch is deleted, what follows moves up, and the map is predicted anew.

    A deletion lies in the middle of a window of the model's `length`, as far as the region allows; the
    window is read `width` further, so that it is full again. Everything with positions is cut alike: the
    sequence and each track. The impact score is the mean of |prediction with less prediction without| over the
    whole output (`output` names one of several), in the output's units. Every deletion takes two forwards: what
    follows it moves, so no change is local.

    X's region must be at least ``length + width``; `step` is `width` by default. All three are whole numbers of
    the tracks' bins.

    Raises
    ------
    TypeError, ValueError
        For a region that is too short, a track (an input of three axes) whose bins are no whole number of
        bases, widths that end within a bin, several outputs of which none is named, and what
        `saturation_mutagenesis` refuses.

    Source: Tan et al. 2023 (Nat. Biotechnol. 41, 1140).

    Equivalent to::

        cut = torch.cat([X[:, :, w:p], X[:, :, p + width : w + length + width]], 2)   # and each track
        (model(cut) - model(X[:, :, w : w + length])).abs().mean()
    """
    alphabet = alphabet_of(model, alphabet)
    step = width if step is None else step
    for name, value in (("length", length), ("width", width), ("step", step)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value!r}: a number of bases, 1 or more")
    if width > length:
        raise ValueError(
            f"width={width}: a deletion lies in the middle of a window of length={length}: give no more than that"
        )
    models = members(model)
    with in_turn:
        first = asked_for(models[0], X, args, alphabet, precision)
        starts, windows = _laid(inputs_of(first, 0), length, width, step)
        each = [first, *(asked_for(one, X, args, alphabet, precision) for one in models[1:])]
        _check_alike(models, [_predicted(asked, length, output) for asked in each])
        impact, spread = averaged([
            _impact(asked, starts, windows, length, width, output) for asked in each
        ])  # fmt: skip
    facts = {
        "method": "deletion_screen", "length": length, "step": step, "output": output,
        "precision": precision, "score": "mean |change| over the output",
        **({"models": len(models)} if len(models) > 1 else {}), **versions(),
    }  # fmt: skip
    return Deletions(impact, starts, windows, int(width), facts, spread)


def _laid(own: Inputs, length: int, width: int, step: int) -> tuple[Tensor, Tensor]:
    """Where deletions begin, and the windows that they are seen in."""
    region = own[0].shape[2]
    if region < length + width:
        raise ValueError(
            f"X: a region of {region} bases; length + width = {length + width} are needed, so that the "
            "window is full behind a deletion"
        )
    grid = resolution(own)
    wrong = [n for n, v in (("length", length), ("width", width), ("step", step)) if v % grid]
    if wrong:
        raise ValueError(f"{wrong[0]}: the tracks' bins have {grid} bases: give a multiple")
    starts = torch.arange(0, region - width, step)  # one further on is behind all windows
    windows = ((starts + width // 2 - length // 2) // grid * grid).clamp(0, region - length - width)
    return starts, windows - windows % grid


def _predicted(asked: Asked, length: int, output: Any) -> list[int]:
    """The shape of what is predicted of the first window. Raises what names an argument that is not taken."""
    check_finite(asked.model)
    with exactly(asked), torch.no_grad():
        example, *others = _cut(asked.part(0, 1), 0, length)
        return list(_one(answer(asked.model, example, tuple(others)), output).shape[1:])


def _check_alike(models: list[Any], shapes: list[list[int]]) -> None:
    """Refuse maps of unlike shapes: their mean changes are of unlike things."""
    if any(shape != shapes[0] for shape in shapes):
        said = "; ".join(
            f"model {at + 1} ({type(model).__name__}) {shape}"
            for at, (model, shape) in enumerate(zip(models, shapes, strict=True))
        )
        raise ValueError(
            f"model: unlike maps are predicted: {said}. Name by output what all of them have, or screen by one at "
            "a time"
        )


def _impact(
    asked: Asked, starts: Tensor, windows: Tensor, length: int, width: int, output: Any
) -> Tensor:
    """The impact of each deletion on each region, by one model."""
    with exactly(asked), torch.no_grad():
        net = doubled(asked.model) if asked.dtype != asked.native else asked.model
        return torch.stack([
            _screened(net, inputs_of(asked, n), starts, windows, length, width, output)
            for n in range(len(asked.sequences.letters))
        ])  # fmt: skip


def _screened(
    net: nn.Module,
    own: Inputs,
    starts: Tensor,
    windows: Tensor,
    length: int,
    width: int,
    output: Any,
) -> Tensor:
    """The impact of each deletion on one region; neighbours in one window share its prediction."""
    found, at, before = [], -1, torch.empty(0)
    for start, window in zip(starts.tolist(), windows.tolist(), strict=True):
        if window != at:
            at, before = window, _one(net(*_cut(own, window, window + length)), output)
        left = _cut(own, window, start) if start > window else None
        right = _cut(own, start + width, window + length + width)
        after = _one(net(*(_joined(left, right) if left else right)), output)
        score = (after - before).abs().mean()
        if not torch.isfinite(score):
            raise ValueError(f"model: its output is NaN or infinite with the deletion at {start}")
        found.append(score)
    return torch.stack(found).cpu()


def _cut(own: Inputs, start: int, end: int) -> Inputs:
    """The bases [start, end) of all that runs along the sequence; other inputs as they are."""
    parts = [own[0][..., start:end]]
    for number, t in enumerate(own[1:]):
        if t.ndim == 3:
            per = track_of(own, number).step
            parts.append(t[..., start // per : end // per])
        else:
            parts.append(t)
    return tuple(parts)


def _joined(left: Inputs, right: Inputs) -> Inputs:
    return tuple(
        torch.cat([a, b], -1) if a.ndim == 3 and a is not b else b
        for a, b in zip(left, right, strict=True)
    )


def _one(made: Any, output: Any) -> Tensor:
    """The output that is asked about. Raises IndexError or TypeError that says what there is."""
    try:
        found = made if output is None else outputs.part(made, output)
    except (KeyError, TypeError) as error:
        raise IndexError(
            f"output={output!r}: no such part of what the model returns: {outputs.described(made)}"
        ) from error
    if not isinstance(found, Tensor):
        raise TypeError(
            f"output={output!r}: the model returns {outputs.described(made)}; say which part is predicted"
        )
    return found
