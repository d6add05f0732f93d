"""What goes to a device and comes back: one copy a batch, answers late and in order. Devices are pretended."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.engine import transfer
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.planning import batch_size
from nucleoscope.engine.planning.batch_size import Load, sites_per_batch
from tests.nets import ZOO, kept
from tests.parts import sequences
from tests.truth import engine

CPU = torch.device("cpu")


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPU passes for a device with a memory of its own; the sizes of what was copied to it."""
    copied: list[int] = []

    def moved(tensor: Tensor, device: torch.device) -> Tensor:
        copied.append(tensor.numel() * tensor.element_size())
        return tensor.to(device, copy=True)

    monkeypatch.setattr(transfer, "apart", lambda _device: True)
    monkeypatch.setattr(batch_size, "apart", lambda _device: True)
    monkeypatch.setattr(transfer, "moved", moved)
    return copied


def test_many_arrays_go_in_one_copy(pretended: list[int]) -> None:
    tensors = [
        torch.arange(5), torch.arange(3, dtype=torch.int32), torch.empty(0, 2, dtype=torch.int64),
        torch.arange(14, dtype=torch.int32).view(2, 7).t(), torch.tensor([[7]]),
    ]  # fmt: skip
    there = transfer.together(tensors, CPU)
    assert len(pretended) == 1
    for mine, sent in zip(tensors, there, strict=True):
        assert mine.dtype == sent.dtype
        assert torch.equal(mine, sent)
        assert sent.data_ptr() % sent.element_size() == 0


def test_on_a_cpu_nothing_is_copied() -> None:
    array = np.arange(4)
    assert transfer.sent(array, CPU).data_ptr() == array.ctypes.data
    tensors = [torch.arange(3)]
    assert transfer.together(tensors, CPU)[0] is tensors[0]
    made = iter([("a", torch.ones(1))])
    assert next(transfer.landed(made))[0] == "a"


@pytest.mark.usefixtures("pretended")
def test_answers_come_in_order_while_later_batches_are_made() -> None:
    launched: list[int] = []

    def made() -> Iterator[tuple[int, Tensor]]:
        for n in range(5):
            launched.append(n)
            yield n, torch.tensor([n])

    ahead = []
    for n, values in transfer.landed(made()):
        assert int(values) == n
        ahead.append(len(launched) - n)
    assert ahead == [3, 3, 3, 2, 1]


@pytest.mark.parametrize("name", ["bpnet", "basset", "squeeze_excite", "splice"])
def test_a_device_gets_the_same_numbers(name: str, pretended: list[int]) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(2, length)
    with pytest.MonkeyPatch.context() as here:
        here.setattr(transfer, "apart", lambda device: device.type != "cpu")
        here.setattr(batch_size, "apart", lambda device: device.type != "cpu")
        want = engine(model, X, target=target)
    assert not pretended
    got = engine(model, X, target=target)
    assert (got - want).abs().max() <= 1e-6 * want.abs().max()
    assert pretended


def test_a_batch_of_a_chain_is_one_copy(
    pretended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "DEVICE_WORK", 1e6)
    batches: list[int] = []
    whole = Run._chunk
    monkeypatch.setattr(
        Run, "_chunk", lambda *a: (batches.append(len(a[2])), whole(*a))[1]
    )  # fmt: skip
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    engine(model, sequences(2, length), target=1)
    assert len(batches) > 3
    assert len(pretended) == len(batches)


@pytest.mark.usefixtures("pretended")
def test_a_device_takes_all_sites_that_its_memory_holds() -> None:
    load = Load(layer=1 << 20, live=3 << 20, by_layer=8 << 20, work=10**8, tail=0, tail_value=0)
    assert sites_per_batch(load, 700, 3, True, 1 << 40, CPU) == 700
    assert sites_per_batch(load, 700, 3, True, 100 << 20, CPU) == 12  # by its memory
    assert sites_per_batch(load, 10**6, 3, True, 1 << 40, CPU) == batch_size.DEVICE_WORK / 10**8
    assert sites_per_batch(load, 700, 3, True, 1, CPU) == 1


@pytest.mark.usefixtures("pretended")
def test_more_sequences_make_larger_batches_on_a_device() -> None:
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    plan = nucleoscope.plan(model, sequences(2, length), target=0, memory=1 << 34)
    sites = np.tile(np.arange(length), 50)
    assert plan.sites_per_batch(sites) == len(sites)
