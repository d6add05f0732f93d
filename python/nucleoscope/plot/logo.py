"""A sequence logo: at every position the letter, as high as its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleoscope import Attribution, Seqlets
from nucleoscope.plot.brackets import bracket
from nucleoscope.plot.figure import (
    INSTALL,
    drawn_at,
    new_figure,
    scores_of,
    show_positions,
    sites_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTES = {
    "classic": {"A": "#2c9f45", "C": "#2a6fdb", "G": "#f0a000", "T": "#d6322d", "U": "#d6322d"},
    # Told apart with any colour vision (Okabe and Ito 2008), and by brightness in grey.
    "colour-blind": {
        "A": "#009e73",
        "C": "#0072b2",
        "G": "#e69f00",
        "T": "#000000",
        "U": "#000000",
    },
}
OTHER = "#777777"  # letters that a palette does not have


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
    the letters that are there are drawn, and with `hypothetical` all of them, stacked.

    Raises ImportError that says what to install, IndexError for sites that have no scores, ValueError
    for a palette that there is not.
    """
    try:
        import logomaker
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(INSTALL) from error
    if palette not in PALETTES:
        raise ValueError(f"palette={palette!r}: use one of {', '.join(map(repr, PALETTES))}")
    scores = scores_of(attribution, sequence, target, hypothetical)[
        :, sites_of(attribution, start, end)
    ]
    if axes is None:
        axes = new_figure(min(3 + 0.2 * (end - start), 24), 2.2)[1][0]
    positions = [drawn_at(site, origin, step) for site in range(start, end)]
    heights = pd.DataFrame(scores.T, positions, list(attribution.alphabet))
    colours = {letter: PALETTES[palette].get(letter, OTHER) for letter in attribution.alphabet}
    logomaker.Logo(heights, ax=axes, color_scheme=colours, show_spines=False, baseline_width=0.6)
    show_positions(axes, place, step)
    axes.spines[["left", "bottom"]].set_visible(True)
    axes.set_ylabel(units)
    axes.set_title(title, loc="left", fontsize="medium")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if seqlets is not None:
        bracket(axes, seqlets, sequence, start, end, origin, step)
    return axes
