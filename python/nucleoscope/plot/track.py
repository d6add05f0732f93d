"""The scores of one sequence over kilobases, up and down, with its seqlets."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nucleoscope import Attribution, Seqlets
from nucleoscope.plot.brackets import bracket
from nucleoscope.plot.figure import (
    drawn_at,
    new_figure,
    observed_of,
    read_bins,
    show_positions,
    sites_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP, DOWN = "#b5431f", "#1f5fa8"


def track(
    attribution: Attribution,
    start: int,
    end: int,
    *,
    sequence: int = 0,
    target: int = 0,
    origin: int = 0,
    step: int = 1,
    bins: int = 1500,
    title: str = "",
    units: str = "score",
    place: str = "position",
    seqlets: Seqlets | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the score of the letter that is there, at the sites [start, end).

    Where there are more sites than `bins`, the highest and the lowest of each stretch are drawn, so
    that no peak is lost. The other arguments are those of `logo`.

    Raises ImportError that says what to install, IndexError for sites that have no scores, ValueError for no
    bins, and what `logo` raises.
    """
    read_bins(bins)
    scores = observed_of(attribution, sequence, target)[sites_of(attribution, start, end)]
    if axes is None:
        axes = new_figure(12, 2.2)[1][0]
    cuts = np.linspace(0, len(scores), min(bins, len(scores)) + 1).astype(np.int64)
    parts = [scores[a:b] for a, b in pairwise(cuts)]
    middles = drawn_at(start, origin, step) + (cuts[:-1] + cuts[1:] - 1) / 2
    width = max(0.5, min(4.0, 700 / len(parts)))
    highest = np.array([max(part.max(), 0) for part in parts])
    lowest = np.array([min(part.min(), 0) for part in parts])
    axes.vlines(middles, 0, highest, color=UP, linewidth=width)
    axes.vlines(middles, lowest, 0, color=DOWN, linewidth=width)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlim(drawn_at(start, origin, step) - 0.5, drawn_at(end - 1, origin, step) + 0.5)
    axes.margins(y=0.08)
    show_positions(axes, place, step)
    axes.set_ylabel(units)
    axes.set_title(title, loc="left", fontsize="medium")
    if seqlets is not None:
        bracket(axes, seqlets, sequence, start, end, origin, step)
    return axes
