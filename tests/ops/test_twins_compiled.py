"""The Triton twins of the row ops, compiled for GPUs not here: nothing spills; registers of a thread."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functions import FUNCTIONS

SITES, EDITS, CHANNELS = 600, 3, 64
Call = tuple[str, str, tuple[Any, ...], dict[str, Any]]
# At most so many registers a thread: 64 let a multiprocessor hold 1,024 threads, 128 half of that.
LIGHT, HEAVY = 64, 128
SMOOTH = {"sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "softplus", "elu", "exp", "softmax pool"}


def rows(*widths: int) -> tuple[Any, ...]:
    return ("int64", (len(widths), SITES)), widths


def calls(dtype: str) -> list[Call]:
    """Every launcher of a row op, with every function."""

    def values(width: int, channels: int = CHANNELS) -> tuple[Any, ...]:
        return dtype, (width, SITES, EDITS, channels)

    original = ((dtype, (3, 500, CHANNELS)), ("int32", (SITES,)), 7)
    channels = (dtype, (CHANNELS,))
    cell = {"taps": 3, "stride": 3, "length_in": 500, "length": 166}
    two = ((values(19), rows(19), original), (values(9), rows(9), original))
    look_up = (
        (dtype, (19, 4, CHANNELS)),
        ("int64", (SITES,)),
        ("int32", (SITES,)),
        ("int32", (SITES, EDITS)),
    )
    geometry = {"stride": 1, "dilation": 1, "pad": 9, "length": 500}
    simple = {"taps": 1, "stride": 1, "pad": 0, "length": 500, "scale": channels}
    whole = {"taps": 500, "stride": 1, "pad": 0, "length": 1, "scale": None}
    named = {f.name: f for f in FUNCTIONS.values() if f.name != "clamp"} | {
        "clamp": FUNCTIONS["clamp"]
    }
    pointwise = [
        (
            name,
            "delta_pointwise",
            (values(19), rows(9, 10), original, 500, name, f.parameters, values(19)),
            {},
        )
        for name, f in named.items()
    ]
    looked_up = [
        (f"look-up, {name}", "edit_lookup.look_up_at",
         (*look_up, rows(19), given, name, (), values(19)), geometry)
        for name, given in (("relu", original), ("gelu", original), ("none", None))
    ]  # fmt: skip
    return [
        *pointwise,
        *looked_up,
        ("max pool", "delta_max_pool",
         (values(19), rows(19), rows(7), original, original, values(7)), {**cell, "dilation": 1, "pad": 0}),
        ("softmax pool", "delta_softmax_pool",
         (values(19), rows(19), values(19), rows(19), rows(7), original, original, values(7)), cell),
        ("layer norm", "delta_layer_norm", (values(19), rows(19), original, 500, values(19)),
         {"wide": CHANNELS, "weight": channels, "eps": 1e-5}),
        ("sum", "delta_sum",
         (((values(19), rows(19), 1.0), (values(9), rows(9), 0.5)), rows(20), values(20)), simple),
        ("mean", "delta_sum", (((values(190), rows(190), 0.002),), rows(1), values(1)), whole),
        ("product", "delta_product", (two, rows(20), values(20)), {"length": 500}),
        ("concat", "delta_concat", (((values(19), rows(19), 0), (values(9), rows(9), CHANNELS)),
                                    rows(20), values(20, 2 * CHANNELS)), {"length": 500}),
    ]  # fmt: skip


def assert_lean(launches: list[dict[str, Any]]) -> None:
    for launch in launches:
        assert launch["spilled"] == 0, launch
        smooth = any(name in launch["label"] for name in SMOOTH)
        assert launch["registers"] <= (HEAVY if smooth else LIGHT), launch


def test_each_op_for_one_gpu(compile_ahead: Any) -> None:
    seen, few = set(), []
    for call in calls("float32"):
        if call[1] not in seen or call[0] in ("gelu", "mean"):
            few.append(call)
        seen.add(call[1])
    assert_lean(compile_ahead(calls=few, capabilities=(90,)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_op_and_function(dtype: str, compile_ahead: Any) -> None:
    launches = compile_ahead(calls=calls(dtype))
    if dtype == "float32":
        assert_lean(launches)
    assert all(launch["spilled"] == 0 for launch in launches), launches
