"""What Quantus's constructors take, in the words of our metrics; what means nothing here is refused, with why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from nucleoscope.evaluate.background import Background

Meaning = Callable[[Any, int], dict[str, Any]]  # a value, and the sequences' length -> our options
SAID = "pass a_batch as it is to be judged"


def called(name: str) -> Meaning:
    """The same under another name."""
    return lambda value, length: {name: value}  # noqa: ARG005 (as the others)


def only(*values: Any, why: str) -> Meaning:
    """No option of ours: these values are what is done, and others are refused with the reason."""

    def meaning(value: Any, length: int) -> dict[str, Any]:  # noqa: ARG001 (as the others)
        if not any(
            value is each or (value == each and type(value) is type(each)) for each in values
        ):
            raise ValueError(why)
        return {}

    return meaning


def anything(value: Any, length: int) -> dict[str, Any]:  # noqa: ARG001 (as the others)
    """Of what is printed or drawn, which nothing here is."""
    return {}


def steps_of(value: Any, length: int) -> dict[str, Any]:
    """Positions a step: as many steps as there are such parts."""
    return {"steps": -(-length // _positions(value, length))}


def sizes_of(value: Any, length: int) -> dict[str, Any]:
    """Sets of so many positions, of twice as many, ..., up to n_max_percentage."""
    return {"step": _positions(value, length - 1)}


def one_size(value: Any, length: int) -> dict[str, Any]:
    """Sets of one size alone; None: a fifth of the positions."""
    size = max(1, length // 5) if value is None else value
    return {"at": (_positions(size, length - 1),)}  # of all positions there is one set


def patches(value: Any, length: int) -> dict[str, Any]:
    """Neighbours that go together, a patch a step."""
    size = _positions(value, length)
    return {"patch": size, "steps": -(-length // size)}


def _positions(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 < int(value) <= most:
        raise ValueError(f"positions are counted here, from 1 to {most}")
    return int(value)


def percentages(value: Any, length: int) -> dict[str, Any]:  # noqa: ARG001 (as the others)
    """Shares of the positions."""
    return {"shares": tuple(each / 100 for each in value)}


def baseline(value: Any, length: int) -> dict[str, Any]:  # noqa: ARG001 (as the others)
    """What comes in the place of what is taken away, where that is something for one-hot letters."""
    kinds: dict[str | float, str] = {
        "black": "zeros",
        "mean": "uniform",
        0: "zeros",
        0.25: "uniform",
    }
    if not isinstance(value, str | int | float) or value not in kinds:
        raise ValueError(
            "of letters 'black' (0) is N and 'mean' (0.25) equal parts; other numbers are no letters. Give "
            "background=Background(...) of nucleoscope.evaluate"
        )
    return {"background": Background(kinds[value])}


def draws_of(value: Any, length: int) -> dict[str, Any]:  # noqa: ARG001 (as the others)
    """Draws of the background, which are averaged over."""
    return {"background": Background(draws=value)}


LOOKS: Mapping[str, Meaning] = {
    "default_plot_func": anything,
    "disable_warnings": anything,
    "display_progressbar": anything,
    "normalise": only(
        True, False, why="it is True or False, and neither decides anything: each sequence is judged by itself"
    ),
    "normalise_func": only(None, why=f"scores are not normalised; {SAID}"),
    "normalise_func_kwargs": only(None, why=f"scores are not normalised; {SAID}"),
    "similarity_func": only(None, why="the similarity is that of the metric's source"),
}  # fmt: skip
EDITS: Mapping[str, Meaning] = {
    "perturb_baseline": baseline,
    "perturb_func": only(
        None, why="letters are replaced by letters; give background=Background(...) of nucleoscope.evaluate"
    ),
    "perturb_func_kwargs": only(None, why="there is no perturb_func to take them; give background"),
}  # fmt: skip
NOISE: Mapping[str, Meaning] = {
    name: only(
        None, why="sequences are shifted, turned or substituted, not blurred: by, extent, draws, moves"
    )
    for name in (
        "perturb_func", "perturb_func_kwargs", "lower_bound", "upper_bound", "norm_numerator", "norm_denominator",
    )
} | {
    "nr_samples": called("draws"),
    "return_nan_when_prediction_changes": only(
        True, why="a shift that moves the answer never counts; `moves` says by how much"
    ),
}  # fmt: skip
LAYERS: Mapping[str, Meaning] = {
    "layer_order": only("top_down", why="weights are redrawn from the last layer on ('top_down')"),
    "return_average_correlation": only(True, why="the mean over layers is given; `metric.by_layer` has each"),
    "return_last_correlation": only(False, why="the mean over layers is given; `metric.by_layer` has each"),
    "return_sample_correlation": only(None, False, why="the mean over layers is given, of each sequence"),
    "skip_layers": only(False, why="every layer is redrawn"),
    "seed": anything,  # the call's, where that has none
}  # fmt: skip
ABSOLUTE: Mapping[str, Meaning] = {"abs": called("absolute")}
SIGNED: Mapping[str, Meaning] = {
    "abs": only(False, why="the sign counts in this metric; pass a_batch without signs")
}
SIZED: Mapping[str, Meaning] = {"abs": only(True, why="this metric is of |scores|")}
