"""The Triton twins of the row ops, compiled for GPUs not here: nothing spills; registers of a thread."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functions import FUNCTIONS

SITES, EDITS, CHANNELS = 600, 3, 64
# At most so many registers a thread: with 72 a multiprocessor holds 896 threads, with 128 half as many.
LIGHT, HEAVY = 72, 128
HEAVY_OPS = {"delta_softmax_pool"}
KERNELS = (
    "delta_pointwise", "edit_lookup.look_up_at", "delta_max_pool", "delta_softmax_pool", "delta_layer_norm",
    "delta_sum", "delta_product", "delta_concat",
)  # fmt: skip


def rows(*widths: int) -> tuple[Any, ...]:
    return ("int64", (len(widths), SITES)), widths


def launches(kernel: str, dtype: str) -> list[dict[str, Any]]:
    """What a launcher is given: each function, each term that may be missing."""

    def values(width: int, channels: int = CHANNELS) -> tuple[Any, ...]:
        return dtype, (width, SITES, EDITS, channels)

    original = ((dtype, (3, 500, CHANNELS)), ("int32", (SITES,)), 7)
    channels = (dtype, (CHANNELS,))
    inner: dict[str, Any] = {
        "given": values(19),
        "rows": rows(9, 10),
        "original": original,
        "out": values(19),
    }
    cell = {
        "given": values(19), "rows_in": rows(19), "rows_out": rows(7), "original": original, "out": values(7),
        "taps": 3, "stride": 3, "length_in": 500, "length": 166,
    }  # fmt: skip
    given, beside = (values(19), rows(19)), (values(9), rows(9))
    match kernel:
        case "delta_pointwise":
            every = {f.name: f.parameters for f in FUNCTIONS.values()}
            return [
                {**inner, "length": 500, "function": f, "parameters": p} for f, p in every.items()
            ]
        case "edit_lookup.look_up_at":
            looked_up = {
                "table": (dtype, (19, 4, CHANNELS)), "site": ("int64", (SITES,)), "old": ("int32", (SITES,)),
                "new": ("int32", (SITES, EDITS)), "rows": rows(19), "out": values(19), "parameters": (),
                "stride": 1, "dilation": 1, "pad": 9, "length": 500,
            }  # fmt: skip
            heads = (("relu", original), ("gelu", original), ("relu", None))
            return [{**looked_up, "function": f, "original": z} for f, z in heads]
        case "delta_max_pool":
            pools = {**cell, "pooled": original, "dilation": 1, "pad": 0}
            return [{**pools, "relu": relu} for relu in (False, True)]
        case "delta_softmax_pool":
            both = {**cell, "logits": values(9), "beside": rows(9), "original_logits": original}
            one, other = {"given": None, "rows_in": None}, {"logits": None, "beside": None}
            return [both, both | one, both | other]
        case "delta_layer_norm":
            norm = {**inner, "length": 500, "wide": CHANNELS, "eps": 1e-5, "limit": 128.0}
            return [{**norm, "weight": channels}, {**norm, "wide": 12, "weight": None}]
        case "delta_sum":
            two = {
                "terms": ((*given, 1.0), (*beside, 0.5)), "rows_out": rows(20), "out": values(20), "taps": 1,
                "stride": 1, "pad": 0, "length": 500, "scale": channels,
            }  # fmt: skip
            return [two, {**two, "terms": ((*given, 0.002),), "taps": 500, "scale": None}]
        case "delta_product":
            one = (None, None, original)
            terms = [((*given, original), (*beside, original)), (one, (*beside, original))]
            return [
                {"factors": f, "rows_out": rows(20), "out": values(20), "length": 500}
                for f in terms
            ]
        case _:
            parts = ((*given, 0), (*beside, CHANNELS))
            whole = {"rows_out": rows(20), "out": values(20, 2 * CHANNELS), "length": 500}
            return [{**whole, "parts": parts}, {**whole, "parts": parts[:1]}]


def assert_lean(kernel: str, records: list[dict[str, Any]]) -> None:
    for record in records:
        assert record["spilled"] == 0, record
        smooth = kernel in HEAVY_OPS or "gelu" in record.get("function", "")
        assert record["registers"] <= (HEAVY if smooth else LIGHT), record


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_of_each_for_one_gpu(kernel: str, compile_ahead: Any) -> None:
    first = launches(kernel, "float32")[0]
    assert_lean(kernel, compile_ahead(kernel, first, capabilities=(90,)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_launch(kernel: str, dtype: str, compile_ahead: Any) -> None:
    every = launches(kernel, dtype)
    records = compile_ahead(kernel, *every)
    assert len(records) == 2 * len(every)  # for two GPUs
    for record, launch in zip(records, 2 * every, strict=True):
        record["function"] = launch.get("function", "")
    if dtype == "float32":
        assert_lean(kernel, records)
    assert [record for record in records if record["spilled"]] == []
