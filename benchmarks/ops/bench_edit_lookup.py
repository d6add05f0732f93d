"""edit_lookup against the same look-up in indexed PyTorch, and against its definition."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops import edit_lookup

CASES = {  # kernel width, channels, sites of one batch; three alternatives each
    "bpnet-2114": (21, 64, 40),
    "basset-600": (19, 300, 40),
    "beluga-2000": (8, 320, 40),
}


def indexed(table: Tensor, taps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """The fastest of plain PyTorch: two gathers and a difference. Needs every index to be there."""
    rows = taps.long()[:, :, None]
    return table[rows, new.long()] - table[rows, old.long()[:, None]]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    width, channels, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"edit_lookup {request.param}"
    old = torch.randint(0, 4, (sites,), dtype=torch.int32)
    return (
        torch.randn(width, 4, channels),
        torch.arange(width, dtype=torch.int32).flip(0)[:, None].repeat(1, sites),
        old,
        (old[:, None] + torch.arange(1, 4, dtype=torch.int32)) % 4,
    )


@pytest.mark.parametrize(
    "side", [edit_lookup, indexed, naive.edit_lookup], ids=["ours", "torch", "naive"]
)
def bench_edit_lookup(benchmark, case, side: Callable[..., Tensor]) -> None:
    assert torch.equal(
        side(*case), naive.edit_lookup(*case)
    )  # no time is reported of a wrong answer
    benchmark(side, *case)
