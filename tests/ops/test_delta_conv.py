"""delta_conv: C++ is what the naive sum over taps is, and that is the change of a real convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as some
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_conv, pack_weight
from tests.ops.windows import LENGTH, assert_same, delta, forced, original, refuses, rows

pytestmark = pytest.mark.usefixtures("poisoned_empty")

DTYPES = [torch.float32, torch.float64]
GEOMETRIES = {  # taps, channels in, channels out, groups, stride, dilation, pad
    "one of all": (1, 1, 1, 1, 1, 1, 0),
    "odd": (3, 7, 5, 1, 2, 1, 1),
    "bpnet": (3, 64, 64, 1, 1, 4, 4),
    "basset": (11, 300, 33, 1, 1, 1, 0),
    "many passes": (2, 700, 17, 1, 1, 1, 0),
    "strided, dilated": (4, 33, 100, 1, 3, 2, 4),
    "groups": (5, 12, 20, 4, 1, 1, 2),
    "depthwise": (3, 9, 9, 9, 1, 2, 2),
    "24 filters": (11, 24, 24, 1, 1, 4, 20),
    "flatten, linear": (LENGTH, 3, 15, 1, 1, 1, 0),
}


def case(
    geometry: tuple[int, ...], dtype: torch.dtype, sites: int = 4, edits: int = 3, pieces: int = 1,
    relu: bool = True, residual: bool = True, first: bool = False,
) -> dict[str, Any]:  # fmt: skip
    taps, wide, channels, groups, stride, dilation, pad = geometry
    on = rows(sites, *[7] * pieces)
    out = rows(sites, *[9] * pieces) if taps < LENGTH else Rows(torch.zeros(1, sites).long(), (1,))
    weight = torch.randn(taps, wide // groups, channels, dtype=dtype)
    made: dict[str, Any] = {
        "given": delta(on, edits, wide, dtype), "rows_in": on, "rows_out": out,
        "weight": pack_weight(weight, groups), "channels": channels, "stride": stride,
        "dilation": dilation, "pad": pad, "length": LENGTH if taps < LENGTH else 1,
    }  # fmt: skip
    if relu:
        made["original"] = original(sites, channels, dtype, made["length"])
    if residual:
        beside = rows(sites, 6, 3)
        made |= {"residual": delta(beside, edits, channels, dtype), "beside": beside}
        made["residual_first"] = first
    return made


def scale(made: dict[str, Any]) -> float:
    _, _, taps, wide, _ = made["weight"].shape
    return float((taps * wide) ** 0.5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
@pytest.mark.parametrize("name", GEOMETRIES)
def test_equals_naive(name: str, isa: str, dtype: torch.dtype) -> None:
    for pieces, first in ((1, False), (2, True), (3, False)):
        made = case(GEOMETRIES[name], dtype, pieces=pieces, first=first)
        assert_same(forced(isa, delta_conv, **made), naive.delta_conv(**made), scale(made))


@pytest.mark.parametrize("edits", [0, 1, 2, 4, 5, 7])
def test_any_number_of_edits(edits: int) -> None:
    made = case(GEOMETRIES["odd"], torch.float64, edits=edits)
    assert_same(delta_conv(**made), naive.delta_conv(**made))


@pytest.mark.parametrize("parts", ["relu", "residual", "neither", "no rows in", "no sites"])
def test_what_may_be_absent(parts: str) -> None:
    sites = 0 if parts == "no sites" else 4
    made = case(GEOMETRIES["bpnet"], torch.float64, sites, relu=parts == "relu",
                residual=parts == "residual")  # fmt: skip
    if parts == "no rows in":
        made["rows_in"] = Rows(torch.zeros(0, sites).long(), ())
        made["given"] = made["given"][:0]
    assert_same(delta_conv(**made), naive.delta_conv(**made), 10)


def test_threads_share_the_rows(threads: Any) -> None:
    made = case(GEOMETRIES["basset"], torch.float32, sites=40)
    threads(1)
    alone = delta_conv(**made)
    threads(2)
    assert torch.equal(delta_conv(**made), alone)


@drawn(
    some.tuples(*(some.integers(1, most) for most in (6, 20, 40))),
    some.tuples(some.integers(1, 3), some.integers(1, 5), some.integers(0, 7)),
    some.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_any_geometry(shape: tuple[int, ...], places: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    taps, wide, channels = shape
    made = case((taps, wide, channels, 1, *places), torch.float32, pieces=1 + seed % 2)
    assert_same(delta_conv(**made), naive.delta_conv(**made), scale(made))


def test_naive_is_the_change_of_a_real_layer() -> None:
    conv = torch.nn.Conv1d(3, 5, 4, stride=2, dilation=3, padding=2, dtype=torch.float64)
    x = torch.randn(1, 3, 40, dtype=torch.float64)
    edited = x.clone()
    edited[:, :, 11:14] += torch.randn(1, 3, 3, dtype=torch.float64)

    def layer(x: Tensor) -> Tensor:
        return F.relu(conv(x))[0].T

    z = conv(x)[0].T[None]
    made = delta_conv(
        (edited - x)[0].T[11:14, None, None].contiguous(), Rows(torch.tensor([[11]]), (3,)),
        pack_weight(conv.weight.detach().permute(2, 1, 0).contiguous()),
        Rows(torch.tensor([[0]]), (len(z[0]),)), channels=5, stride=2, dilation=3, pad=2,
        length=len(z[0]), original=(z.detach(), torch.zeros(1, dtype=torch.int32), 0),
    )  # fmt: skip
    torch.testing.assert_close(made[:, 0, 0], (layer(edited) - layer(x)).detach())


def test_a_nan_reaches_those_who_read_it_and_nobody_else() -> None:
    made = case(GEOMETRIES["bpnet"], torch.float32)
    made["given"][3, 1, 2, 5] = torch.nan
    got, expected = delta_conv(**made), naive.delta_conv(**made)
    assert expected.isnan().any()
    assert torch.equal(got.isnan(), expected.isnan())


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"given": torch.zeros(7, 4, 3, 64).half()}, TypeError, "given has dtype"),
        ({"given": torch.zeros(6, 4, 3, 64)}, ValueError, "rows_in keeps 7 rows a site"),
        ({"given": torch.zeros(7, 5, 3, 64)}, ValueError, "make the two agree"),
        ({"weight": torch.zeros(3, 64, 64)}, ValueError, "weight has 3 axes"),
        ({"weight": torch.zeros(1, 4, 3, 32, 16)}, ValueError, "make it with pack_weight"),
        ({"channels": 80}, ValueError, "make it with pack_weight"),
        ({"stride": 0}, ValueError, "stride=0"),
        ({"beside": None}, ValueError, "say with beside="),
        ({"residual": torch.zeros(9, 4, 3, 63)}, ValueError, "residual .*make the two agree"),
        ({"rows_out": Rows(torch.zeros(1, 4).long(), (3, 4))}, ValueError, "for 1 pieces"),
        ({"rows_out": Rows(torch.zeros(1, 4), (3,))}, TypeError, "rows_out.starts has dtype"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else None,
)
def test_bad_arguments_are_refused(change: dict[str, Any], kind: Any, message: str) -> None:
    made = case(GEOMETRIES["bpnet"], torch.float32)
    with refuses(message, kind):
        delta_conv(**(made | change))


def test_a_sequence_that_is_not_there_is_refused() -> None:
    made = case(GEOMETRIES["bpnet"], torch.float32)
    made["original"].sequence[2] = 3
    with refuses(r"original.sequence\[2\] is 3"):
        delta_conv(**made)
