"""One device, which can run the kernels, or a message that teaches: with a torch that only seems to have one."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest
import torch
from torch import nn

import nucleoscope
from nucleoscope.engine import device
from tests.parts import Net, conv, sequences

X = sequences(1, 20)
CUDA = torch.device("cuda")


def net() -> nn.Module:
    return Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(4, 3))


@pytest.fixture
def h100(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Torch says that there are two H100s; ``h100(name=value)`` makes it say otherwise."""

    def says(**answers: Any) -> None:
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(device, "_refused", lambda _place: None)
    says(
        is_available=True, device_count=2, current_device=1, get_device_capability=(9, 0),
        get_device_name="H100", mem_get_info=(64 << 30, 80 << 30),
    )  # fmt: skip
    return says


def version_of_triton(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    def answer(_name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(importlib.metadata, "version", answer)


@pytest.mark.usefixtures("h100")
def test_cuda_without_a_number_is_the_current_one() -> None:
    assert device.choose("cuda", torch.device("cpu")) == torch.device("cuda", 1)
    assert device.choose("cuda:0", torch.device("cpu")) == torch.device("cuda", 0)
    assert device.choose(None, CUDA) == torch.device("cuda", 1)
    assert device.name(torch.device("cuda", 0)) == "cuda:0 (H100)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_device_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(ValueError, match=r"device='cuda'.*built without CUDA.*device='cpu'"):
        nucleoscope.saturation_mutagenesis(net(), X, device="cuda")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    with pytest.raises(ValueError, match=r"finds no CUDA device.*nvidia-smi"):
        nucleoscope.saturation_mutagenesis(net(), X, device="cuda")


def test_a_device_that_is_not_there_is_counted(h100: Any) -> None:
    with pytest.raises(ValueError, match=r"device='cuda:2'.*there are 2 CUDA devices"):
        nucleoscope.saturation_mutagenesis(net(), X, device="cuda:2")
    h100(get_device_capability=(7, 0), get_device_name="V100")
    with pytest.raises(
        ValueError, match=r"V100 has compute capability 7.0.*need 8.0.*device='cpu'"
    ):
        nucleoscope.plan(net(), X, device="cuda:0")
    with pytest.raises(ValueError, match=r"model: it is on cuda, which cannot be used here.*7.0"):
        device.choose(None, CUDA)


@pytest.mark.usefixtures("h100")
@pytest.mark.parametrize(
    ("version", "says"), [(None, "not installed"), ("3.4.0", "3.4.0 is installed"), ("2.1", "2.1 is")]
)  # fmt: skip
def test_triton_that_is_too_old_is_named(
    version: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_of_triton(monkeypatch, version)
    with pytest.raises(ValueError, match=rf"triton 3.6 or later.*{says}.*pip install"):
        device.choose("cuda", torch.device("cpu"))


@pytest.mark.usefixtures("h100")
@pytest.mark.parametrize("version", ["3.6.0", "3.10.1", "4.0.0+git"])
def test_triton_that_is_new_enough_is_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version_of_triton(monkeypatch, version)
    assert device.choose("cuda:0", torch.device("cpu")).index == 0


def test_a_model_on_two_devices_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.Conv1d(3, 2, 3))
    model[1].to("meta")
    with pytest.raises(
        ValueError, match=r"spread over devices \('0.weight' on cpu, '1.weight' on meta"
    ):
        device.home(model)
    assert device.home(nn.ReLU()) == torch.device("cpu")


def test_precisions_of_a_gpu_are_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"precision='tf32': only a GPU.*on cpu.*use 'fp32'"):
        nucleoscope.saturation_mutagenesis(net(), X, precision="tf32")
    with pytest.raises(ValueError, match=r"'fp32', 'tf32', 'bf16', 'fp64'"):
        nucleoscope.saturation_mutagenesis(net(), X, precision="fp8")


def test_the_plan_names_its_device() -> None:
    assert "On cpu: batches of" in repr(nucleoscope.plan(net(), X))
