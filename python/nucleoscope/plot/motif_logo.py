"""A motif's logo: letters as high as the bits that they tell, or as what they contribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.plot.figure import new_figure
from nucleoscope.plot.letters import colours_of, draw_letters, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def motif_logo(
    motif: Tensor | npt.NDArray[Any],  # [4, K]
    *,
    contributions: bool = False,
    alphabet: str = "ACGT",
    title: str = "",
    palette: str = "classic",
    axes: Axes | None = None,
) -> Axes:
    """Draw a motif of letter probabilities by its information against equal letters, in bits.

    A position's letters share its information by their probabilities: 2 bits where one of four letters is
    always there. With `contributions` the numbers are drawn as they are, and may be negative.

    Raises ImportError that says what to install, ValueError for another shape, numbers that are no
    probabilities, and a palette that there is not. Source: Schneider and Stephens 1990.
    """
    drawing()
    colours = colours_of(palette, alphabet)
    motif = torch.as_tensor(motif)
    if motif.ndim != 2 or motif.shape[0] != len(alphabet) or not motif.shape[1]:
        raise ValueError(f"motif: shape {tuple(motif.shape)}, where [{len(alphabet)}, K] is needed")
    heights = motif.detach().double().cpu()
    if not torch.isfinite(heights).all():
        raise ValueError("motif: it holds NaN or infinite numbers")
    if not contributions:
        if (heights < 0).any() or ((heights.sum(0) - 1).abs() > 1e-3).any():
            raise ValueError(
                "motif: its columns are no probabilities that add up to 1; pass contributions=True to draw "
                "other numbers"
            )
        heights = heights * information(heights)
    if axes is None:
        axes = new_figure(min(1.5 + 0.25 * motif.shape[1], 24), 1.8)[1][0]
    draw_letters(axes, heights.numpy(), range(motif.shape[1]), colours)
    axes.set_ylabel("contribution" if contributions else "bits")
    axes.set_title(title, loc="left", fontsize="medium")
    if not contributions:
        axes.set_ylim(0, float(torch.tensor(float(len(alphabet))).log2()))
    return axes


def information(probabilities: Tensor) -> Tensor:
    """Bits a position, [K], of probabilities [A, K] against equal letters."""
    most = torch.tensor(float(len(probabilities)), dtype=probabilities.dtype).log2()
    told: Tensor = most + torch.special.xlogy(probabilities, probabilities).sum(0) / torch.log(
        torch.tensor(2.0, dtype=probabilities.dtype)
    )
    return told
