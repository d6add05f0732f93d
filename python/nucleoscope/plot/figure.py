"""Figures that need no display, and what all of them share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Write a figure in the format that the file's ending says.

    Raises ValueError for an ending that matplotlib does not know, OSError where nothing can be
    written.
    """
    path = Path(path)
    with whole_file(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=dpi)
    return path


def scores_of(attribution: Attribution, sequence: int, target: int) -> npt.NDArray[np.float64]:
    """[letter, site] of one sequence and target."""
    chosen = attribution.scores[sequence]
    if "target" in attribution.axes:
        chosen = chosen[target]
    elif target != 0:
        raise IndexError(f"target={target}: this attribution has one target, 0")
    return chosen.double().cpu().numpy()


def show_positions(axes: Axes, label: str) -> None:
    """Whole base positions with thousands set apart, and never an offset in the corner."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda position, _: f"{position:,.0f}"))
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
