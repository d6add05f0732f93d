"""delta_sum against an indexed sum in plain PyTorch, and against its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, rows
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_sum

CASES = {  # channels, sites, positions of a cell, first position and rows of each term, offset
    "bpnet-mean": (64, 20, LENGTH, [(1000, 529)], 0),
    "bpnet-crop": (64, 20, 1, [(1000, 529)], -557),
    "chrombpnet-512-residual": (512, 4, 1, [(1000, 65), (1008, 49)], 0),
    "spliceai-skip": (32, 20, 1, [(1000, 161), (1040, 81)], 0),
    "resnet-average-pool-5": (300, 40, 5, [(1000, 19)], 0),
}


def indexed(
    terms: list[tuple[Tensor, Rows, float]], rows_out: Rows, *, stride: int, pad: int, **_: Any
) -> Tensor:
    """The fastest of plain PyTorch: every row is added where it belongs. No cells may overlap."""
    sites = torch.arange(rows_out.starts.shape[1])
    out = terms[0][0].new_zeros(rows_out.widths[0], *terms[0][0].shape[1:])
    for given, on, factor in terms:
        where = on.starts + torch.arange(on.widths[0])[:, None]
        row = (where + pad) // stride - rows_out.starts
        to = (row * len(sites) + sites).flatten()
        out.flatten(0, 1).index_add_(0, to, given.flatten(0, 1), alpha=factor)
    return out


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, sites, taps, terms, pad = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_sum {request.param}"
    first = min(start for start, _ in terms)
    last = max(start + width for start, width in terms) - 1
    asked = (rows(sites, 1, first).starts + pad) // taps
    width = 1 if taps == LENGTH else (last - first + taps - 1) // taps + 1
    return {
        "terms": [
            (torch.randn(width, sites, 3, channels), rows(sites, width, start), 1 / taps)
            for start, width in terms
        ],
        "rows_out": Rows(asked, (width,)),
        "taps": taps,
        "stride": taps,
        "pad": pad,
        "length": LENGTH // taps,
    }


@pytest.mark.parametrize(
    "side", [delta_sum, indexed, naive.delta_sum], ids=["ours", "torch", "naive"]
)
def bench_delta_sum(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_sum(**case), rtol=0, atol=1e-5)
    benchmark(side, **case)
