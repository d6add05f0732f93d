"""What stands in the place of bases that are taken away: draws from a background, over which is averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope import dinucleotide_shuffle
from nucleoscope.evaluate.case import Case

KINDS = ("dinucleotide", "random", "uniform", "zeros")
HELD = 1 << 24  # numbers of edited sequences that are held at a time


@dataclass(frozen=True)
class Background:
    """Sequences whose letters replace those that are taken away.

    kind: "dinucleotide" (shuffles of the sequence itself), "random" (letters, each as likely), "uniform" (a column
    of equal parts: nothing to draw, but no sequence either), "zeros" (N). draws: how many are averaged over.

    Raises ValueError for other kinds, or fewer draws than one.
    """

    kind: str = "dinucleotide"
    draws: int = 8

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: use one of {', '.join(map(repr, KINDS))}")
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}: 1 or more")

    def of(self, case: Case) -> Tensor:  # [N, K, 4, L]
        """Draws for every sequence, which follow from its letters and the case's seed, not from its place."""
        X = case.data.X
        if self.kind in ("uniform", "zeros"):
            X = X if X.is_floating_point() else X.float()
            return torch.full_like(X, 0.25 if self.kind == "uniform" else 0.0)[:, None]
        if self.kind == "dinucleotide":
            # Explainers draw their baselines from the seed itself. Judged by the same shuffles, they would be
            # right about these alone, and look better than they are about all others.
            return dinucleotide_shuffle(X, self.draws, case.seed * 1_000_003 + 1)
        letters = torch.randint(4, (self.draws, X.shape[2]), generator=case.draws(1))
        drawn = F.one_hot(letters, 4).transpose(1, 2).to(X)
        return drawn.expand(len(X), -1, -1, -1)


def without(case: Case, taken: Tensor, background: Background) -> Tensor:  # [N, M, L] -> [N, M]
    """The model's mean answer when positions are replaced by the background, M sets of them a sequence.

    taken: bool, ``[N, M, L]``, or ``[M, L]`` for the same sets of all sequences.
    """
    X, drawn = case.data.X, background.of(case)
    sets = taken.expand(len(X), *taken.shape[-2:])
    draws, many = drawn.shape[1], sets.shape[1]
    at_once = max(1, HELD // (draws * X[0].numel()))  # sets, of one sequence or of several
    rows, columns = max(1, at_once // many), min(many, at_once)
    made = torch.empty(sets.shape[:2], dtype=torch.float64)
    for n in range(0, len(X), rows):
        for m in range(0, many, columns):
            here = (slice(n, n + rows), slice(m, m + columns))
            edited = torch.where(
                sets[here][:, :, None, None], drawn[here[0], None], X[here[0], None, None]
            )  # [rows, columns, K, 4, L]
            asked = case.ask(edited.flatten(0, 2))
            made[here] = asked.view(*edited.shape[:3]).mean(2)
    return made


def change(case: Case, background: Background) -> Tensor:  # [N]
    """What the whole sequence does: the answer for it less the mean answer for its background."""
    everything = torch.ones(1, case.data.length, dtype=torch.bool)
    return case.value - without(case, everything, background)[:, 0]
