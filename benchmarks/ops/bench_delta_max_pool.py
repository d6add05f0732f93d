"""delta_max_pool against plain PyTorch with each member gathered by index, and its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_max_pool

CASES = {  # cell, channels, rows given, sites; three alternatives each
    "basset-pool1": (3, 300, 19, 40),
    "basset-pool2": (4, 200, 17, 40),
    "beluga-pool1": (4, 320, 15, 40),
}


def gathered(*, given: Tensor, members: list[Tensor], **rest: Any) -> Tensor:
    """Members by index, one after the other; the row of zeros that is appended stands for none."""
    padded = torch.cat([given.flatten(0, 1), given.new_zeros(1, *given.shape[2:])])
    m, z = taken(rest["pooled"], rest["rows_out"]), rest["original"].values[0]
    out: Tensor | None = None
    for tap, member in enumerate(members):
        where = rest["where"] + tap
        gap = m - z[where][:, :, None]
        candidate = padded[member].sub_(gap)
        out = candidate if out is None else torch.maximum(out, candidate, out=out)
    assert out is not None
    return out


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    cell, channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_max_pool {request.param}"
    z, on = original(sites, channels), rows(sites, width)
    pooled = F.max_pool1d(z.values.mT, cell).mT.contiguous()
    rows_out = Rows(on.starts // cell, ((width - 2) // cell + 2,))
    where = (rows_out.starts[0] + torch.arange(rows_out.widths[0])[:, None]) * cell  # [W, S]
    members = []
    for tap in range(cell):
        row = where + tap - on.starts[0]
        index = row * sites + torch.arange(sites)
        members.append(torch.where((row >= 0) & (row < width), index, width * sites))
    return {
        "given": torch.randn(width, sites, 3, channels), "rows_in": on, "rows_out": rows_out,
        "original": z, "pooled": Original(pooled, z.sequence), "taps": cell, "stride": cell,
        "dilation": 1, "pad": 0, "length_in": LENGTH, "length": pooled.shape[1],
        "members": members, "where": where,
    }  # fmt: skip


def without_members(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The op on the arguments that are its own."""

    def call(*, members: list[Tensor], where: Tensor, **rest: Any) -> Tensor:
        del members, where
        return op(**rest)

    return call


SIDES = {
    "ours": without_members(delta_max_pool),
    "torch": gathered,
    "naive": without_members(naive.delta_max_pool),
}


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def bench_delta_max_pool(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), SIDES["naive"](**case), rtol=0, atol=0)
    benchmark(side, **case)
