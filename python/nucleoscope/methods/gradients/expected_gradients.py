"""Expected gradients: integrated gradients from many baselines, of which each takes a few nodes only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.gradients.backward import Inputs
from nucleoscope.engine.gradients.path import Points, sums
from nucleoscope.engine.gradients.quadrature import Numbers, halves
from nucleoscope.methods.dinucleotide_shuffle import read_count, read_random_state
from nucleoscope.methods.gradients.along_paths import Walk, with_errors
from nucleoscope.methods.gradients.baselines import Baselines, in_view, read_baselines
from nucleoscope.methods.gradients.differentiating import Found, Opened, attributed
from nucleoscope.result import Attribution

Model = nn.Module | Callable[..., Any]


def expected_gradients(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    baselines: str | Tensor = "dinucleotide",
    target: Any = None,
    n_shuffles: int = 20,
    n_steps: int = 4,
    random_state: int | None = None,
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
    """What each base adds to the output, on average over the ways from many baselines to the sequence.

    The scores of a sequence add up, in the limit, to its output less the mean over its baselines. Which
    baselines were drawn is most of the error: `error_bar` is half the difference between two halves of them,
    relative to the map's size, and stands for one standard error.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, memory, progress, reverse_complement, shifts
        As of `saturation_mutagenesis`.
    baselines
        ``"dinucleotide"``: `n_shuffles` of each sequence, by `dinucleotide_shuffle`; or a tensor laid out as X
        of several for each sequence, [N, n, 4, L], or for all, [1, n, 4, L].
    n_steps
        Nodes for each baseline. They are midpoints that interleave: n baselines of m nodes lie as n * m
        midpoints do, in an order drawn from `random_state`.
    random_state
        Of the shuffles and that order; None: other ones at each call.
    hypothetical, center, precision
        As of `integrated_gradients`.

    Returns
    -------
    Attribution
        ``scores``, ``error_bar`` and ``gap`` (both [N, T]), and checks.

    Raises
    ------
    TypeError, ValueError, IndexError
        As `integrated_gradients`; of a single baseline that method is the one to use.

    Source: Erion et al. 2021 (Nat. Mach. Intell. 3, 620); Lundberg's GradientExplainer is its Monte Carlo form.

    Equivalent to (one model, one strand, no shift)::

        mean over baselines b of integrated_gradients(model, X, baselines=b, method="midpoint", n_steps=n_steps)
    """
    alphabet = alphabet_of(model, alphabet)
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
        raise ValueError(f"n_steps={n_steps!r}: a number of nodes for each baseline, 1 or more")
    count, seed = read_count("n_shuffles", n_shuffles), read_random_state(random_state)
    walks: list[Walk] = []

    def explain(opened: Opened) -> Found:
        given = in_view(baselines, opened.view, layout, alphabet)
        starts = read_baselines(given, opened.asked.sequences, count, seed)
        if starts.count < 2:
            raise ValueError(
                "baselines: one for each sequence is one path each: nucleoscope.integrated_gradients takes it. An "
                "expectation needs two at least."
            )
        walks.append(_walk(opened, starts, interleaved(starts.count, int(n_steps), seed), progress))
        return Found(walks[-1].raw, walks[-1].original, walks[-1].facts, walks[-1].checks)

    made = attributed(
        "expected_gradients", explain, model, X, args, target=target, func=func, center=center,
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
        more={"baselines": baselines if isinstance(baselines, str) else "given"},
    )  # fmt: skip
    return with_errors(made, walks)


def interleaved(count: int, steps: int, seed: int) -> Numbers:  # [count, steps]
    """Each baseline's nodes; those of all are the midpoints of count * steps equal parts."""
    order = np.random.default_rng([seed % 2**64, count]).permutation(count)
    return (np.arange(steps) + (order[:, None] + 0.5) / count) / steps


@dataclass(frozen=True)
class _Fan:
    """Paths from all baselines of some sequences: point j of a sequence is of baseline j // steps."""

    opened: Opened
    inputs: Inputs
    starts: Tensor  # [N or 1, n, A, L]
    nodes: Numbers  # [n, steps]

    def start(self, points: Points) -> Tensor:
        """The baseline of each point, [B, A, L]."""
        row = points.row if len(self.starts) > 1 else points.row * 0
        return self.starts[row, points.node // self.nodes.shape[1]]

    def place(self, points: Points) -> Inputs:
        """The model's inputs at points."""
        b, (X, *rest) = self.opened.as_given(self.start(points)), self.inputs
        row = points.row.to(X.device)
        share = torch.from_numpy(self.nodes.reshape(-1))[points.node].to(X)[:, None, None]
        return (b + share * (X[row] - b), *(t[row] for t in rest))

    def then(self, points: Points, found: Inputs) -> Inputs:
        """What each letter would count if it stood there, of each point alone: [B, T, A, L]."""
        G = self.opened.columns(found[0])
        b = self.start(points).to(G)[:, None]
        return (G - (b * G).sum(2, keepdim=True),)


def _walk(opened: Opened, starts: Baselines, nodes: Numbers, progress: bool) -> Walk:
    count, steps = nodes.shape
    even = np.full(count, 1 / count)
    share = np.repeat(np.stack([even, halves(even)]) / steps, steps, axis=1)
    parts, backward = [], opened.backward
    bar = tqdm(
        total=len(opened) * nodes.size, unit=" gradients", disable=not progress, unit_scale=True
    )
    with bar:
        for rows, inputs in opened.blocks():
            fan = _Fan(opened, inputs, starts.of(rows), nodes)
            (made,) = sums(backward, fan.place, len(inputs[0]), share, bar.update, fan.then)
            after = backward.values(inputs).cpu()
            before = torch.stack([backward.values(_at(fan, k)).cpu() for k in range(count)]).mean(0)
            there = opened.columns(inputs[0]).cpu().double()[:, None]
            map_, error = (made[i].double() * there for i in (0, 1))
            norms = [m.flatten(2).pow(2).sum(2).sqrt() for m in (error, map_)]
            total, absolute = map_.flatten(2).sum(2), map_.flatten(2).abs().sum(2)
            spent = torch.full((len(after),), nodes.size)
            parts.append((made[0], after, after - before, total, absolute, *norms, spent))
    return Walk(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _at(fan: _Fan, k: int) -> Inputs:
    """The model's inputs at one baseline of each sequence."""
    start = fan.starts[:, k].expand(len(fan.inputs[0]), -1, -1)
    return (fan.opened.as_given(start), *fan.inputs[1:])
