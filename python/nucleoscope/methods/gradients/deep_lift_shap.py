"""DeepLIFT's multipliers, averaged over baselines: DeepLIFT/SHAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.gradients.multipliers import Multipliers, Originals
from nucleoscope.engine.gradients.program import ABREAST
from nucleoscope.engine.prepare import forward
from nucleoscope.engine.workers import in_order, side_by_side
from nucleoscope.methods.dinucleotide_shuffle import read_count, read_random_state
from nucleoscope.methods.gradients.adding_up import added_up
from nucleoscope.methods.gradients.baselines import Baselines, in_view, read_baselines
from nucleoscope.methods.gradients.differentiating import Found, Opened, attributed
from nucleoscope.result import Attribution, Check

Model = nn.Module | Callable[..., Any]
UNKNOWN = ("refuse", "integrate")
# What contributions may miss: of the difference of outputs that they explain, and of the level of what is added,
# in a number type or integrated.
ROUNDING = {torch.float32: (1e-4, 1e-5), torch.float64: (1e-4, 1e-10)}
INTEGRATED = (1e-2, 1e-4)


def deep_lift_shap(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    baselines: str | Tensor = "dinucleotide",
    target: Any = None,
    n_shuffles: int = 20,
    random_state: int | None = None,
    unknown: str = "refuse",
    func: Func | None = None,
    hypothetical: bool = False,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    progress: bool = False,
    reverse_complement: bool = False,
    shifts: Sequence[int] = (0,),
) -> Attribution:  # scores [N, 4, L], or [N, T, 4, L] for a list of targets
    """What each base adds to the output, compared with baselines, by DeepLIFT's rescale rule.

    Every op passes the difference between sequence and baseline on exactly, so the scores of a sequence add up to
    its output less the mean over its baselines, however few these are; that is checked at every call. What
    adds up is unique where ops take one value. How a product, a maximum, a softmax or a norm is shared among
    its inputs is a choice, and docs/deeplift.md says which.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, memory, progress, reverse_complement, shifts
        As of `saturation_mutagenesis`. `args` are the same for a sequence and its baselines.
    baselines
        ``"dinucleotide"``: `n_shuffles` of each sequence, by `dinucleotide_shuffle`; ``"uniform"``: equal parts
        of all letters; ``"zeros"``: none. Or a tensor laid out as X: [1, 4, L], [N, 4, L] or [N, n, 4, L].
    random_state
        Of the shuffles; None: other ones at each call.
    unknown
        What to do about an op without an exact rule: ``"refuse"``, or ``"integrate"`` its derivative from baseline
        to sequence, at 32 points.
    hypothetical
        What each letter would add if it stood there, the multipliers staying as they are; otherwise the scores
        of letters that are not there are zero.
    precision
        ``"fp32"``, or ``"fp64"``: a copy of the model in float64 is asked.

    Returns
    -------
    Attribution
        ``scores`` on the named ``axes``, the output for the originals, ``facts``, and the check of additivity.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant, and for a model with an op that has no rule: the message names
        it and its line.
    Untraceable
        If the model, or `func`, cannot be traced.
    Disagreement
        If what is found does not add up.

    Source: Shrikumar et al. 2017 (ICML, arXiv 1704.02685); over baselines: Lundberg and Lee 2017 (NeurIPS).

    Equivalent to (multipliers m of each baseline b, one model, one strand, no shift)::

        scores = mean over b of (m - (m * b).sum(1, keepdim=True))     # (m * (X - b)).sum() == f(X) - f(b)
        scores if hypothetical else scores * X
    """
    alphabet = alphabet_of(model, alphabet)
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown={unknown!r}: use one of {', '.join(map(repr, UNKNOWN))}")
    if precision == "bf16":
        raise ValueError(
            "precision='bf16': contributions add up to the difference of outputs, which rounded products do not; "
            "use 'fp32' or 'fp64'"
        )
    count, seed = read_count("n_shuffles", n_shuffles), read_random_state(random_state)
    read = Read(target, func)

    def explain(opened: Opened) -> Found:
        given = in_view(baselines, opened.view, layout, alphabet)
        starts = read_baselines(given, opened.asked.sequences, count, seed)
        return _explained(opened, starts, read, unknown == "integrate", progress)

    made = attributed(
        "deep_lift_shap", explain, model, X, args, target=target, func=func, center="none",
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
        more={"baselines": baselines if isinstance(baselines, str) else "given"},
    )  # fmt: skip
    # What autograd does not pass, a rule may.
    return replace(made, checks=tuple(c for c in made.checks if not c.name.startswith("gradient")))


def _explained(
    opened: Opened, starts: Baselines, read: Read, integrate: bool, progress: bool
) -> Found:
    held = forward(opened.asked, read)
    if held.untraced:
        raise ValueError(
            f"func: it cannot be traced, and multipliers go by the trace: {held.untraced}"
        )
    multipliers = Multipliers(held.forward, held.leaves.read, integrate)
    pairs = _Pairs(opened, multipliers, starts.count, read)
    bar = tqdm(
        total=len(opened) * starts.count, unit=" pairs", disable=not progress, unit_scale=True
    )
    with bar, torch.inference_mode(False):  # multipliers go by autograd
        for rows, inputs in opened.blocks():
            own = tuple(t.clone() if t.is_inference() else t for t in inputs)
            pairs.add(own, starts.of(rows), bar.update)
    facts = {"integrated": "; ".join(multipliers.integrated)} if multipliers.integrated else {}
    return Found(torch.cat(pairs.scores), torch.cat(pairs.original), facts, (pairs.check(),))


# [4, N, T], each the most over a sequence's baselines: what contributions miss of a difference of outputs, that
# difference, the outputs, and the sum of the contributions' sizes, of which rounding is a share.
Missed = Tensor


class _Pairs:
    """Sequences and their baselines, a batch of pairs at a time; the sum over a sequence's baselines is kept."""

    def __init__(self, opened: Opened, multipliers: Multipliers, count: int, read: Read) -> None:
        self._opened, self._multipliers = opened, multipliers
        self._count, self._read = count, read
        self.scores: list[Tensor] = []  # [n, T, A, L] for a block of sequences
        self.original: list[Tensor] = []  # [n, T]
        self._missed: list[Missed] = []  # for a block of sequences

    def add(
        self, inputs: tuple[Tensor, ...], baselines: Tensor, between: Callable[[int], Any]
    ) -> None:
        """Take in a block of sequences, and their baselines [n or 1, count, A, L]."""
        for rows, several in self._batches(len(inputs[0])):
            X, *others = (t[rows] for t in inputs)
            originals = self._multipliers.originals(X, tuple(others))
            starts = baselines[rows if len(baselines) > 1 else slice(None)]
            scored = partial(self._scored, X, tuple(others), originals, starts)
            total, missed = X.new_zeros(()), X.new_zeros((), dtype=torch.float64)
            for ks, (made, off) in zip(several, in_order(scored, several, X.device), strict=True):
                total, missed = total + made, torch.maximum(missed, off)
                between(len(X) * (ks.stop - ks.start))
            self._missed.append(missed.cpu())
            self.scores.append((total / self._count).cpu())
            self.original.append(originals.output.cpu())

    def _scored(
        self, X: Tensor, others: tuple[Tensor, ...], originals: Originals, starts: Tensor, ks: slice
    ) -> tuple[Tensor, Missed]:
        """The sum over some baselines of each sequence, and what the pairs' contributions miss."""
        own = starts[:, ks].expand(len(X), -1, -1, -1)
        b = self._opened.as_given(own.flatten(0, 1))
        given = tuple(t.expand(len(b), *t.shape[1:]) for t in others)
        values, m = self._multipliers(originals, b, given)
        missed = _missed(originals.output, values, m, X - b).unflatten(1, own.shape[:2]).amax(2)
        m, b = self._opened.columns(m), self._opened.columns(b)
        made = m - (m * b[:, None]).sum(2, keepdim=True)
        return made.unflatten(0, own.shape[:2]).sum(1), missed

    def _batches(self, many: int) -> Iterator[tuple[slice, list[slice]]]:
        """Sequences, and their baselines in turn: many of one sequence, or one each of many."""
        rows, count = self._opened.backward.rows, self._count
        cores = side_by_side(self._opened.asked.device)
        rows = max(1, rows // cores)  # each core has a batch of its own
        if rows > ABREAST:
            rows -= rows % ABREAST
        if self._multipliers.one_serves_all and min(count, rows) >= min(many, rows):
            rows = min(rows, -(-count // (cores * ABREAST)) * ABREAST)
            ks = [slice(k, min(k + rows, count)) for k in range(0, count, rows)]
            yield from ((slice(i, i + 1), ks) for i in range(many))
        else:
            ks = [slice(k, k + 1) for k in range(count)]
            yield from ((slice(i, min(i + rows, many)), ks) for i in range(0, many, rows))

    def check(self) -> Check:
        """Whether contributions add up. Raises Disagreement where exact rules do not."""
        integrated = self._multipliers.integrated
        relative, absolute = INTEGRATED if integrated else ROUNDING[self._opened.asked.dtype]
        gap, change, level, added = torch.cat(self._missed, 1)
        # Of a target that is near 0 for one sequence, rounding is what it is for the others.
        least = absolute * torch.maximum(level.amax(0), added)
        within, good, said = added_up(gap, change, least, relative, self._read)
        if not (within or integrated):
            raise Disagreement(
                f"additivity: {said}. Outputs may be too near each other for float32: try precision='fp64'."
            )
        if integrated:
            said += f"; integrated, not exact: {'; '.join(integrated)}"
        return Check("additivity", good, said)


def _missed(output: Tensor, values: Tensor, m: Tensor, d: Tensor) -> Missed:
    change = output.double() - values
    contributions = (m * d[:, None]).flatten(2)
    added = contributions.sum(2, dtype=torch.float64)
    if not bool(torch.isfinite(added).all() and torch.isfinite(change).all()):
        raise ValueError(
            "model: its multipliers, or its output for a baseline, are NaN or infinite. Baselines may lead it "
            "where it has no value (a logarithm of 0): use others, or precision='fp64'."
        )
    level = torch.maximum(output.abs(), values.abs()).double()
    sizes = contributions.abs().sum(2, dtype=torch.float64)
    return torch.stack([(added - change).abs(), change.abs(), level, sizes])
