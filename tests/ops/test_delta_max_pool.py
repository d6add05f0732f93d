"""delta_max_pool: C++ is what the naive maximum is, and that is the change of a real max-pool."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_max_pool
from tests.ops.windows import LENGTH, assert_same, delta, forced, refuses, rows

pytestmark = pytest.mark.usefixtures("poisoned_empty")

GEOMETRIES = {  # taps, stride, dilation, pad
    "one": (1, 1, 1, 0),
    "basset": (4, 4, 1, 0),
    "overlapping": (5, 2, 1, 2),
    "dilated": (3, 1, 2, 1),
    "gaps": (2, 5, 1, 1),
}


def case(name: str, dtype: torch.dtype = torch.float32, channels: int = 13) -> dict[str, Any]:
    taps, stride, dilation, pad = GEOMETRIES[name]
    on, out = rows(4, 8, 3), rows(4, 7)
    z = torch.randn(3, channels, LENGTH, dtype=dtype)
    z[:, :, 20:24] = -torch.inf  # masked positions: whole cells of them
    m = F.max_pool1d(z, taps, stride, pad, dilation)
    sequence = torch.tensor([0, 2, 1, 1], dtype=torch.int32)
    return {
        "given": delta(on, 3, channels, dtype), "rows_in": on, "rows_out": out,
        "original": Original(z.mT.contiguous(), sequence), "pooled": Original(m.mT.contiguous(), sequence),
        "taps": taps, "stride": stride, "dilation": dilation, "pad": pad,
        "length_in": LENGTH, "length": m.shape[2],
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
@pytest.mark.parametrize("name", GEOMETRIES)
def test_equals_naive(name: str, isa: str, dtype: torch.dtype) -> None:
    for channels in (1, 13, 100):
        made = case(name, dtype, channels)
        assert_same(forced(isa, delta_max_pool, **made), naive.delta_max_pool(**made))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_is_the_change_of_a_real_pool(name: str) -> None:
    taps, stride, dilation, pad = GEOMETRIES[name]
    z = torch.randn(1, 6, LENGTH, dtype=torch.float64)
    edited = z.clone()
    edited[:, :, 17:26] += torch.randn(1, 6, 9, dtype=torch.float64)
    m, after = (F.max_pool1d(t, taps, stride, pad, dilation) for t in (z, edited))
    none = torch.zeros(1, dtype=torch.int32)
    got = delta_max_pool(
        (edited - z)[0, :, 17:26].T[:, None, None].contiguous(), Rows(torch.tensor([[17]]), (9,)),
        Rows(torch.zeros(1, 1).long(), (m.shape[2],)), Original(z.mT.contiguous(), none),
        Original(m.mT.contiguous(), none), taps=taps, stride=stride, dilation=dilation, pad=pad,
        length_in=LENGTH, length=m.shape[2],
    )  # fmt: skip
    torch.testing.assert_close(got[:, 0, 0], (after - m)[0].T)


def test_a_nan_stays() -> None:
    made = case("overlapping")
    made["rows_in"].starts[0, 1] = 30
    made["rows_out"].starts[0, 1] = 15  # cells of the inputs 28 to 44
    made["given"][3, 1, 0, 7] = torch.nan
    got, expected = delta_max_pool(**made), naive.delta_max_pool(**made)
    assert expected.isnan().any()
    assert torch.equal(got.isnan(), expected.isnan())


def test_bad_arguments_are_refused() -> None:
    made = case("basset")
    with refuses("given has dtype", TypeError):
        delta_max_pool(**(made | {"given": made["given"].half()}))
    with refuses("rows_in keeps 11 rows a site"):
        delta_max_pool(**(made | {"given": made["given"][1:]}))
    with refuses("make the two agree"):
        delta_max_pool(**(made | {"given": made["given"][..., 1:]}))
    made["pooled"].sequence[0] = 7
    with refuses("sequence"):
        delta_max_pool(**made)
