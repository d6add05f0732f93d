"""attention_relevance against plain PyTorch by blocks of queries, and against its definition."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ops.attention_cases import CASES, blocks, tensors
from nucleoscope.naive import ops as naive
from nucleoscope.ops import attention_relevance


def by_blocks(query: Tensor, key: Tensor, value: Tensor, grad: Tensor, r: Tensor) -> Tensor:
    values = value.repeat_interleave(query.shape[1] // key.shape[1], 1).mT
    made = torch.zeros(*query.shape[:2], r.shape[2], key.shape[2])
    for at, logits in blocks(query, key):
        made += r[..., at] @ ((grad[:, :, at] @ values).relu_() * logits.softmax(-1))
    return made


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    request.getfixturevalue("benchmark").group = f"attention_relevance {request.param}"
    return tensors(request.param)


@pytest.mark.parametrize(
    "side",
    [attention_relevance, by_blocks, naive.attention_relevance],
    ids=["ours", "torch", "naive"],
)
def bench_attention_relevance(benchmark, case, side: Callable[..., Tensor]) -> None:
    expected = by_blocks(**case)  # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), expected, rtol=0, atol=1e-5 * float(expected.max()))
    benchmark(side, **case)
