"""delta_relu against the same form in plain PyTorch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import delta_relu

CASES = {"basset-first": (300, 19, 40), "bpnet-last": (64, 1041, 8)}  # channels, rows, sites


def plain(*, given, rows, original, **_: Any) -> Tensor:
    z = taken(original, rows)
    return torch.maximum(given + z.clamp(max=0.0), -z.clamp(min=0.0))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_relu {request.param}"
    return {
        "given": torch.randn(width, sites, 3, channels),
        "rows": rows(sites, width),
        "original": original(sites, channels),
        "length": LENGTH,
    }


@pytest.mark.parametrize(
    "side", [delta_relu, plain, naive.delta_relu], ids=["ours", "torch", "naive"]
)
def bench_delta_relu(benchmark, case, side: Callable[..., Tensor]) -> None:
    torch.testing.assert_close(side(**case), naive.delta_relu(**case))
    benchmark(side, **case)
