"""The strongest scores along a long sequence, a track for each target, its best sites marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nucleoscope import Attribution
from nucleoscope.plot.figure import (
    attribution_of,
    drawn_at,
    new_figure,
    read_bins,
    scores_of,
    show_positions,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INKS = ("#1f5fa8", "#b5431f", "#3d7a3a", "#6b4c9a")
APART = 0.012  # of the track's width: two labels nearer than this would touch


@dataclass(frozen=True)
class Mark:
    """A site to point out on the track of a target."""

    site: int  # counted in the sequence, as Attribution.start is
    label: str
    target: int = 0


def overview(
    attribution: Attribution,
    *,
    sequence: int = 0,
    names: Sequence[str] = (),
    marks: Sequence[Mark] = (),
    origin: int = 0,
    step: int = 1,
    bins: int = 1500,
    title: str = "",
    units: str = "strongest |score|",
    place: str = "position",
) -> Figure:
    """One track a target: the largest absolute score in each of `bins` stretches of the sequence.

    `names` are the targets' names. `origin` and `step` say where positions are counted from, as in
    `logo`. Raises ImportError that says what to install, IndexError for marks where there are no scores, and
    what `logo` raises.
    """
    read_bins(bins)
    drawn_at(0, origin, step)
    count = attribution_of(attribution).scores.shape[1] if "target" in attribution.axes else 1
    _check_marks(marks, attribution, count)
    figure, panels = new_figure(12, 0.7 + 1.9 * count, count)
    for target, axes in enumerate(panels):
        strongest = abs(scores_of(attribution, sequence, target)).max(0)
        sites, heights = _binned(strongest, min(bins, len(strongest)))
        positions = origin + step * (sites + attribution.start)
        ink = INKS[target % len(INKS)]
        axes.vlines(positions, 0, heights, color=ink, linewidth=0.9)
        ends = origin + step * (attribution.start + np.array([-0.5, len(strongest) - 0.5]))
        axes.set_xlim(min(ends), max(ends))
        top = float(heights.max()) or 1.0
        axes.set_ylim(0, 1.28 * top)
        _point_out(
            axes, [m for m in marks if m.target == target], strongest, attribution, origin, step
        )
        show_positions(axes, place if target == count - 1 else "")
        axes.set_ylabel(units)
        if target < len(names):
            axes.set_title(names[target], loc="left", color=ink, fontsize="medium")
        if target < count - 1:
            axes.tick_params(labelbottom=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    return figure


def _check_marks(marks: Sequence[Mark], attribution: Attribution, targets: int) -> None:
    start = attribution.start
    end = start + attribution.scores.shape[attribution.axes.index("site")]
    for mark in marks:
        if not start <= mark.site < end or not 0 <= mark.target < targets:
            raise IndexError(
                f"marks: {mark.label!r} is at site {mark.site} of target {mark.target}; scored are the sites "
                f"[{start}, {end}) of {targets} targets, from 0"
            )


def _binned(
    values: npt.NDArray[np.float64], bins: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(site, value) of the largest value in each of `bins` stretches."""
    cuts = np.linspace(0, len(values), bins + 1).astype(np.int64)
    sites = np.array([a + int(values[a:b].argmax()) for a, b in pairwise(cuts)])
    return sites, values[sites]


def _point_out(
    axes: Axes, marks: Sequence[Mark], strongest: npt.NDArray[np.float64],
    attribution: Attribution, origin: int, step: int,
) -> None:  # fmt: skip
    """A triangle above each marked site, and its label where no better one stands in the way."""
    labelled: list[float] = []
    low, high = axes.get_xlim()
    for mark in marks:
        x = origin + step * mark.site
        y = float(strongest[mark.site - attribution.start])
        axes.plot(x, y, marker="v", color="black", markersize=4, clip_on=False)
        if all(abs(x - other) > APART * (high - low) for other in labelled):
            axes.annotate(
                mark.label,
                (x, y),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
                fontsize=8,
            )
            labelled.append(x)
