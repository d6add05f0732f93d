"""The tensors of a PyTorch or safetensors file, with nothing in it run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

INSIDE = ("state_dict", "model_state_dict", "model")  # where trainers put the weights
WRAPPED = ("module.", "model.", "_orig_mod.")  # what wrappers put before every name


def torch_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor on the CPU, without what trainers keep beside weights and what wrappers put before names.

    Raises ValueError for a file that holds more than tensors and plain values, which only unpickling would open,
    and for one of another kind.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            held: Any = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path.name} is no safetensors file: {error}") from error
    else:
        try:
            held = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # bytes that are no pickle end in any kind of error
            raise ValueError(
                f"{path.name} cannot be read as weights alone: {error}\nIf you trust its maker, open it with "
                "torch.load(..., weights_only=False) and save its state_dict()."
            ) from error
    for key in INSIDE:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not all(isinstance(v, Tensor) for v in held.values()):
        raise ValueError(
            f"{path.name} holds a {type(held).__name__} and no state_dict: names of tensors"
        )
    tensors = {str(name): value for name, value in held.items()}
    for prefix in WRAPPED:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
