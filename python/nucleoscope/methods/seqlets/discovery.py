"""The false discovery rate at each threshold, from what the same threshold calls on a control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from nucleoscope.methods.seqlets.spans import Candidates, Chance, candidates, counts
from nucleoscope.seqlet_table import DiscoveryCurve

Floats = npt.NDArray[np.float64]

THRESHOLDS = np.logspace(-1, -30, 117)  # four a decade
AT_ONCE = 1 << 20  # positions whose spans are held at a time


def in_pieces(
    scores: Floats, chance: Chance, shortest: int, below: float
) -> Iterator[tuple[int, Candidates]]:
    """(first sequence, candidates) of some sequences at a time."""
    rows = max(1, AT_ONCE // (scores.shape[1] + 1))
    for first in range(0, len(scores), rows):
        yield first, candidates(scores[first : first + rows], chance, shortest, below)


def discovery_curve(
    scores: Floats, control: Sequence[Floats], chance: Chance, shortest: int
) -> DiscoveryCurve:
    """What each threshold calls on `scores` and on all pieces of `control`, and the rate it means.

    One more is counted on the control than is called there. Without it, a threshold would be taken
    that by luck calls nothing on the control; with it, the rate that is chosen by holds on noise.
    """

    def calls(part: Floats) -> npt.NDArray[np.int64]:
        found = in_pieces(part, chance, shortest, THRESHOLDS[0])
        return np.asarray(sum(counts(each, THRESHOLDS) for _, each in found))

    called = calls(scores)
    on_control = np.asarray(sum(calls(part) for part in control))
    scale = scores.size / sum(part.size for part in control)
    fdr = np.full(len(THRESHOLDS), np.nan)
    some = called > 0
    fdr[some] = (on_control[some] + 1) * scale / called[some]
    return DiscoveryCurve(THRESHOLDS, called, on_control, fdr)


def loosest(curve: DiscoveryCurve, fdr: float) -> float | None:
    """The loosest threshold whose rate is at most `fdr`, or None."""
    good = np.flatnonzero(curve.fdr <= fdr)
    return float(curve.threshold[good[0]]) if len(good) else None


def q_values(curve: DiscoveryCurve, worst: Floats) -> Floats:
    """The lowest rate of all thresholds above `worst`, the largest p-value inside each seqlet."""
    lowest = np.minimum.accumulate(np.where(np.isnan(curve.fdr), np.inf, curve.fdr))
    strictest = np.searchsorted(-curve.threshold, -worst) - 1  # the last that lies above
    return lowest[strictest]
