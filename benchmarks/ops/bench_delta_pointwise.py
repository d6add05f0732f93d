"""delta_pointwise against the same forms in plain PyTorch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_pointwise

CASES = {  # channels, rows, sites; three alternatives each
    "basset-conv1": (300, 19, 40),
    "bpnet-dilation-128": (64, 529, 20),
    "chrombpnet-512-dilation-8": (512, 65, 4),
}
FUNCTIONS = ("relu", "gelu", "silu", "exp")


def in_place(
    given: Tensor, rows: Rows, original: Original, length: int, function: str
) -> Tensor:  # fmt: skip
    """The fastest of plain PyTorch for ReLU: the originals' rows by index, then two passes."""
    del length
    z = taken(original, rows)
    if function != "relu":
        return naive.change_of(function, z, given)
    out = given + z.clamp(max=0.0)
    return torch.maximum(out, z.clamp_(min=0.0).neg_(), out=out)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, width, sites = CASES[request.param]
    return {
        "given": torch.randn(width, sites, 3, channels),
        "rows": rows(sites, width),
        "original": original(sites, channels),
        "length": LENGTH,
    }


@pytest.mark.parametrize("side", [delta_pointwise, in_place], ids=["ours", "torch"])
@pytest.mark.parametrize("function", FUNCTIONS)
def bench_delta_pointwise(
    benchmark, request, case, function: str, side: Callable[..., Tensor]
) -> None:
    benchmark.group = f"{function} {request.node.callspec.params['case']}"
    case["function"] = function
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_pointwise(**case), rtol=1e-5, atol=1e-5)
    benchmark(side, **case)
