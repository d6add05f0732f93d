"""Letters as high as numbers, in the colours of a palette: what logos share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nucleoscope.plot.figure import INSTALL

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


def colours_of(palette: str, alphabet: str) -> dict[str, str]:
    """A colour a letter. Raises ValueError for a palette that there is not."""
    if palette not in PALETTES:
        raise ValueError(f"palette={palette!r}: use one of {', '.join(map(repr, PALETTES))}")
    return {letter: PALETTES[palette].get(letter, OTHER) for letter in alphabet}


def drawing() -> Any:
    """What draws letters. Raises ImportError that says what to install."""
    try:
        import logomaker
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return logomaker


def draw_letters(
    axes: Axes, heights: npt.NDArray[np.float64], positions: Sequence[int], colours: dict[str, str]
) -> None:
    """Letters as high as `heights` [letter, position], stacked; where all are 0, the empty line."""
    import pandas as pd  # type: ignore[import-untyped]

    if heights.any():
        frame = pd.DataFrame(heights.T, positions, list(colours))
        drawing().Logo(frame, ax=axes, color_scheme=colours, show_spines=False, baseline_width=0.6)
    else:
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xlim(min(positions) - 0.5, max(positions) + 0.5)
        axes.set_ylim(-1, 1)
        axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_visible(True)
