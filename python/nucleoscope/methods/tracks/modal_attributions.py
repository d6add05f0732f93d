"""Sequence, tracks and covariates in one call: what each input adds, and its slope in its own units."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.answers.steady import answer, check_finite, check_steady
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.quadrature import rule
from nucleoscope.engine.graph import FixedBatch
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods.edits.one_by_one import each_of
from nucleoscope.methods.edits.several import Models
from nucleoscope.methods.ensemble import members
from nucleoscope.methods.gradients.baselines import one_for_each, read_baselines
from nucleoscope.methods.running import exactly, read_func, versions
from nucleoscope.methods.tracks.args_baselines import read_args_baselines
from nucleoscope.methods.tracks.modal_result import (
    ModalAttribution,
    averaged_over_models,
    together,
)
from nucleoscope.methods.tracks.track import Inputs
from nucleoscope.methods.tracks.track_effect import asked_for, inputs_of, settings_of

METHODS = ("integrated_gradients", "input_x_gradient")
Baseline = float | Tensor
STEPS = 32


def modal_attributions(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...],  # further inputs, each [N, ...]
    *,
    method: str = "integrated_gradients",
    baselines: str | Tensor | None = None,
    args_baselines: Sequence[Baseline] | None = None,
    n_steps: int | None = None,
    target: Any = None,
    func: Func | None = None,
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int = 1 << 30,
) -> ModalAttribution:
    """Attributions of every input of a model in one call: sequence, tracks, motif scores and covariates.

    ``"integrated_gradients"``: all inputs go together from their baselines to what they are, and each adds what
    its own change does along the way; over all inputs the scores add up to the output less the baseline's,
    and `gap` is what they miss. ``"input_x_gradient"``: the slope at the inputs times them (EpiBERT's ATAC
    gradient times input); the sequence's is the slope at the letters there, less the mean over all four.

    Parameters
    ----------
    baselines
        Of the sequence, as of `integrated_gradients`; ``"uniform"`` by default. This and the next two are of
        paths: of ``"integrated_gradients"`` alone.
    args_baselines
        One for each of `args`: a number, or a tensor [1, ...] or [N, ...]. 0 by default: no reads, no motif.
    n_steps
        Nodes of the path, 8 or more, 32 by default: Gauss-Legendre on a smooth net, midpoints on one with kinks.

    The other arguments are those of `saturation_mutagenesis`; every input must be of floating point. Of several
    models (EpiBERT's folds) all is the mean, and `spread` the standard deviation of the scores.

    Raises
    ------
    TypeError, ValueError, IndexError
        For a method that there is not, a baseline of another shape, an input of whole numbers (no slope), a
        model without a gradient, and what `saturation_mutagenesis` refuses.

    Source: Sundararajan et al. 2017; Javed et al. 2025 (gradient times input of accessibility).

    Equivalent to::

        slopes = sum(w * grad(read(model(*(b + t * (x - b)))), inputs) for t, w in nodes)
        scores = [slope * (x - b) for slope, x, b in zip(slopes, inputs, baselines)]
    """
    alphabet = alphabet_of(model, alphabet)
    if method not in METHODS:
        raise ValueError(f"method={method!r}: use one of {', '.join(map(repr, METHODS))}")
    along = method == "integrated_gradients"
    if not along:
        _no_path(baselines=baselines, args_baselines=args_baselines, n_steps=n_steps)
    ends = ("uniform" if baselines is None else baselines), args_baselines
    steps = _read_steps(n_steps) if along else None
    read_func(func)
    read = Read(target, func)

    def explain(one: Any) -> ModalAttribution:
        with in_turn:
            asked = asked_for(one, X, args, alphabet, precision)
            with exactly(asked):
                return _explained(asked, read, ends, steps, memory)

    settings = settings_of(alphabet, precision)
    return averaged_over_models(each_of(members(model), X, args, read, settings, explain))


def _explained(
    asked: Asked, read: Read, ends: tuple[Any, Any], steps: int | None, memory: int
) -> ModalAttribution:
    """What one model's inputs add, along a path of so many nodes, or by the slope where they are."""
    for i, arg in enumerate(asked.others):
        if not arg.is_floating_point():
            raise TypeError(f"args[{i}]: it holds {arg.dtype}, of which there is no slope")
    starts = one_for_each(read_baselines(ends[0], asked.sequences))
    others = read_args_baselines(ends[1], asked.others)
    backward = _backward(asked, read, memory)
    nodes, weights, named = np.ones(1), np.ones(1), "at the inputs"
    if steps is not None:
        path = rule("midpoint" if backward.look.kinks else "gauss_legendre", steps)
        nodes, weights, named = path.nodes, path.weights, path.name
    found = []
    for n in range(len(asked.sequences.letters)):
        own = inputs_of(asked, n)
        base = (starts.of(slice(n, n + 1))[0][:1], *(o[min(n, len(o) - 1)][None] for o in others))
        start = tuple(b.to(t) for b, t in zip(base, own, strict=True))
        slopes = _mean_slopes(backward, own, start, nodes, weights)
        values = backward.values(own), backward.values(start) if steps is not None else None
        found.append((own, start, slopes, values))
    return together(found, read, steps is not None, {
        "method": METHODS[0] if steps is not None else METHODS[1],
        "target": str(read), "rule": named, "n_steps": len(nodes), "precision": asked.precision,
        "units": "scores: the output's; slopes: the output's by one of the input", **versions(),
    })  # fmt: skip


def _no_path(**given: Any) -> None:
    """Refuse what is said of a path, where there is none."""
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise ValueError(
            f"{named[0]}: input_x_gradient takes the slope at the inputs, from no baseline and along no path; "
            "leave it out, or use method='integrated_gradients'"
        )


def _read_steps(n_steps: Any) -> int:
    """Check how many nodes a path has."""
    if n_steps is None:
        return STEPS
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 8:
        raise ValueError(f"n_steps={n_steps!r}: a number of nodes, 8 or more")
    return int(n_steps)


def _backward(asked: Asked, read: Read, memory: int) -> Backward:
    """The targets, differentiable by every input."""
    check_finite(asked.model)
    X, *others = asked.part(0, 1)
    answer(asked.model, X, tuple(others))
    try:
        check_steady(asked.model, X, tuple(others), read)
        single = False
    except FixedBatch:
        single = True
    net = doubled(asked.model) if asked.dtype != asked.native else asked.model

    def targets(*given: Tensor) -> Tensor:
        made = read.ask(net, *given)
        where = read.leaves(made)
        return where.read(where.joined(made))

    own = inputs_of(asked, 0)
    return Backward(net, targets, own, wanted=len(own), memory=memory, single=single)


def _mean_slopes(
    backward: Backward, own: Inputs, start: Inputs, nodes: Any, weights: Any
) -> list[Tensor]:
    """The weighted mean of each input's gradient along the path, [T, *shape] each."""
    total: list[Tensor] = []
    for first in range(0, len(nodes), backward.rows):
        part = slice(first, first + backward.rows)
        points = []
        for x, b in zip(own, start, strict=True):
            share = torch.as_tensor(nodes[part]).to(x).view(-1, *[1] * (x.ndim - 1))
            points.append(b + share * (x - b))
        of = backward(tuple(points)).of  # [B, T, *shape] each
        share = torch.as_tensor(weights[part])
        sums = [torch.einsum("b,b...->...", share.to(g), g) for g in of]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
    return total
