"""Memory that runs out: batches are halved and the numbers stay; at one site the message says what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.engine import memory
from nucleoscope.engine.edits.groups import Group
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.planning.spread import Chunk
from nucleoscope.engine.step import Edits
from tests.nets import ZOO, kept
from tests.parts import sequences
from tests.truth import engine

NAMES = ["CUDA", "Python", "torch's CPU allocator", "driver", "cuBLAS", "Triton"]
KINDS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    MemoryError(),
    RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"
    ),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
]


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``small_machine(most, error)``: batches of more sites than that do not fit. Gives what was tried."""

    def set_up(most: int, error: Exception) -> list[int]:
        tried: list[int] = []
        whole = Run._chunk

        def chunk(self: Run, batch: Chunk, edits: Edits) -> Tensor:
            tried.append(len(batch))
            assert len(batch) == len(edits)
            if len(batch) > most:
                raise error
            return whole(self, batch, edits)

        monkeypatch.setattr(Run, "_chunk", chunk)
        return tried

    return set_up


@pytest.mark.parametrize(
    "error", KINDS, ids=["CUDA", "Python", "torch's CPU allocator", "driver", "cuBLAS", "Triton"]
)
def test_batches_are_halved_and_the_numbers_stay(error: Exception, small_machine: Any) -> None:
    model, (_, length, target, _) = kept("bpnet"), ZOO["bpnet"]
    X = sequences(3, length)
    whole = engine(model, X, target=target)
    tried = small_machine(5, error)
    assert torch.equal(engine(model, X, target=target), whole)
    assert max(tried) > 5
    fits = [size for size in tried if size <= 5]
    assert sum(fits) == 3 * length
    assert sum(size > 5 for size in tried) < 20  # what was learnt is kept


@pytest.mark.parametrize("name", ["squeeze_excite", "basset", "strands", "u_net"])
def test_windows_of_a_half_are_those_of_the_whole(name: str, small_machine: Any) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(2, length)
    whole = engine(model, X, target=target)
    small_machine(3, KINDS[0])
    gap = (engine(model, X, target=target) - whole).abs().max()
    assert gap <= 1e-6 * whole.abs().max()  # a tail's sums may be taken in another order


@pytest.mark.parametrize(
    "error", KINDS, ids=["CUDA", "Python", "torch's CPU allocator", "driver", "cuBLAS", "Triton"]
)
def test_one_site_that_does_not_fit_says_what_to_do(error: Exception, small_machine: Any) -> None:
    small_machine(0, error)
    model, (_, length, target, _) = kept("bpnet"), ZOO["bpnet"]
    with pytest.raises(
        type(error), match=r"batch of one site does not fit.*cpu(.|\n)*device='cpu'"
    ):
        engine(model, sequences(1, length), target=target)


def test_another_error_passes(small_machine: Any) -> None:
    tried = small_machine(0, RuntimeError("a kernel failed"))
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    with pytest.raises(RuntimeError, match=r"^a kernel failed$"):
        engine(model, sequences(1, length), target=0)
    assert min(tried) > 1


def test_originals_are_made_for_fewer_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (_, length, target, _) = kept("bpnet"), ZOO["bpnet"]
    X = sequences(7, length)
    whole = nucleoscope.saturation_mutagenesis(model, X, target=target)
    made, tried = Run.__init__, []

    def init(self: Run, plan: Any, forward: Any, inputs: dict[str, Tensor], sites: Any) -> None:
        count = len(next(iter(inputs.values())))
        tried.append(count)
        if count > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        made(self, plan, forward, inputs, sites)

    monkeypatch.setattr(Run, "__init__", init)
    halved = nucleoscope.saturation_mutagenesis(model, X, target=target)
    assert torch.equal(halved.scores, whole.scores)
    assert torch.equal(halved.original, whole.original)
    assert sum(count for count in tried if count <= 2) == 7


def test_halves_are_all_of_it() -> None:
    group = Group(3, 8)
    first, last = group.halves()
    assert (len(group), first, last) == (5, Group(3, 5), Group(5, 8))


def test_the_budget_of_a_device_is_a_quarter_of_what_is_free_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _place: (64 << 30, 80 << 30))
    assert memory.budget(None, torch.device("cuda", 0)) == 16 << 30
    assert memory.budget(1 << 30, torch.device("cuda", 0)) == 1 << 30
