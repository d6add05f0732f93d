"""Where the engine computes: one device, which can run its kernels, or a refusal that says why not."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from collections.abc import Iterator

import torch
from torch import nn

# What the kernels are compiled for: before Ampere there is neither TF32 nor bfloat16, and Triton ends there.
CAPABILITY = (8, 0)

# The oldest Triton that the kernels were compiled and tested with.
TRITON = (3, 6)


def home(model: nn.Module) -> torch.device:
    """The one device that a model's weights lie on; the CPU where it has none."""
    places: dict[torch.device, str] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        places.setdefault(tensor.device, name)
    if len(places) > 1:
        where = ", ".join(f"{name!r} on {place}" for place, name in places.items())
        raise ValueError(
            f"model: its weights are spread over devices ({where}). An engine call uses one: move the model "
            f"there, e.g. model.to({str(next(iter(places)))!r}); to use several devices, give each a copy "
            "of the model and a part of X."
        )
    return next(iter(places), torch.device("cpu"))


def choose(device: str | torch.device | None, model_on: torch.device) -> torch.device:
    """Where to compute: what was asked for, by default where the model is."""
    if device is None:
        place, name = model_on, f"model: it is on {model_on}, which"
    else:
        name = f"device={device!r}:"
        try:
            place = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{name} cannot be used here: {error}") from error
    if place.type == "meta":
        raise ValueError("device='meta': it holds shapes and no numbers; give 'cpu' or 'cuda'")
    lack = _no_cuda(place) if place.type == "cuda" else None
    if lack is None and device is not None:
        lack = _refused(place)
    if lack is None and place.type == "cuda":
        lack = _no_kernels(place)
    if lack is not None:
        raise ValueError(
            f"{name} cannot be used here: {lack} With device='cpu' the engine computes on the processor, "
            "wherever the model lies."
        )
    if place.type == "cuda" and place.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return place


def _no_cuda(place: torch.device) -> str | None:
    """Why torch has no such CUDA device; None where it has."""
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} was built without CUDA: install a build of it for your driver."
    if not torch.cuda.is_available():
        return (
            "torch finds no CUDA device: see whether nvidia-smi lists one, whether the driver is new enough "
            f"for CUDA {torch.version.cuda}, and what CUDA_VISIBLE_DEVICES says."
        )
    count = torch.cuda.device_count()
    if place.index is not None and place.index >= count:
        return f"there are {count} CUDA devices, counted from 0."
    return None


def _refused(place: torch.device) -> str | None:
    try:
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        return f"{error}."
    return None


def _no_kernels(place: torch.device) -> str | None:
    """Why the kernels cannot run on a CUDA device; None where they can."""
    has = torch.cuda.get_device_capability(place)
    if torch.version.hip is None and has < CAPABILITY:
        return (
            f"{torch.cuda.get_device_name(place)} has compute capability {has[0]}.{has[1]}, and the kernels "
            f"need {CAPABILITY[0]}.{CAPABILITY[1]} (A100 and later)."
        )
    need = ".".join(map(str, TRITON))
    version = _triton()
    if version is None:
        return (
            f"the kernels need triton {need} or later, which is not installed: pip install triton."
        )
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < TRITON:
        return (
            f"the kernels need triton {need} or later, and {version} is installed. torch brings its own: "
            "pip install -U torch."
        )
    return None


def _triton() -> str | None:
    """The installed triton's version, whatever the distribution that brought it is called."""
    for distribution in ("triton", "pytorch-triton", "pytorch-triton-rocm"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def name(device: torch.device) -> str:
    """The device as a plan shows it."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


@contextlib.contextmanager
def current(device: torch.device) -> Iterator[None]:
    """Streams and launches that name no device are this one's."""
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        yield
