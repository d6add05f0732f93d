"""A sequence logo: at every position the letter, as high as its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleoscope import Attribution
from nucleoscope.plot.figure import INSTALL, new_figure, scores_of, show_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"A": "#2c9f45", "C": "#2a6fdb", "G": "#f0a000", "T": "#d6322d", "U": "#d6322d"}


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
    axes: Axes | None = None,
) -> Axes:
    """Draw the scores of the sites [start, end), counted in the sequence as `Attribution.start` is.

    Letters above the line add to the target where they stand, letters below take away. Position 0
    of the sequence is labelled `origin`, the next one `origin + step`: -1 for the reverse strand,
    whose positions then run downwards.

    Raises ImportError that says what to install, IndexError for sites that have no scores.
    """
    try:
        import logomaker
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(INSTALL) from error
    scores = scores_of(attribution, sequence, target)
    first, last = start - attribution.start, end - attribution.start
    if not 0 <= first < last <= scores.shape[1]:
        have = f"[{attribution.start}, {attribution.start + scores.shape[1]})"
        raise IndexError(f"sites [{start}, {end}) are not among the scored {have}")
    if axes is None:
        axes = new_figure(min(3 + 0.2 * (end - start), 24), 2.2)[1][0]
    # Letters go from left to right: a strand that counts down is drawn at minus its positions.
    down = step < 0
    positions = [abs(step) * site + (-origin if down else origin) for site in range(start, end)]
    heights = pd.DataFrame(scores[:, first:last].T, positions, list(attribution.alphabet))
    colours = {letter: COLOURS.get(letter, "#777777") for letter in attribution.alphabet}
    logomaker.Logo(heights, ax=axes, color_scheme=colours, show_spines=False, baseline_width=0.6)
    show_positions(axes, place)
    if down:
        axes.xaxis.set_major_formatter(lambda position, _: f"{-position:,.0f}")
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.set_ylabel(units)
    axes.set_title(title, loc="left", fontsize="medium")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return axes
