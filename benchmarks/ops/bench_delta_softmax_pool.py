"""delta_softmax_pool against plain PyTorch with the cells gathered by index, and its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_softmax_pool

CASES = {  # cell, channels, rows given, sites; three alternatives each
    "enformer-stem": (2, 768, 15, 16),
    "enformer-tower-1": (2, 896, 9, 16),
    "cells-of-8": (8, 256, 24, 16),
}


def gathered(
    *, given: Tensor, logits: Tensor, member: Tensor, where: Tensor, **rest: Any
) -> Tensor:
    """Cells by index [K, W, S]; the row of zeros that is appended stands for none. All inside.

    The change of the weights by expm1, without a way for large changes.
    """
    x, z = (rest[name].values[0][where][..., None, :] for name in ("original", "original_logits"))
    dx, dz = (
        torch.cat([t.flatten(0, 1), t.new_zeros(1, *t.shape[2:])])[member] for t in (given, logits)
    )
    p, grown = torch.softmax(z, 0), torch.expm1(dz)
    mean = (p * grown).sum(0)
    apart = x - (p * x).sum(0)
    change = (grown - mean).mul_(apart).add_(dx.mul_(grown.add_(1.0))).mul_(p)
    return change.sum(0).div_(mean.add_(1.0))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    cell, channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_softmax_pool {request.param}"
    on = rows(sites, width)
    rows_out = Rows(on.starts // cell, ((width - 2) // cell + 2,))
    first = (rows_out.starts[0] + torch.arange(rows_out.widths[0])[:, None]) * cell  # [W, S]
    where = torch.stack([first + tap for tap in range(cell)])
    row = where - on.starts[0]
    member = torch.where(
        (row >= 0) & (row < width), row * sites + torch.arange(sites), width * sites
    )
    return {
        "given": torch.randn(width, sites, 3, channels), "rows_in": on,
        "logits": torch.randn(width, sites, 3, channels), "beside": on, "rows_out": rows_out,
        "original": original(sites, channels), "original_logits": original(sites, channels),
        "taps": cell, "stride": cell, "length_in": LENGTH, "length": LENGTH // cell,
        "member": member, "where": where,
    }  # fmt: skip


def without_members(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The op on the arguments that are its own."""

    def call(*, member: Tensor, where: Tensor, **rest: Any) -> Tensor:
        del member, where
        return op(**rest)

    return call


SIDES = {
    "ours": without_members(delta_softmax_pool),
    "torch": gathered,
    "naive": without_members(naive.delta_softmax_pool),
}


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def bench_delta_softmax_pool(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), SIDES["naive"](**case), rtol=1e-4, atol=1e-5)
    benchmark(side, **case)
