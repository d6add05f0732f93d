"""delta_concat against slices of plain PyTorch, and against its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, rows
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_concat

CASES = {  # channels of both parts, their rows, sites; three alternatives each
    "dense-net": ((256, 32), (31, 33), 20),
    "u-net": ((64, 64), (21, 61), 40),
}


def sliced(
    parts: list[tuple[Tensor, Rows, int]], rows_out: Rows, *, channels: int, length: int
) -> Tensor:
    """The fastest of plain PyTorch: each part as one block. All sites alike, nothing beyond."""
    del length
    given = parts[0][0]
    out = given.new_zeros(rows_out.widths[0], *given.shape[1:3], channels)
    for values, on, first in parts:
        row = int(on.starts[0, 0] - rows_out.starts[0, 0])
        out[row : row + len(values), ..., first : first + values.shape[3]] = values
    return out


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, widths, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_concat {request.param}"
    firsts = (0, channels[0])
    return {
        "parts": [
            (torch.randn(width, sites, 3, wide), rows(sites, width, 1000 - width // 2), first)
            for wide, width, first in zip(channels, widths, firsts, strict=True)
        ],
        "rows_out": rows(sites, max(widths), 1000 - max(widths) // 2),
        "channels": sum(channels),
        "length": LENGTH,
    }


@pytest.mark.parametrize(
    "side", [delta_concat, sliced, naive.delta_concat], ids=["ours", "torch", "naive"]
)
def bench_delta_concat(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_concat(**case), rtol=0, atol=0)
    benchmark(side, **case)
