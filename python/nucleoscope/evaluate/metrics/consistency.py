"""Do explanations of many sequences say the same things again and again, as motifs do?

Both are of all sequences together: their mean over sequences is the published number, and what one sequence
adds to it is its value. They depend on which sequences are asked about, unlike all other metrics. Sequences that
the map says nothing of are not left out: of few that are left motifs would look the sharper the fewer they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.silence import says_nothing
from nucleoscope.evaluate.statistics import constant

BASES = ("orthonormal", "acme")


def _shared(of_each: Tensor, p: Tensor, prior: Tensor) -> Tensor:  # [N, K], [K], [K] -> [N]
    """What each sequence adds to Σ p ln(p / q), where p is the mean of theirs."""
    terms = torch.where(p > 0, (p / prior).log(), 0.0)
    return of_each @ terms


@dataclass(frozen=True)
class ThreeMerConsistency:
    """How unlike all 3-mers those are whose scores stand out: Σ p ln(p / q), in nats.

    p: 3-mers in stretches around the `share` of positions with the largest scores, 2 more on each side; q:
    3-mers of the sequences throughout. 0 where those that stand out are like any others. Of a sequence
    whose scores are all alike, positions stand out that are drawn from the seed.

    Source: Majdandzic et al. 2022 (MLCB, PMLR 200, 131), method 2.
    """

    share: float = 0.1
    name: ClassVar[str] = "3-mer consistency"
    category: ClassVar[str] = "consistency"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "no 3-mer fits into what stands out"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share={self.share}: of the positions, between 0 and 1")

    def __call__(self, case: Case) -> Tensor:
        """[N], whose mean is the divergence."""
        X, sizes = case.data.X.cpu().double(), _sizes(case)
        if X.shape[2] < 3:
            raise ValueError(f"X: 3-mers need 3 positions, there are {X.shape[2]}")
        drawn = torch.rand(X.shape[2], generator=case.draws(4), dtype=torch.float64)
        sizes = torch.where(constant(sizes)[:, None], drawn, sizes)
        edge = sizes.quantile(1 - self.share, dim=1, keepdim=True)
        top = ((sizes > edge) & (sizes > 0)).double()
        near = F.max_pool1d(top[:, None], 5, 1, 2)[:, 0]
        inside = near.unfold(1, 3, 1).amin(2)  # all of its positions
        letters = X.argmax(1)
        known = (X.sum(1) == 1).unfold(1, 3, 1).all(2).double()
        which = (letters.unfold(1, 3, 1) * torch.tensor([16, 4, 1])).sum(2)
        counts = torch.zeros(len(X), 64, dtype=torch.float64)
        found = counts.scatter_add(1, which, inside * known)
        prior = counts.scatter_add(1, which, known).sum(0)
        if not found.sum():  # no 3-mer fits into what stands out
            return torch.full((len(X),), torch.nan, dtype=torch.float64)
        p = found.sum(0) / found.sum()
        return _shared(found / found.sum() * len(X), p, prior / prior.sum())


def _sizes(case: Case) -> Tensor:
    letters = case.explained.letters
    return case.scores.abs() if letters is None else letters.norm(dim=1)


@dataclass(frozen=True)
class AngularConsistency:
    """How far from smooth the directions of scores are distributed: Σ p ln(p / q), in nats.

    Scores of letters, centred and scaled to one size a sequence, are summed over 3 positions; of the `share`
    largest the angles in the three-dimensional space of centred columns are counted in boxes, by squared size.
    p: those boxes; q: their mean over neighbours up to `reach` away. Motifs give sharp peaks, noise none.
    compat: "acme" takes the published code's basis, whose second axis lacks a coordinate, so that angles are not
    what they are called; None takes an orthonormal one. NaN where the explainer says nothing of letters that are
    not there; a sequence of which it says nothing adds 0, and the others are then counted among themselves.

    Source: Majdandzic et al. 2022 (MLCB, PMLR 200, 131), method 1.
    """

    share: float = 0.04
    boxes: int = 36
    reach: int = 3
    compat: str | None = None
    name: ClassVar[str] = "angular consistency"
    category: ClassVar[str] = "consistency"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "the explainer says nothing of letters that are not there"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share}: of the positions, above 0 and up to 1")
        if self.compat not in (None, "acme"):
            raise ValueError(f"compat={self.compat!r}: use None or 'acme'")
        at_least("boxes", self.boxes, 2)
        at_least("reach", self.reach, 1)

    def __call__(self, case: Case) -> Tensor:
        """[N], whose mean is the divergence."""
        letters = case.explained.letters
        count = len(case.data)
        if letters is None:
            return torch.full((count,), torch.nan, dtype=torch.float64)
        summed = self._summed(letters)
        box, weight = self._boxed(summed)
        share = weight / weight.sum() if weight.any() else weight
        of_each = torch.zeros(count, self.boxes**2, dtype=torch.float64).scatter_add_(1, box, share)
        around, p = 2 * self.reach + 1, of_each.sum(0)
        square = p.view(1, 1, self.boxes, self.boxes)
        smooth = F.avg_pool2d(square, around, 1, self.reach, count_include_pad=False).flatten()
        return _shared(of_each * (~says_nothing(summed)).sum(), p, smooth)

    @staticmethod
    def _summed(letters: Tensor) -> Tensor:
        """Centred, of one size a sequence, added up over 3 positions, [N, 4, L - 2]."""
        centred = letters - letters.mean(1, keepdim=True)
        size = centred.norm(dim=1).sum(1)[:, None, None]
        scaled = centred / torch.where(size > 0, size, 1.0)
        return scaled.unfold(2, 3, 1).sum(3)

    def _boxed(self, summed: Tensor) -> tuple[Tensor, Tensor]:
        """The box of each position and its weight, 0 for those that are not among the largest, both [N, L - 2]."""
        x, y, z = torch.einsum("bk,nkl->bnl", basis(self.compat), summed)
        radius = (x.square() + y.square() + z.square()).sqrt()
        edge = radius.flatten().quantile(1 - self.share) if self.share < 1 else radius.amin()
        azimuth = torch.atan2(y, x) / 2 + math.pi / 2  # from 0 to pi
        polar = (z / torch.where(radius > 0, radius, 1.0)).clamp(-1, 1).acos()
        number = [
            (a / math.pi * self.boxes).long().clamp(0, self.boxes - 1) for a in (azimuth, polar)
        ]
        kept = (radius >= edge) & (radius > 0)
        return number[0] * self.boxes + number[1], radius.square() * kept


def basis(compat: str | None = None) -> Tensor:  # [3, 4]
    """Three directions in which columns that add up to 0 lie, in letters A, C, G, T.

    "acme": as published, the second one's last 1 a 0, so that the axes are neither of length 1 nor at right
    angles.
    """
    lacking = 0.0 if compat == "acme" else 1.0
    rows = [[1, -1, 0, 0], [-0.5, -0.5, lacking, 0], [-1, -1, -1, 3]]
    sizes = torch.tensor([[1 / 2], [2 / 3], [1 / 12]], dtype=torch.float64).sqrt()
    return torch.tensor(rows, dtype=torch.float64) * sizes
