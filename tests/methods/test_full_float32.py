"""Torch's shorter products are off while two outputs are subtracted, and put back however a call ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.naive.methods.full_float32 import full_float32, reductions
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from tests.parts import Net, conv, sequences

X = sequences(1, 12)
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
backends: Any = torch.backends
NEWER = hasattr(backends.cudnn, "conv") and hasattr(backends.cudnn.conv, "fp32_precision")


def everything() -> list[Any]:
    """All the settings, as either interface tells them."""

    def told(read: Any) -> Any:
        try:
            return read()
        except RuntimeError:  # torch minds reading the older one after the newer one was written
            return "mixed"

    reads = [
        lambda: backends.cuda.matmul.allow_tf32, lambda: backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision,
    ]  # fmt: skip
    if NEWER:
        reads += [
            lambda: backends.cuda.matmul.fp32_precision,
            lambda: backends.cudnn.conv.fp32_precision,
        ]
        reads += [
            lambda: backends.cudnn.rnn.fp32_precision,
            lambda: backends.mkldnn.matmul.fp32_precision,
        ]
    return [told(read) for read in reads]


def older(precision: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(precision)
    backends.cudnn.allow_tf32 = convolutions


def newer(products: str, convolutions: str) -> None:
    backends.cuda.matmul.fp32_precision = products
    backends.cudnn.conv.fp32_precision = convolutions


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    older("highest", True)
    if NEWER:
        newer("none", "tf32")
        backends.cudnn.rnn.fp32_precision = "tf32"
        backends.mkldnn.matmul.fp32_precision = "none"


SETTINGS = [(older, "highest", True), (older, "high", True), (older, "medium", False)]
SETTINGS += [(newer, "tf32", "ieee"), (newer, "ieee", "tf32")] if NEWER else []


@pytest.mark.parametrize(("write", "products", "convolutions"), SETTINGS)
def test_settings_are_off_inside_and_as_they_were_behind(
    write: Any, products: Any, convolutions: Any
) -> None:
    write(products, convolutions)
    before = everything()
    assert reductions(CUDA)
    with contextlib.suppress(KeyError), full_float32([CPU, CUDA]):
        assert not reductions(CUDA)
        assert not reductions(CPU)
        raise KeyError
    assert everything() == before


def test_those_of_another_device_are_not_named() -> None:
    older("highest", True)
    assert not reductions(CPU)
    assert any("cudnn" in name for name in reductions(CUDA))
    with torch.autocast("cpu", torch.bfloat16):
        assert reductions(CPU) == ["torch.autocast"]
        with full_float32([CPU]):
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu")


def seen_by(call: Any, **parts: Any) -> set[str]:
    """The settings that a model's forward sees during a call."""
    seen: set[str] = set()

    def forward(net: Net, x: Tensor) -> Tensor:
        seen.update(reductions(CUDA))
        return net.first(x).tanh().mean(2)

    call(Net(forward, first=conv(4, 3), **parts))
    return seen


def test_model_loop_and_verification_run_in_full_float32() -> None:
    older("medium", True)
    assert not seen_by(lambda model: naive(model, X, sites=range(2)))
    assert not seen_by(lambda model: nucleoscope.saturation_mutagenesis(model, X, verify=2))
    assert reductions(CUDA)


def test_a_fallback_tells_whose_own_predictions_are_rounded() -> None:
    model = Net(lambda net, x: net.first(x).mean(2).half(), first=conv(4, 3))
    older("medium", True)
    with pytest.warns(
        nucleoscope.NaiveFallback, match=r"set_float32_matmul_precision.*the loop runs without"
    ):
        nucleoscope.saturation_mutagenesis(model, X)
    older("highest", True)
    with pytest.warns(nucleoscope.NaiveFallback) as caught:
        nucleoscope.saturation_mutagenesis(model, X)
    assert "round" not in str(caught[0].message).partition("Let forward")[0].replace("rounding", "")
