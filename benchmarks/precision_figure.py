"""The picture of `benchmarks.precision`: relative error over size of effect, a panel a net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's colours, told apart by every eye: blues carry the change, reds subtract outputs.
# Each with its name and which way from the line's left end the name stands.
SIDES = {
    "loop bf16": ("#D55E00", "plain loop, bfloat16", "above"),
    "loop fp32": ("#E69F00", "plain loop, float32", "above"),
    "delta bf16": ("#56B4E9", "nucleoscope, bfloat16", "below"),
    "delta fp32": ("#0072B2", "nucleoscope, float32", "above"),
}
FLOOR, TOP = 1e-8, 1e4
TICKS = {1e-8: "0.000001 %", 1e-6: "0.0001 %", 1e-4: "0.01 %", 1e-2: "1 %", 1.0: "100 %"}
Panel = tuple[dict[str, Any], Tensor, dict[str, Tensor]]  # summary, exact effects, each side's


def draw(found: dict[str, Any], panels: list[Panel], path: Path) -> None:
    """Write the picture of what was found."""
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(1, len(panels), sharey=True)
    for axes, panel in zip(every, panels, strict=True):
        _panel(axes, *panel)
    for name in (name for name in SIDES if name in panels[0][2]):
        _name(every[0], name, panels[0][0]["bins"])
    every[0].set_ylabel("error of one substitution, relative to its effect")
    figure.suptitle(
        "Small effects are lost where two predictions are subtracted, kept where the change itself "
        "is carried",
        fontsize=12, fontweight="bold",
    )  # fmt: skip
    figure.supxlabel(
        "plain loop: predict the edited and the original sequence, subtract.  nucleoscope: carry only "
        "the change through the network.\n"
        f"A dot: one of {panels[0][0]['substitutions']} substitutions a net, judged by the plain loop "
        f"in float64; lines: medians over similar effects; what is beyond the frame stands at its edge.\n"
        f"{found['processor']} ({found['instruction_set']}), torch {found['torch']}, "
        f"Python {found['python']}.  {found['command']}",
        fontsize=8, color="0.3",
    )  # fmt: skip
    figure.savefig(path, dpi=125)  # under 200 kB


def _panel(axes: Axes, told: dict[str, Any], exact: Tensor, sides: dict[str, Tensor]) -> None:
    size = exact.abs().numpy()
    axes.axhspan(1, TOP, color="0.94", zorder=0)
    axes.axhline(1, color="0.3", linewidth=1)
    for name, (colour, *_) in SIDES.items():
        if name not in sides:
            continue
        error = np.clip((sides[name] - exact).abs().numpy() / size, FLOOR, TOP)
        axes.plot(size, error, ".", color=colour, markersize=3.5, alpha=0.35, markeredgewidth=0)
        axes.plot(*_line(name, told["bins"]), color=colour, linewidth=2.6)
    axes.set(xscale="log", yscale="log", ylim=(FLOOR / 2, TOP), title=told["net"])
    axes.set_yticks(list(TICKS), list(TICKS.values()))
    axes.set_xlabel(f"size of the effect: |change of the {told['unit']}|")
    axes.text(
        0.02, TOP / 2, "100 % and more: sign and size are lost", va="top", color="0.3",
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.minorticks_off()


def _line(name: str, bins: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    errors = [max(b["median_relative_error"][name], FLOOR) for b in bins]
    return [b["effect"] for b in bins], errors


def _name(axes: Axes, name: str, bins: list[dict[str, Any]]) -> None:
    """Write a side's name before its line begins."""
    colour, text, place = SIDES[name]
    (x, *_), (y, *_) = _line(name, bins)
    axes.annotate(
        text, (x, y), (-6, 5 if place == "above" else -5), textcoords="offset points", ha="right",
        va="bottom" if place == "above" else "top", color=colour, fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
    )  # fmt: skip
