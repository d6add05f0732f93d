"""dinucleotide_shuffle against tangermeme's, and against its definition on a smaller batch."""

from collections.abc import Callable

import pytest
import torch
from tangermeme.ersatz import dinucleotide_shuffle as tangermeme
from torch import Tensor

import nucleoscope
from nucleoscope.naive import ops as naive

CASES = {"2114 int8": (100, 2114, torch.int8), "2114 float32": (100, 2114, torch.float32)}


def ours(X: Tensor) -> Tensor:
    return nucleoscope.dinucleotide_shuffle(X, n=20, random_state=0)


def theirs(X: Tensor) -> Tensor:
    return tangermeme(X, n=20, random_state=0)


def definition(X: Tensor) -> Tensor:
    return naive.dinucleotide_shuffle(X.argmax(1).to(torch.int8), 1, 4, 0, X.dtype)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Tensor:
    sequences, length, dtype = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"dinucleotide_shuffle {request.param}"
    letters = torch.randint(4, (sequences, length))
    return torch.nn.functional.one_hot(letters, 4).transpose(1, 2).to(dtype).contiguous()


@pytest.mark.parametrize(
    "side", [ours, theirs, definition], ids=["ours", "tangermeme", "naive, one of 5 sequences"]
)
def bench_dinucleotide_shuffle(benchmark, case, side: Callable[[Tensor], Tensor]) -> None:
    given = case[:5] if side is definition else case
    made, pairs = side(given).float(), given[..., :-1].float() @ given[..., 1:].float().mT
    assert torch.equal(
        made[..., :-1] @ made[..., 1:].mT, pairs[:, None].expand(*made.shape[:2], 4, 4)
    )
    benchmark(side, given)
