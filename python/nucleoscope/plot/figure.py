"""Figures that need no display, and what all of them share."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope import Attribution
from nucleoscope.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INSTALL = "pictures need matplotlib and logomaker: pip install 'nucleoscope[plot]'"


def new_figure(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches with `rows` panels, drawn by Agg, whatever the display.

    Raises ImportError that says what to install.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(INSTALL) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, squeeze=False)[:, 0])


def save_figure(figure: Figure | Axes, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Write a figure, or that of a panel, in the format that the file's ending says: .png, .svg, .pdf and others.

    Letters stay letters in a .pdf, their font embedded; in an .svg they are outlines, which look alike
    wherever they are opened. Raises ValueError for an ending that matplotlib does not know, OSError
    where nothing can be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    whole = figure if isinstance(figure, Figure) else figure.get_figure(root=True)
    assert whole is not None
    path = Path(path)
    with (
        rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path"}),
        whole_file(path) as file,
    ):
        whole.savefig(file, format=path.suffix.removeprefix("."), dpi=dpi)
    return path


def attribution_of(given: Attribution) -> Attribution:
    """What is drawn. Raises TypeError for anything else, ValueError for infinite scores."""
    if not isinstance(given, Attribution):
        raise TypeError(
            f"attribution: an Attribution is drawn, got {type(given).__name__}; of scores as they are, "
            "Attribution(scores, axes, alphabet, start, original) makes one"
        )
    if torch.isinf(given.scores).any():
        raise ValueError("attribution: it holds infinite scores, of which nothing can be drawn")
    return given


def scores_of(
    attribution: Attribution, sequence: int, target: int, hypothetical: bool = True
) -> npt.NDArray[np.float64]:
    """[letter, site] of one sequence and target; 0 for letters that are not there, unless hypothetical.

    NaN is no score, and 0 as well. Raises IndexError for those that there are not, ValueError for scores without
    letters and infinite ones.
    """
    scores = attribution_of(attribution).of_target(target)
    if scores.dim() != 3:
        raise ValueError(f"axes {attribution.axes}: these scores are of sites, not of letters")
    if attribution.facts.get("hypothetical") and not hypothetical:
        kept, there = attribution.hypothetical(target)
        scores = kept * there
    return of_sequence(scores, sequence)


def observed_of(attribution: Attribution, sequence: int, target: int) -> npt.NDArray[np.float64]:
    """[site] of one sequence and target: the score of the letter that is there."""
    return of_sequence(attribution_of(attribution).observed(target), sequence)


def of_sequence(scores: Tensor, sequence: int) -> npt.NDArray[np.float64]:
    """The numbers of one sequence, NaN as 0. Raises IndexError where there is none."""
    if not 0 <= sequence < len(scores):
        raise IndexError(f"sequence={sequence}: this attribution has {len(scores)}, from 0")
    numbers: npt.NDArray[np.float64] = scores[sequence].detach().double().cpu().numpy()
    return np.where(np.isnan(numbers), 0.0, numbers)


def sites_of(attribution: Attribution, start: int, end: int) -> slice:
    """The columns of the sites [start, end). Raises IndexError for those that have no scores."""
    attribution_of(attribution)
    for name, at in (("start", start), ("end", end)):
        if not isinstance(at, Integral) or isinstance(at, bool):
            raise TypeError(f"{name}={at!r}: a site, a whole number")
    scored = attribution.scores.shape[attribution.axes.index("site")]
    first, last = start - attribution.start, end - attribution.start
    if not 0 <= first < last <= scored:
        have = f"[{attribution.start}, {attribution.start + scored})"
        raise IndexError(f"sites [{start}, {end}) are not among the scored {have}")
    return slice(first, last)


def read_bins(bins: int) -> None:
    """Check how many stretches are told apart."""
    if not isinstance(bins, Integral) or isinstance(bins, bool) or bins < 1:
        raise ValueError(f"bins={bins!r}: a number of stretches, 1 or more")


def drawn_at(site: int, origin: int, step: int) -> int:
    """Where a site stands on the axis: letters go from left to right, so a strand that counts down
    is drawn at minus its positions. Raises ValueError for another step than 1 or -1."""
    if step not in (1, -1):
        raise ValueError(f"step={step!r}: 1, or -1 for the reverse strand")
    return site + (-origin if step < 0 else origin)


def show_positions(axes: Axes, label: str, step: int = 1) -> None:
    """Whole base positions with thousands set apart, and never an offset in the corner.

    With a `step` of -1 the axis holds minus the positions (`drawn_at`).
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{step * at:,.0f}"))
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
