"""A heat-map of what every substitution does: a row a letter, a column a site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nucleoscope import Attribution, Seqlets
from nucleoscope.plot.brackets import bracket
from nucleoscope.plot.figure import drawn_at, new_figure, of_sequence, show_positions, sites_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = "RdBu_r"  # red adds, blue takes away, white is 0; told apart with any colour vision
LETTERED = 100  # sites, up to which the letters that are there are written rather than dotted


def heatmap(
    attribution: Attribution,
    start: int,
    end: int,
    *,
    sequence: int = 0,
    target: int = 0,
    origin: int = 0,
    step: int = 1,
    title: str = "",
    units: str = "change",
    place: str = "position",
    limit: float | None = None,
    seqlets: Seqlets | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw what each letter at the sites [start, end) does in place of the one there.

    That one is written into its cell, or dotted where many sites are shown. Colours reach from minus
    to plus `limit`, by default the largest change shown. The other arguments are those of `logo`.

    Raises ImportError that says what to install, IndexError for sites that have no scores, ValueError
    where the scores of letters that are not there were not kept, and what `logo` raises.
    """
    columns = sites_of(attribution, start, end)
    if limit is not None and not 0 < limit < float("inf"):
        raise ValueError(f"limit={limit!r}: the change of the strongest colour, above 0")
    changes = of_sequence(attribution.substitutions(target), sequence)[:, columns]
    there = of_sequence(attribution.hypothetical(target)[1], sequence)[:, columns]
    letters = attribution.alphabet
    if axes is None:
        axes = new_figure(min(3 + 0.2 * (end - start), 24), 1.9)[1][0]
    if limit is None:
        limit = float(np.abs(changes).max()) or 1.0
    left = drawn_at(start, origin, step) - 0.5
    image = axes.imshow(
        changes, cmap=COLOURS, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest",
        extent=(left, left + end - start, len(letters) - 0.5, -0.5),
    )  # fmt: skip
    for letter, site in zip(*np.nonzero(there == 1), strict=True):
        if end - start <= LETTERED:
            axes.text(
                left + 0.5 + site, letter, letters[letter], ha="center", va="center", fontsize=7
            )
        else:
            axes.plot(left + 0.5 + site, letter, marker=".", color="black", markersize=1.5)
    axes.set_yticks(range(len(letters)), list(letters))
    axes.tick_params(axis="y", length=0)
    show_positions(axes, place, step)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize="medium")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
    bar.set_label(units)
    bar.outline.set_visible(False)
    if seqlets is not None:
        bracket(axes, seqlets, sequence, start, end, origin, step)
    return axes
