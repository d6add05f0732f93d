"""attention_statistics against plain PyTorch by blocks of queries: the definition, 256 of them at a time."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.ops.attention_cases import CASES, tensors
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Statistics, attention_statistics

by_blocks = partial(naive.attention_statistics, block=256)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    request.getfixturevalue("benchmark").group = f"attention_statistics {request.param}"
    given = tensors(request.param)
    return {name: given[name] for name in ("query", "key")}


@pytest.mark.parametrize(
    "side",
    [attention_statistics, by_blocks, naive.attention_statistics],
    ids=["ours", "torch", "naive"],
)
def bench_attention_statistics(benchmark, case, side: Callable[..., Statistics]) -> None:
    for got, expected in zip(side(**case), by_blocks(**case), strict=True):
        # no time is reported of a wrong answer
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    benchmark(side, **case)
