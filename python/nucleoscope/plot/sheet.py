"""Several sequences, or several stretches of one, below each other in one figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nucleoscope import Attribution
from nucleoscope.plot.figure import new_figure
from nucleoscope.plot.heatmap import heatmap
from nucleoscope.plot.logo import logo
from nucleoscope.plot.track import track

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: dict[str, Callable[..., object]] = {"logo": logo, "heatmap": heatmap, "track": track}
WIDEST = 24  # inches


@dataclass(frozen=True)
class View:
    """The sites [start, end) of a sequence, and how its panel names and counts them."""

    sequence: int
    start: int
    end: int
    title: str = ""
    origin: int = 0
    step: int = 1


def sheet(
    attribution: Attribution, views: Sequence[View], *, kind: str = "logo", title: str = "",
    place: str = "position", **common: Any,
) -> Figure:  # fmt: skip
    """One panel a view: a ``"logo"``, a ``"heatmap"`` or a ``"track"``.

    `common` goes to each panel: `target`, `units`, `seqlets`, and `palette` of logos.

    Raises ValueError for another kind or without views, TypeError for other views, and what the kind raises.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: use one of {', '.join(map(repr, KINDS))}")
    if any(not isinstance(each, View) for each in views):
        raise TypeError("views: a list of plot.View(sequence, start, end)")
    if not views:
        raise ValueError("views: at least one is needed")
    longest = max(each.end - each.start for each in views)
    width = 12.0 if kind == "track" else min(max(4, 2 + 0.17 * longest), WIDEST)
    figure, panels = new_figure(width, 0.4 + 2.1 * len(views), len(views))
    for each, axes in zip(views, panels, strict=True):
        KINDS[kind](
            attribution, each.start, each.end, sequence=each.sequence, title=each.title,
            origin=each.origin, step=each.step, axes=axes,
            place=place if each is views[-1] else "", **common,
        )  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    return figure
