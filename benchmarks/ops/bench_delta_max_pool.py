"""delta_max_pool against the same maximum in plain PyTorch, members gathered by index."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_max_pool

CASES = {"basset-pool1": (3, 300, 19, 40), "beluga-pool1": (4, 320, 15, 40)}  # cell, channels, ...


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    cell, channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_max_pool {request.param}"
    z, on = original(sites, channels), rows(sites, width)
    pooled = F.max_pool1d(z.values.mT, cell).mT.contiguous()
    return {
        "given": torch.randn(width, sites, 3, channels),
        "rows_in": on,
        "rows_out": Rows(on.starts // cell, (width // cell + 1,)),
        "original": z,
        "pooled": Original(pooled, z.sequence),
        "taps": cell,
        "stride": cell,
        "length_in": LENGTH,
        "length": pooled.shape[1],
    }


def ours(**case: Any) -> Tensor:
    return delta_max_pool(**case)


def definition(**case: Any) -> Tensor:
    return naive.delta_max_pool(**case, dilation=1, pad=0)


@pytest.mark.parametrize("side", [ours, definition], ids=["ours", "torch, naive"])
def bench_delta_max_pool(benchmark, case, side: Callable[..., Tensor]) -> None:
    torch.testing.assert_close(side(**case), definition(**case))
    benchmark(side, **case)
