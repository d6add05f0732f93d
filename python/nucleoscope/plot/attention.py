"""Pictures of attention: rows by tokens, one row along the sequence beside its controls, how it is conditioned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nucleoscope import Attribution
from nucleoscope.plot.figure import new_figure, show_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 1e-4  # of the largest score, below which colours do not tell apart
SHOWN = {  # what the panel shows of each layer and head: (title, lowest and highest colour)
    "perplexity": ("keys read\n(median)", 0.0, None),
    "sink": ("largest share\nof one key", 0.0, 1.0),
    "saturation": ("softmax\nJacobian", 0.0, 1.0),
    "rank_one": ("distance\nto rank one", 0.0, 1.0),
    "stable_rank": ("stable\nrank", 1.0, None),
    "kappa of keys": ("condition\nof keys", 1.0, None),
    "identifiable": ("identifiable\nfraction", 0.0, 1.0),
}


def attention_heatmap(
    attribution: Attribution,
    *,
    sequence: int = 0,
    head: int | None = None,
    marks: Sequence[tuple[int, int, str]] = (),
    origin: int = 0,
    title: str = "",
    place: str = "position",
    axes: Axes | None = None,
) -> Axes:
    """Draw a rollout, a relevance or a map: a line a row, a column a token, colours by powers of ten.

    `marks` are bases [start, end) to bracket above, such as genes, with their names. `origin` is the
    position of the sequence's first base. Raises ValueError for scores of other axes, IndexError for a
    sequence or head that there is not, ImportError that says what to install.
    """
    values = np.clip(_rows(attribution, sequence, head), 0, None)
    if axes is None:
        axes = new_figure(10, min(1.6 + 0.12 * len(values), 9))[1][0]
    from matplotlib.colors import LogNorm

    top = float(values.max()) or 1.0
    shown = np.maximum(values, LEAST * top)
    least = min(
        float(shown.min()), 0.5 * top
    )  # colours span what is there; of even weights one octave
    edges = _edges(attribution, values.shape[1]) + origin
    image = axes.pcolormesh(
        edges, np.arange(len(values) + 1), shown,
        norm=LogNorm(least, top), cmap="viridis", rasterized=True,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set_ylabel("row")
    few = len(values) <= 12
    axes.set_yticks(
        np.arange(len(values)) + 0.5 if few else [],
        [str(i) for i in range(len(values))] if few else [],
    )
    _bracket(axes, marks, origin, float(edges[-1] - edges[0]))
    show_positions(axes, place)
    axes.set_title(title, loc="left", fontsize="medium", pad=18 if marks else 6)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("score")
    return axes


def rollout_track(
    attribution: Attribution,
    row: int = 0,
    *,
    sequence: int = 0,
    marks: Sequence[tuple[int, int, str]] = (),
    origin: int = 0,
    title: str = "",
    place: str = "position",
    axes: Axes | None = None,
) -> Axes:
    """Draw one row over the sequence, with its controls: the shuffled sequence's, and nearness alone.

    The vertical axis is logarithmic: the row's own token has most of it. Other arguments and errors are
    those of `attention_heatmap`; IndexError for a row that there is not.
    """
    values = _rows(attribution, sequence, None)
    if not 0 <= row < len(values):
        raise IndexError(f"row={row}: this attribution has {len(values)}, from 0")
    if axes is None:
        axes = new_figure(12, 2.6)[1][0]
    edges = _edges(attribution, values.shape[1]) + origin
    axes.stairs(
        values[row], edges, color="#b5431f", linewidth=1.2, label="this sequence", baseline=None
    )
    colours = {
        "shuffled": ("#1f5fa8", "shuffled sequence"),
        "distance": ("#777777", "1 / (1 + distance)"),
    }
    for at, name in enumerate(attribution.facts.get("controls", ())):
        held = attribution.controls
        assert held is not None
        colour, label = colours[name]
        control = held[at, sequence, row].double().cpu().numpy()
        axes.stairs(control, edges, color=colour, linewidth=0.8, label=label, baseline=None)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yscale("log")
    top = float(values[row].max())
    axes.set_ylim(max(float(values[row][values[row] > 0].min()), 1e-6 * top), 1.5 * top)
    axes.set_ylabel("score")
    _bracket(axes, marks, origin, float(edges[-1] - edges[0]))
    show_positions(axes, place)
    axes.legend(frameon=False, fontsize="small", loc="upper right", ncols=3)
    axes.set_title(title, loc="left", fontsize="medium", pad=18 if marks else 6)
    return axes


def conditioning_panel(attribution: Attribution, *, sequence: int = 0, title: str = "") -> Figure:
    """Draw how each layer's heads are conditioned: one small map a measure, a line a layer, a column a head.

    What was not measured is left out. Raises ValueError where the attribution has no conditioning,
    IndexError for a sequence that there is not, ImportError that says what to install.
    """
    told = attribution.facts.get("conditioning")
    if not told:
        raise ValueError("conditioning: this attribution has none; make it by attention_rollout")
    if not 0 <= sequence < len(told):
        raise IndexError(f"sequence={sequence}: this attribution has {len(told)}, from 0")
    layers: list[dict[str, Any]] = told[sequence]
    found = {name: [_measure(layer, name) for layer in layers] for name in SHOWN}
    found = {name: rows for name, rows in found.items() if all(rows)}
    figure, _ = new_figure(1.0 + 1.7 * len(found), 1.5 + 0.32 * len(layers))
    figure.clear()
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for (name, rows), axes in zip(found.items(), panels, strict=True):
        label, low, high = SHOWN[name]
        wide = max(map(len, rows))
        values = np.full((len(rows), wide), np.nan)
        for at, row in enumerate(rows):
            values[at, : len(row)] = row
        axes.imshow(values, vmin=low, vmax=high, cmap="cividis", aspect="auto")
        middle = np.nanmean([low, high if high is not None else np.nanmax(values)])
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value) and wide <= 8:
                ink = "black" if value > middle else "white"
                axes.text(j, i, f"{value:.2g}" if value < 100 else f"{value:.0f}", ha="center", va="center",
                          fontsize=6.5, color=ink)  # fmt: skip
        axes.set_title(label, fontsize="small")
        axes.set_xticks(range(wide) if wide <= 8 else [], range(wide) if wide <= 8 else [])
        axes.set_yticks(range(len(rows)), range(len(rows)) if axes is panels[0] else [])
        axes.set_xlabel("head", fontsize="small")
    panels[0].set_ylabel("layer", fontsize="small")
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return figure


def _measure(layer: dict[str, Any], name: str) -> list[float]:
    if name == "kappa of keys":
        return list(layer["kappa"]["key"])
    return list(layer[name])


def _rows(attribution: Attribution, sequence: int, head: int | None) -> npt.NDArray[np.float64]:
    """[row, token] of one sequence, of one head where the scores are by head."""
    scores = attribution.scores
    axes = [each for each in attribution.axes if each != "head"]
    if axes not in (["sequence", "row", "token"], ["sequence", "row", "site"]):
        raise ValueError(
            f"axes {attribution.axes}: rows by tokens are needed, of a method on attention"
        )
    if not 0 <= sequence < len(scores):
        raise IndexError(f"sequence={sequence}: this attribution has {len(scores)}, from 0")
    if "head" in attribution.axes:
        at = attribution.axes.index("head")
        if head is not None and not 0 <= head < scores.shape[at]:
            raise IndexError(f"head={head}: this attribution has {scores.shape[at]}, from 0")
        scores = scores.mean(at) if head is None else scores.select(at, head)
    return np.asarray(scores[sequence].double().cpu().numpy())


def _edges(attribution: Attribution, count: int) -> npt.NDArray[np.float64]:
    """Where tokens end on the axis: at their bases, where these follow each other without gaps."""
    spans = attribution.facts.get("token_spans")
    if spans is None or attribution.axes[-1] == "site":
        return np.arange(count + 1, dtype=np.float64)
    starts, ends = np.asarray(spans, dtype=np.float64).T
    if not (np.array_equal(starts[1:], ends[:-1]) and (ends > starts).all()):
        return np.arange(count + 1, dtype=np.float64)
    return np.append(starts, ends[-1])


def _bracket(axes: Axes, marks: Sequence[tuple[int, int, str]], origin: int, whole: float) -> None:
    lower = -np.inf
    for start, end, name in sorted(marks):
        axes.annotate(
            "", (origin + start, 1.02), (origin + end, 1.02), xycoords=("data", "axes fraction"),
            arrowprops={"arrowstyle": "-", "linewidth": 2.5, "color": "#333333", "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        if (
            origin + start - lower > 0.06 * whole
        ):  # names that would stand on each other are left out
            axes.annotate(
                name,
                (origin + start, 1.03),
                xycoords=("data", "axes fraction"),
                fontsize=7,
                va="bottom",
            )
            lower = origin + start
