"""attention_mean against plain PyTorch by blocks of queries, and against its definition."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ops.attention_cases import CASES, blocks, tensors
from nucleoscope.naive import ops as naive
from nucleoscope.ops import attention_mean


def by_blocks(query: Tensor, key: Tensor, share: Tensor) -> Tensor:
    del share  # that of a mean
    return torch.cat([logits.softmax(-1).mean(1) for _, logits in blocks(query, key)], 1)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    request.getfixturevalue("benchmark").group = f"attention_mean {request.param}"
    given = tensors(request.param)
    heads = given["query"].shape[1]
    return {"query": given["query"], "key": given["key"], "share": torch.full((heads,), 1 / heads)}


@pytest.mark.parametrize(
    "side", [attention_mean, by_blocks, naive.attention_mean], ids=["ours", "torch", "naive"]
)
def bench_attention_mean(benchmark, case, side: Callable[..., Tensor]) -> None:
    expected = by_blocks(**case)  # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), expected, rtol=0, atol=1e-5 * float(expected.max()))
    benchmark(side, **case)
