"""delta_layer_norm against the same form in plain PyTorch, and against its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_layer_norm

CASES = {  # channels, rows, sites; three alternatives each
    "convnext-96": (96, 40, 40),
    "borzoi-512": (512, 20, 20),
    "transformer-1536": (1536, 8, 10),
}


def in_place(
    given: Tensor, rows: Rows, original: Original, length: int, *, wide: int, weight: Tensor, eps: float
) -> Tensor:  # fmt: skip
    """The fastest of plain PyTorch, in which a group that becomes flat loses digits. All inside."""
    del length, wide
    z = taken(original, rows)
    z, d = z - z.mean(-1, keepdim=True), given - given.mean(-1, keepdim=True)
    variance = z.square().mean(-1, keepdim=True)
    wider = (d * (2.0 * z + d)).mean(-1, keepdim=True)
    was, now = torch.rsqrt(variance + eps), torch.rsqrt(variance + wider + eps)
    slope = -wider * (was * now).square() / (was + now)
    return d.mul_(now).add_(z * slope).mul_(weight)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_layer_norm {request.param}"
    return {
        "given": torch.randn(width, sites, 3, channels),
        "rows": rows(sites, width),
        "original": original(sites, channels),
        "length": LENGTH,
        "wide": channels,
        "weight": torch.randn(channels),
        "eps": 1e-5,
    }


@pytest.mark.parametrize(
    "side",
    [delta_layer_norm, in_place, naive.delta_layer_norm],
    ids=["ours", "torch", "naive"],
)
def bench_delta_layer_norm(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), naive.delta_layer_norm(**case), rtol=1e-4, atol=1e-5)
    benchmark(side, **case)
