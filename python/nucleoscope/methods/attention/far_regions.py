"""Rollout and relevance in few numbers: their profile over distance, and the far regions that score most."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.result import Attribution


class Region(NamedTuple):
    """A stretch of bases, or of tokens where no map to bases is known, and its score."""

    start: int
    end: int
    score: float
    distance: int  # from the row's centre to the region's nearest end

    def bed(self, name: str, origin: int = 0) -> str:
        """A line of a BED file: 0-based, half-open, the score as its fifth column per thousand of 1."""
        shown = min(1000, round(1000 * self.score))
        return (
            f"{name}\t{origin + self.start}\t{origin + self.end}\tdistance={self.distance}\t{shown}"
        )


def distance_profile(attribution: Attribution, row: int | None = None) -> Tensor:  # [T]
    """The mean score at each distance from a row's centre, in tokens; over all rows and sequences without one.

    Raises ValueError for other axes, IndexError for a row that there is not.
    """
    scores, centres = _read(attribution)
    if row is not None:
        if not 0 <= row < len(centres):
            raise IndexError(f"row={row}: there are {len(centres)}, from 0")
        scores, centres = scores[:, row : row + 1], centres[row : row + 1]
    count = scores.shape[-1]
    far = (torch.arange(count) - centres[:, None]).abs().round().long().expand_as(scores)
    total = torch.zeros(count, dtype=torch.float64)
    many = torch.zeros(count, dtype=torch.float64)
    total.index_add_(0, far.flatten(), scores.double().flatten())
    many.index_add_(0, far.flatten(), torch.ones(far.numel(), dtype=torch.float64))
    return total / many.clamp(min=1)


def far_regions(
    attribution: Attribution, row: int = 0, *, sequence: int = 0, count: int = 10, beyond: int = 8
) -> list[Region]:
    """The tokens more than `beyond` tokens from a row's centre that score most, neighbours as one region.

    A region's score is the sum of its tokens'. Raises ValueError for other axes or a count below 1, IndexError
    for a row or sequence that there is not.
    """
    scores, centres = _read(attribution)
    if count < 1 or beyond < 0:
        raise ValueError(f"count={count}, beyond={beyond}: at least 1 and 0")
    if not (0 <= sequence < len(scores) and 0 <= row < len(centres)):
        raise IndexError(f"sequence={sequence}, row={row}: there are {scores.shape[:2]}")
    of, spans = scores[sequence, row].double(), attribution.facts.get("token_spans")
    at = torch.arange(len(of))
    allowed = (at - centres[row]).abs() > beyond
    best = of.masked_fill(~allowed, -torch.inf).topk(min(count, int(allowed.sum()))).indices
    regions: list[list[int]] = []
    for token in best.sort().values.tolist():
        if regions and regions[-1][-1] == token - 1:
            regions[-1].append(token)
        else:
            regions.append([token])
    middle = float(centres[row]) + 0.5
    if spans is not None:
        inside = spans[int(centres[row])]
        middle = inside[0] + (middle - int(centres[row])) * (inside[1] - inside[0])
    found = []
    for tokens in regions:
        first, last = tokens[0], tokens[-1] + 1
        if spans is not None:
            first, last = spans[tokens[0]][0], spans[tokens[-1]][1]
        away = round(first - middle if first > middle else middle - last)
        found.append(Region(int(first), int(last), float(of[tokens].sum()), away))
    return sorted(found, key=lambda each: -each.score)


def _read(attribution: Attribution) -> tuple[Tensor, Tensor]:
    centres = attribution.facts.get("centres")
    if attribution.axes != ("sequence", "row", "token") or centres is None:
        raise ValueError(
            f"axes {attribution.axes}: a rollout or relevance by token is needed, without per_base and with heads "
            "averaged"
        )
    return attribution.scores, torch.tensor(centres, dtype=torch.float64)
