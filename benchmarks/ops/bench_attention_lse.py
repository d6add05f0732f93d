"""attention_lse against plain PyTorch by blocks of queries, and against its definition, which holds the matrix."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ops.attention_cases import CASES, blocks, tensors
from nucleoscope.naive import ops as naive
from nucleoscope.ops import attention_lse


def by_blocks(query: Tensor, key: Tensor) -> Tensor:
    return torch.cat([logits.logsumexp(-1) for _, logits in blocks(query, key)], -1)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    request.getfixturevalue("benchmark").group = f"attention_lse {request.param}"
    given = tensors(request.param)
    return {name: given[name] for name in ("query", "key")}


@pytest.mark.parametrize(
    "side", [attention_lse, by_blocks, naive.attention_lse], ids=["ours", "torch", "naive"]
)
def bench_attention_lse(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), by_blocks(**case), rtol=0, atol=1e-4)
    benchmark(side, **case)
