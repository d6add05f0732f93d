"""A sequence logo: at every position the letter, as high as its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleoscope import Attribution, Seqlets
from nucleoscope.plot.brackets import bracket
from nucleoscope.plot.figure import (
    attribution_of,
    drawn_at,
    new_figure,
    scores_of,
    show_positions,
    sites_of,
)
from nucleoscope.plot.letters import colours_of, draw_letters, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def logo(
    attribution: Attribution,
    start: int,
    end: int,
    *,
    sequence: int = 0,
    target: int = 0,
    origin: int = 0,
    step: int = 1,
    title: str = "",
    units: str = "score",
    place: str = "position",
    palette: str = "classic",
    seqlets: Seqlets | None = None,
    hypothetical: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Draw the scores of the sites [start, end), counted in the sequence as `Attribution.start` is.

    Letters above the line add to the target where they stand, letters below take away. Position 0
    of the sequence is labelled `origin`, the next one `origin + step`: -1 for the reverse strand,
    whose positions then run downwards. `palette` is ``"classic"`` or ``"colour-blind"``; `seqlets`
    are marked above the letters, with their rank. Of scores that were made with ``hypothetical=True``
    the letters that are there are drawn, and with `hypothetical` all of them, stacked. Sites whose score is
    NaN stay empty.

    Raises ImportError that says what to install, IndexError for sites that have no scores, ValueError
    for a palette or a step that there is not and for infinite scores, TypeError for what is no attribution.
    """
    drawing()
    colours = colours_of(palette, attribution_of(attribution).alphabet)
    columns = sites_of(attribution, start, end)
    scores = scores_of(attribution, sequence, target, hypothetical)[:, columns]
    if axes is None:
        axes = new_figure(min(3 + 0.2 * (end - start), 24), 2.2)[1][0]
    positions = [drawn_at(site, origin, step) for site in range(start, end)]
    draw_letters(axes, scores, positions, colours)
    show_positions(axes, place, step)
    axes.set_ylabel(units)
    axes.set_title(title, loc="left", fontsize="medium")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if seqlets is not None:
        bracket(axes, seqlets, sequence, start, end, origin, step)
    return axes
