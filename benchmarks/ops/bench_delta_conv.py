"""delta_conv against the fastest plain PyTorch: one in-place matrix product a tap over live rows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import delta_conv, pack_weight

CASES = {  # taps, dilation, channels in and out, rows in, sites
    "basset-conv2": (11, 1, 300, 200, 8, 40),
    "basset-dense": (1, 1, 1000, 1000, 1, 40),
    "bpnet-dilation-64": (3, 64, 64, 64, 145, 20),
    "chrombpnet-dilation-8": (3, 8, 512, 512, 49, 4),
    "spliceai-k11": (11, 4, 32, 32, 81, 20),
}


def per_tap(*, given, rows_out, plain, dilation, original, **_: Any) -> Tensor:
    """Sites alike, stride 1: a block of rows meets a block of rows."""
    width, sites, edits = rows_out.widths[0], given.shape[1], given.shape[2]
    out = given.new_zeros(width, sites, edits, plain.shape[2])
    for tap, matrix in enumerate(plain):
        first = (len(plain) - 1 - tap) * dilation
        block = out[first : first + len(given)]
        block.view(-1, block.shape[3]).addmm_(given.view(-1, given.shape[3]), matrix)
    z = taken(original, rows_out)
    return torch.maximum(out.add_(z.clamp(max=0.0)), -z.clamp(min=0.0), out=out)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    taps, dilation, wide, channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_conv {request.param}"
    reach = (taps - 1) * dilation
    plain = torch.randn(taps, wide, channels) / (taps * wide) ** 0.5
    return {
        "given": torch.randn(width, sites, 3, wide),
        "rows_in": rows(sites, width),
        "weight": pack_weight(plain),
        "rows_out": rows(sites, width + reach, 1000 - reach),
        "channels": channels,
        "dilation": dilation,
        "length": LENGTH,
        "original": original(sites, channels),
        "plain": plain,
    }


def ours(**case: Any) -> Tensor:
    del case["plain"]
    return delta_conv(**case)


def definition(**case: Any) -> Tensor:
    del case["plain"]
    return naive.delta_conv(**case)


@pytest.mark.parametrize("side", [ours, per_tap, definition], ids=["ours", "torch", "naive"])
def bench_delta_conv(benchmark, case, side: Callable[..., Tensor]) -> None:
    torch.testing.assert_close(side(**case), definition(**case), rtol=1e-4, atol=1e-4)
    benchmark(side, **case)
