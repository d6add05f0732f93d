"""Sequence, tracks and covariates in one call: what each input adds, and its slope in its own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.answers.steady import answer, check_finite, check_steady
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.quadrature import rule
from nucleoscope.engine.graph import FixedBatch
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods.gradients.baselines import one_for_each, read_baselines
from nucleoscope.methods.running import exactly, read_func, versions
from nucleoscope.methods.tracks.track_edits import Inputs
from nucleoscope.methods.tracks.track_effect import asked_for, inputs_of
from nucleoscope.result import Check

METHODS = ("integrated_gradients", "input_x_gradient")
Baseline = float | Tensor


@dataclass(frozen=True, eq=False)
class ModalAttribution:
    """What each of a model's inputs adds; X first, then `args` in their order.

    `scores` are in the output's units and can be compared between inputs; `slopes` are the output's units by
    one unit of the input (a read of ATAC, a fold change): those of two inputs cannot.
    """

    scores: tuple[Tensor, ...]  # [N, *shape] each, or [N, T, *shape] for a list of targets
    slopes: tuple[Tensor, ...]  # the same shapes
    original: Tensor  # [N, T]
    baseline: Tensor | None  # the target's value at the baseline, [N, T]
    gap: Tensor | None  # what all scores' sum misses of original - baseline, [N, T]
    facts: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    @property
    def shares(self) -> Tensor:
        """The sum of |score| of each input, of all inputs' together: [N, inputs], over all targets."""
        sizes = torch.stack([s.abs().flatten(1).sum(1) for s in self.scores], 1)
        made: Tensor = sizes / sizes.sum(1, keepdim=True)
        return made


def modal_attributions(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...],  # further inputs, each [N, ...]
    *,
    method: str = "integrated_gradients",
    baselines: str | Tensor = "uniform",
    args_baselines: Sequence[Baseline] | None = None,
    n_steps: int = 32,
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
        Of the sequence, as of `integrated_gradients`.
    args_baselines
        One for each of `args`: a number, or a tensor [1, ...] or [N, ...]. 0 by default: no reads, no motif.
    n_steps
        Nodes of the path, 8 or more: Gauss-Legendre on a smooth net, midpoints on one with kinks.

    The other arguments are those of `saturation_mutagenesis`; every input must be of floating point.

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
    whole = isinstance(n_steps, Integral) and not isinstance(n_steps, bool)
    if not whole or n_steps < 8:
        raise ValueError(f"n_steps={n_steps!r}: a number of nodes, 8 or more")
    read_func(func)
    read, along = Read(target, func), method == "integrated_gradients"
    with in_turn:
        asked = asked_for(model, X, args, alphabet, precision)
        for i, arg in enumerate(asked.others):
            if not arg.is_floating_point():
                raise TypeError(f"args[{i}]: it holds {arg.dtype}, of which there is no slope")
        starts = one_for_each(read_baselines(baselines, asked.sequences))
        others = _read_others(args_baselines, asked.others)
        with exactly(asked):
            backward = _backward(asked, read, memory)
            smooth = not backward.look.kinks
            path = rule("gauss_legendre" if smooth else "midpoint", n_steps)
            nodes, weights = (path.nodes, path.weights) if along else (np.ones(1), np.ones(1))
            found = []
            for n in range(len(X)):
                own = inputs_of(asked, n)
                base = (
                    starts.of(slice(n, n + 1))[0][:1],
                    *(o[min(n, len(o) - 1)][None] for o in others),
                )
                start = tuple(b.to(t) for b, t in zip(base, own, strict=True))
                slopes = _mean_slopes(backward, own, start, nodes, weights)
                ends = backward.values(own), backward.values(start) if along else None
                found.append((own, start, slopes, ends))
    many = isinstance(target, list)
    return _result(found, many, along, {
        "method": method, "target": str(read), "rule": path.name if along else "at the inputs",
        "n_steps": n_steps if along else 1, "precision": precision,
        "units": "scores: the output's; slopes: the output's by one of the input", **versions(),
    })  # fmt: skip


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


def _result(found: list[Any], many: bool, along: bool, facts: dict[str, Any]) -> ModalAttribution:
    """The sequences' parts together."""
    scores: list[list[Tensor]] = []
    slopes: list[list[Tensor]] = []
    for own, start, slope, _ in found:
        mine = list(slope)
        if not along:  # off the simplex nothing is known of letters
            mine[0] = mine[0] - mine[0].mean(1, keepdim=True)
        changes = [x - b if along else x for x, b in zip(own, start, strict=True)]
        scores.append([g * c for g, c in zip(mine, changes, strict=True)])
        slopes.append(mine)
    which = slice(None) if many else 0
    together = [
        tuple(torch.stack(each)[:, which].cpu() for each in zip(*parts, strict=True))
        for parts in (scores, slopes)
    ]
    original = torch.cat([ends[0] for *_, ends in found]).cpu()
    if not along:
        return ModalAttribution(together[0], together[1], original, None, None, facts)
    baseline = torch.cat([ends[1] for *_, ends in found]).cpu()
    sums = torch.stack([
        sum((s.flatten(1).sum(1) for s in each), torch.zeros((), dtype=original.dtype)) for each in scores
    ])  # fmt: skip
    gap = sums.cpu() - (original - baseline)
    largest = float((original - baseline).abs().max())
    off = float(gap.abs().max())
    said = f"all inputs' scores miss {off:.1e} of the largest difference of outputs, {largest:.2g}"
    check = Check("completeness", off <= 0.05 * largest, said)
    return ModalAttribution(together[0], together[1], original, baseline, gap, facts, (check,))


def _read_others(given: Any, others: tuple[Tensor, ...]) -> list[Tensor]:
    """The baselines of the further inputs, [1, ...] or [N, ...]."""
    if given is None:
        given = [0.0] * len(others)
    if (
        isinstance(given, Tensor)
        or not isinstance(given, list | tuple)
        or len(given) != len(others)
    ):
        raise ValueError(f"args_baselines: give one for each of the {len(others)} further inputs")
    made = []
    for i, (one, arg) in enumerate(zip(given, others, strict=True)):
        if isinstance(one, Real):
            made.append(torch.full_like(arg[:1], float(one)))
        elif (
            isinstance(one, Tensor) and one.shape[1:] == arg.shape[1:] and len(one) in (1, len(arg))
        ):
            made.append(one.detach())
        else:
            shape = tuple(one.shape) if isinstance(one, Tensor) else repr(one)
            raise ValueError(
                f"args_baselines[{i}]: {shape}, where a number or a tensor [1 or {len(arg)}, "
                f"{', '.join(map(str, arg.shape[1:]))}] is needed"
            )
    return made
