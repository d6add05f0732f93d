"""delta_relu against the same form in plain PyTorch, and against its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_relu

CASES = {  # channels, rows, sites; three alternatives each
    "basset-conv1": (300, 19, 40),
    "bpnet-dilation-128": (64, 529, 20),
    "chrombpnet-512-dilation-8": (512, 65, 4),
}


def in_place(given: Tensor, rows: Rows, original: Original, length: int) -> Tensor:
    """The fastest of plain PyTorch: the originals' rows by index, then two passes. All inside."""
    del length
    z = taken(original, rows)
    out = given + z.clamp(max=0.0)
    return torch.maximum(out, z.clamp_(min=0.0).neg_(), out=out)


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
    "side", [delta_relu, in_place, naive.delta_relu], ids=["ours", "torch", "naive"]
)
def bench_delta_relu(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_relu(**case), rtol=0, atol=0)
    benchmark(side, **case)
