"""delta_product against the same form in plain PyTorch, and against its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_product

CASES = {  # channels, rows, sites; three alternatives each
    "gated-64": (64, 31, 40),
    "gated-512": (512, 31, 10),
}


def in_place(factors: list[tuple[Any, ...]], rows_out: Rows, *, length: int) -> Tensor:
    """The fastest of plain PyTorch: the originals' rows by index. All on the same rows, inside."""
    del length
    (d_a, _, a), (d_b, _, b) = factors
    out = taken(b, rows_out) + d_b
    return out.mul_(d_a).addcmul_(taken(a, rows_out), d_b)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_product {request.param}"
    on = rows(sites, width)
    return {
        "factors": [
            (torch.randn(width, sites, 3, channels), on, original(sites, channels))
            for _ in range(2)
        ],
        "rows_out": on,
        "length": LENGTH,
    }


@pytest.mark.parametrize(
    "side", [delta_product, in_place, naive.delta_product], ids=["ours", "torch", "naive"]
)
def bench_delta_product(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_product(**case), rtol=1e-5, atol=1e-5)
    benchmark(side, **case)
