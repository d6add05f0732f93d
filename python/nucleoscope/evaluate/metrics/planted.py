"""Do the scores find the positions that are known to matter?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.metrics.silence import or_silence
from nucleoscope.evaluate.statistics import auroc, average_precision


@dataclass(frozen=True)
class _Planted(ABC):
    """absolute: whether positions count by the size of their score, whatever its sign."""

    absolute: bool = True
    category: ClassVar[str] = "truth"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "nothing is planted"

    def __call__(self, case: Case) -> Tensor:
        """[N]; NaN throughout where the data has no planted positions."""
        if case.data.planted is None:
            return torch.full((len(case.data),), torch.nan, dtype=torch.float64)
        scores = case.scores.abs() if self.absolute else case.scores
        return self.found(scores, case.data.planted.cpu())

    @abstractmethod
    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""


@dataclass(frozen=True)
class AUROC(_Planted):
    """How often a planted position is above another one; ties count half, 0.5 is chance."""

    name: ClassVar[str] = "AUROC"

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""
        return auroc(scores, marked)


@dataclass(frozen=True)
class AUPRC(_Planted):
    """The average precision of planted positions. Chance is their share of the length: see `AUPRCLift`."""

    name: ClassVar[str] = "AUPRC"

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""
        return average_precision(scores, marked)


@dataclass(frozen=True)
class AUPRCLift(_Planted):
    """The average precision over the share of planted positions, |M| / L: 1 is what a map of ties alone has.

    An order at random has more in the mean, H/L + (|M| - 1) / (L - 1) (1 - H/L) over |M| / L with H = 1 + 1/2 +
    ... + 1/L, and clearly so where few are planted: 3.4 for 2 positions of 200.
    """

    name: ClassVar[str] = "AUPRC lift"

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""
        return average_precision(scores, marked) / marked.double().mean(1)


@dataclass(frozen=True)
class RelevanceMass(_Planted):
    """The share of all relevance that lies on planted positions: of |φ|, or of the part that is not negative.

    From 0 to 1. Without any relevance it is the planted positions' share of the length, which a map has that is
    the same everywhere, and an order at random in the mean.

    Source: Arras et al. 2022 (Inf. Fusion 81, 14).
    """

    name: ClassVar[str] = "relevance mass"

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""
        mass = scores.clamp(min=0)
        share = (mass * marked).sum(1) / mass.sum(1)
        return or_silence(share, mass, marked.double().mean(1))


@dataclass(frozen=True)
class RelevanceRank(_Planted):
    """The share of the |M| highest positions that are planted; of ties at the edge, what is to be expected.

    top: so many highest positions in the place of |M|.

    Source: Arras et al. 2022 (Inf. Fusion 81, 14).
    """

    top: int | None = None
    name: ClassVar[str] = "relevance rank"

    def __post_init__(self) -> None:
        if self.top is not None:
            at_least("top", self.top, 1)

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]. Raises ValueError where `top` is more than there are."""
        if self.top is not None and self.top > scores.shape[1]:
            raise ValueError(f"top={self.top}: there are {scores.shape[1]} positions")
        size, mask = scores.numpy(), marked.numpy()  # it sorts values alone and counts marks faster
        many = np.count_nonzero(mask, 1) if self.top is None else np.full(len(size), self.top)
        edge = np.sort(size, 1)[np.arange(len(size)), -many][:, None]
        above, tied = size > edge, size == edge
        share = (many - np.count_nonzero(above, 1)) / np.count_nonzero(tied, 1)  # of ties, inside
        found = np.count_nonzero(above & mask, 1) + share * np.count_nonzero(tied & mask, 1)
        return torch.from_numpy(found / many)


@dataclass(frozen=True)
class PointingGame(_Planted):
    """Whether the highest position is planted, 1 or 0; of several, the share of them.

    Source: Zhang et al. 2018 (IJCV 126, 1084).
    """

    name: ClassVar[str] = "pointing game"

    def found(self, scores: Tensor, marked: Tensor) -> Tensor:
        """[N, L], [N, L] -> [N]."""
        top = scores == scores.amax(1, keepdim=True)
        return (top & marked).sum(1) / top.sum(1, dtype=torch.float64)
