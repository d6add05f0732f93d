"""Integrated gradients: the mean gradient between a baseline and the sequence, with an error bar."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.gradients.first_layer import SAID, interpolated
from nucleoscope.engine.gradients.integral import by_halves, by_thirds, integral
from nucleoscope.engine.gradients.quadrature import LEAST, NAMES, rule
from nucleoscope.methods.gradients.along_paths import Take, Walk, walk, with_errors
from nucleoscope.methods.gradients.baselines import in_view, one_for_each, read_baselines
from nucleoscope.methods.gradients.differentiating import Found, Opened, attributed
from nucleoscope.methods.running import levels_to_the_caller
from nucleoscope.result import Attribution, Check

Model = nn.Module | Callable[..., Any]

STEPS, MOST = 32, 1000


class NotConverged(UserWarning):
    """The error bar did not meet the tolerance within the number of steps allowed."""


def integrated_gradients(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    baselines: str | Tensor = "uniform",
    target: Any = None,
    n_steps: int | None = None,
    method: str = "auto",
    tolerance: float | None = None,
    func: Func | None = None,
    hypothetical: bool = False,
    center: str = "none",
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    progress: bool = False,
    reverse_complement: bool = False,
    shifts: Sequence[int] = (0,),
) -> Attribution:  # scores [N, 4, L], or [N, T, 4, L] for a list of targets
    """What each base adds to the output on the straight way from a baseline, and how exact that is.

    The scores of a sequence add up to its output less the baseline's. How far they miss that is
    `gap`, in the output's units; alone it is no measure of the scores' error (which is 0.1 to 100 times as much).
    That is `error_bar`: what the map is off by relative to its size, estimated from two halves of the nodes and,
    for outputs that jump between two nodes, from the gap.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, memory, progress, reverse_complement, shifts
        As of `saturation_mutagenesis`. `args` stay as they are along the path. What is held does not grow
        with `n_steps`.
    baselines
        ``"uniform"`` (equal parts of all letters), ``"zeros"``, or a tensor laid out as X of one baseline
        for all, [1, 4, L], or one for each; its columns are letters, mixtures of them, or empty.
    n_steps
        Nodes on the path, 8 or more; 32 unless said. With `tolerance` the most that a sequence may take
        (1,000 unless said).
    method
        ``"gauss_legendre"``, ``"midpoint"``, ``"trapezoid"``, ``"left"``, ``"right"``, or captum's names of
        them. ``"auto"``: Gauss-Legendre on a net that is smooth, where 16 nodes do, and midpoints on one
        with kinks (ReLU, max-pool), where every rule's error falls as 1 / n and midpoints' is the smallest.
    tolerance
        Refine until the error bar is at most this and has fallen: midpoints from 8 to 24 to 72, on a smooth
        net Clenshaw-Curtis from 9 to 17 to 33. No gradient is computed twice; sequences that are done stop.
    hypothetical
        Keep for every letter what it would count if it stood there with the gradient as it is.
    center
        ``"mean"`` takes the mean over the letters of a site off, as of `saliency`. With baselines whose
        columns add up to 1 nothing points off the simplex as it is; with zeros it does, and without it
        the scores do not add up.
    precision
        ``"fp32"``, or ``"fp64"``: a copy of the model in float64 is asked. ``"bf16"``, on a processor with
        AVX512_BF16: gradients by products of bfloat16, targets in float32; a check says what they are off by, at
        the first sequence, and the error bar is of the rule alone.

    Returns
    -------
    Attribution
        ``scores``, ``error_bar`` and ``gap`` (both [N, T]), the rule and why in ``facts``, and checks. Of
        several models and views the bars are averaged.

    Raises
    ------
    TypeError, ValueError, IndexError
        As `saliency`, and for baselines of another shape or off the simplex.

    Warns
    -----
    NotConverged
        Where `tolerance` was not met within `n_steps`.

    Source: Sundararajan et al. 2017 (ICML, PMLR 70, 3319).

    Equivalent to (one model, one strand, no shift)::

        G = sum(w * gradient(b + a * (X - b)) for a, w in zip(nodes, weights))
        scores = G - (b * G).sum(1, keepdim=True)
        scores if hypothetical else scores * X    # summed over letters: ((X - b) * G).sum(1)
    """
    alphabet = alphabet_of(model, alphabet)
    steps = _read_steps(n_steps, method, tolerance)
    if precision == "bf16" and tolerance is not None:
        raise ValueError(
            f"tolerance={tolerance!r}: an error bar is of the rule, and what bfloat16 rounds is not in it; refine "
            "with precision='fp32'"
        )
    walks: list[Walk] = []

    def explain(opened: Opened) -> Found:
        take, named = _taking(method, steps, tolerance, opened.backward.look.kinks)
        given = in_view(baselines, opened.view, layout, alphabet)
        starts = one_for_each(read_baselines(given, opened.asked.sequences))
        expected = steps if tolerance is None else LEAST
        walks.append(walk(opened, starts, take, expected, progress))
        checks = (*walks[-1].checks, *_converged(walks[-1], tolerance))
        facts = {"rule": named, **walks[-1].facts}
        if interpolated(opened.backward) is not None:
            facts["first_layer"] = SAID
        return Found(walks[-1].raw, walks[-1].original, facts, checks)

    made = attributed(
        "integrated_gradients", explain, model, X, args, target=target, func=func, center=center,
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
        more={"baselines": baselines if isinstance(baselines, str) else "given"},
        points=steps if tolerance is None else LEAST,
    )  # fmt: skip
    return with_errors(made, walks)


def _read_steps(n_steps: Any, method: str, tolerance: Any) -> int:
    """Check how a path is to be integrated; how many nodes it takes, or may take."""
    if tolerance is not None:
        if not isinstance(tolerance, float | int) or not 0 < tolerance < 1:
            raise ValueError(
                f"tolerance={tolerance!r}: what the map may be off by, of its size; 0.01 is 1 %"
            )
        if method not in ("auto", "midpoint", "riemann_middle"):
            raise ValueError(
                f"method={method!r}: with a tolerance, rules must be nested, so that no gradient is lost: use "
                "'auto' or 'midpoint'"
            )
    steps = (STEPS if tolerance is None else MOST) if n_steps is None else n_steps
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < LEAST:
        raise ValueError(
            f"n_steps={n_steps!r}: a number of nodes, {LEAST} or more: of fewer the error bar is not to be "
            "believed"
        )
    if method != "auto" and method not in NAMES:
        raise ValueError(f"method={method!r}: use 'auto' or one of {', '.join(map(repr, NAMES))}")
    return int(steps)


def _taking(
    method: str, steps: int, tolerance: float | None, kinks: tuple[str, ...]
) -> tuple[Take, str]:
    """How to integrate, and what a result says of it."""
    smooth = not kinks and method == "auto"
    why = f" (kinks: {', '.join(kinks)})" if kinks else " (the model is smooth)"
    if tolerance is not None:
        by = by_halves if smooth else by_thirds
        take = functools.partial(_refining, by, tolerance, steps)
        return take, ("clenshaw_curtis" if smooth else "midpoint") + why
    name = ("gauss_legendre" if smooth else "midpoint") if method == "auto" else NAMES[method]
    fixed = rule(name, steps)
    return lambda backward, paths, update: integral(backward, paths, fixed, update), name + why


def _refining(by: Any, tolerance: float, most: int, backward: Any, paths: Any, update: Any) -> Any:
    return by(backward, paths, tolerance, most, update)


def _converged(found: Walk, tolerance: float | None) -> list[Check]:
    if tolerance is None:
        return []
    open_ = (found.bar > tolerance).any(1)
    said = f"{int((~open_).sum())} of {len(open_)} sequences are within {tolerance:g}"
    if open_.any():
        warnings.warn(
            f"tolerance={tolerance:g}: {said} after {int(found.nodes.max())} nodes; the others are off by up to "
            f"{float(found.bar.max()):.2g} of their size. Allow more by n_steps.",
            NotConverged,
            stacklevel=levels_to_the_caller(),
        )
    return [Check("tolerance", not open_.any(), said)]
