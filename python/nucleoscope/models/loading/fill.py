"""Tensors by name into a model, all or none."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def fill(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """Copy tensors into the parameters and buffers of their names, axes of length 1 aside.

    Raises ValueError that lists all that is missing, unknown, of another shape, not finite, or no dense tensor of
    real numbers; then nothing is copied.
    """
    state = model.state_dict()
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    missing = [name for name in state if name not in tensors and name not in counters]
    unknown = [name for name in tensors if name not in state]
    unlike = [
        f"{name}: {tuple(value.shape)} there, {tuple(state[name].shape)} here"
        for name, value in tensors.items()
        if name in state and squeezed(value) != squeezed(state[name])
    ]
    odd = [
        f"{name}: {value.dtype}, {value.layout}"
        for name, value in tensors.items()
        if not is_numbers(value)
    ]
    broken = [
        name for name, v in tensors.items() if is_numbers(v) and not bool(torch.isfinite(v).all())
    ]
    said = [
        f"{len(names)} {what}: {', '.join(names)}"
        for what, names in (
            ("that the model has are missing", missing),
            ("are unknown to the model", unknown),
            ("have another shape", unlike),
            ("are no dense tensors of real numbers", odd),
            ("hold NaN or infinite numbers", broken),
        )
        if names
    ]
    if said:
        raise ValueError(
            f"{source} does not fit {type(model).__name__}: of its tensors, {'; '.join(said)}. Was the model made "
            "with the length, targets and geometry of the file?"
        )
    with torch.no_grad():
        for name, value in tensors.items():
            here = state[name]
            here.copy_(value.reshape(here.shape).to(here))
    return model


def is_numbers(value: Tensor) -> bool:
    """Whether a tensor holds real numbers, one by one."""
    return value.layout is torch.strided and not value.is_complex() and not value.is_quantized


def squeezed(tensor: Tensor) -> tuple[int, ...]:
    """The shape without axes of length 1."""
    return tuple(size for size in tensor.shape if size != 1)
