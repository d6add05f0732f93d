"""The engine on a CUDA device, held to the definition in float64. Skipped where there is none."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.edits.run import Run
from nucleoscope.engine.planning.spread import Chunk
from nucleoscope.engine.precision import ALLOWED
from nucleoscope.engine.step import Edits
from tests.nets import ZOO, kept
from tests.parts import lively, sequences
from tests.truth import engine, largest, truth

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="torch.cuda.is_available() is false: no CUDA device"
    ),
]
Case = tuple[nn.Module, Tensor, Any]


def case(name: str, count: int = 2) -> Case:
    """A net on the device, sequences on the CPU, a target."""
    model, (_, length, target, _) = kept(name), ZOO[name]
    return model.cuda(), sequences(count, length), target


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_net_is_exact_in_float64(name: str) -> None:
    model, X, target = case(name)
    want = truth(copy.deepcopy(model).cpu(), X, target=target)
    got = engine(model, X, target=target, precision="fp64")
    assert got.device.type == "cpu"
    assert (largest(got - want) <= 1e-9 * largest(want) + 1e-13).all()


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("name", ["bpnet", "basset", "splice", "squeeze_excite"])
def test_every_precision_is_as_near_as_it_says(name: str, precision: str) -> None:
    model, X, target = case(name)
    want = truth(copy.deepcopy(model).cpu(), X, target=target)
    got = engine(model, X, target=target, precision=precision)
    noise = truth(copy.deepcopy(model).cpu(), X, target=target, dtype=torch.float32) - want
    allowed = ALLOWED[precision] * largest(want) + 2 * largest(noise)
    assert (largest(got - want) <= allowed).all()
    checked = nucleoscope.saturation_mutagenesis(model, X, target=target, precision=precision)
    assert checked.checks[0].passed
    assert {"tf32": "TF32", "bf16": "bfloat16"}.get(precision, "") in str(
        checked.facts["precision"]
    )


def test_where_x_lies_and_where_the_model_lies_does_not_matter() -> None:
    model, X, target = case("bpnet")
    want = engine(model, X, target=target)
    assert torch.equal(engine(model, X.cuda(), target=target), want)
    assert torch.equal(engine(model, X.to(torch.int8), target=target), want)
    there = engine(model.cpu(), X, target=target, device="cuda")
    assert torch.equal(there, want)
    assert next(model.parameters()).device.type == "cpu"
    here = engine(model.cuda(), X.cuda(), target=target, device="cpu")
    assert (here - want).abs().max() <= 2e-5 * want.abs().max()


def test_the_same_call_gives_the_same_bits() -> None:
    model, X, target = case("bpnet")
    assert torch.equal(engine(model, X, target=target), engine(model, X, target=target))


def test_running_out_of_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, target = case("basset")
    want, whole, sizes = engine(model, X, target=target), Run._chunk, []

    def chunk(self: Run, batch: Chunk, edits: Edits) -> Tensor:
        sizes.append(len(batch))
        if len(batch) > 7:
            torch.empty(1 << 50, device="cuda")  # more than any device has
        return whole(self, batch, edits)

    monkeypatch.setattr(Run, "_chunk", chunk)
    assert (engine(model, X, target=target) - want).abs().max() <= 1e-6 * want.abs().max()
    assert max(sizes) > 7


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # that it is a prototype
def test_a_batch_does_not_wait_for_the_device() -> None:
    model, X, target = case("bpnet", count=4)
    engine(model, X, target=target)  # kernels are compiled and weights are packed
    batch, waits = Run._chunk, []

    def chunk(self: Run, given: Chunk, edits: Edits) -> Tensor:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                made = batch(self, given, edits)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits.extend(str(each.message) for each in caught if "synchroniz" in str(each.message))
        return made

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Run, "_chunk", chunk)
        engine(model, X, target=target)
    assert not waits


def test_a_second_gpu_computes_there() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device")
    model, X, target = case("bpnet")
    want = engine(model, X, target=target)
    assert torch.equal(engine(model, X, target=target, device="cuda:1"), want)
    model.first.to("cuda:1")
    with pytest.raises(ValueError, match="spread over devices"):
        engine(model, X, target=target)


def test_the_plan_names_the_gpu_and_its_memory() -> None:
    model, X, target = case("bpnet")
    shown = repr(nucleoscope.plan(model, X, target=target))
    assert torch.cuda.get_device_name() in shown


@pytest.mark.parametrize("name", ["bpnet", "basset"])
def test_random_nets_at_odd_sizes(name: str) -> None:
    make: Callable[[int], nn.Module] = ZOO[name][0]
    for length in (ZOO[name][1] + 1, ZOO[name][1] + 13):
        model, X = lively(make(length)).cuda(), sequences(3, length)
        want = truth(copy.deepcopy(model).cpu(), X, target=0)
        got = engine(model, X, target=0)
        assert (largest(got - want) <= 2e-5 * largest(want) + 1e-9).all()
