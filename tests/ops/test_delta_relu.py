"""delta_relu: C++ is what the naive form is, and that is the change of ReLU, small deltas and all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_relu
from tests.ops.windows import LENGTH, assert_same, delta, forced, original, refuses, rows

pytestmark = pytest.mark.usefixtures("poisoned_empty")


def case(dtype: torch.dtype = torch.float32, channels: int = 13) -> dict[str, Any]:
    on = rows(5, 4, 9)
    return {
        "given": delta(on, 3, channels, dtype),
        "rows": on,
        "original": original(5, channels, dtype),
        "length": LENGTH,
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
@pytest.mark.parametrize("channels", [0, 1, 13, 64, 100])
def test_equals_naive(channels: int, isa: str, dtype: torch.dtype) -> None:
    made = case(dtype, channels)
    assert_same(forced(isa, delta_relu, **made), naive.delta_relu(**made))


def test_a_small_delta_keeps_its_digits_beside_a_large_value() -> None:
    on, d = Rows(torch.zeros(1, 1).long(), (1,)), torch.tensor([1e-9, -1e-9])
    z = Original(torch.tensor([[[100.0, 100.0]]]), torch.zeros(1, dtype=torch.int32))
    assert torch.equal(delta_relu(d.view(1, 1, 1, 2), on, z, 1).flatten(), d)


def test_is_the_change_of_relu() -> None:
    made = case(torch.float64)
    z = made["original"].values
    z[:] = z[:, :1]  # the same at every position, so that none need be looked up
    z = z[made["original"].sequence.long(), 0][None, :, None]
    change = torch.relu(z + made["given"]) - torch.relu(z)
    got = delta_relu(**made)
    inside = got.abs().sum((1, 2, 3)) > 0
    kept = (got != 0) | (change == 0)
    assert inside.any()
    torch.testing.assert_close(got[kept], change[kept])


def test_a_nan_stays() -> None:
    made = case()
    made["rows"].starts[:] = torch.tensor([[3], [30]])
    made["given"][2, 1, 1, 4] = torch.nan
    assert delta_relu(**made).isnan().nonzero().tolist() == [[2, 1, 1, 4]]


def test_bad_arguments_are_refused() -> None:
    made = case()
    with refuses("given has dtype", TypeError):
        delta_relu(**(made | {"given": made["given"].int()}))
    with refuses("rows keeps 13 rows a site"):
        delta_relu(**(made | {"given": made["given"][1:]}))
    with refuses("make the two agree"):
        delta_relu(**(made | {"given": made["given"][..., 1:]}))
