"""A model in bytes, as it goes to workers once, and its fingerprint."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

PLAIN = (bool, int, float, complex, str, bytes, torch.dtype)
TORCHS = frozenset(vars(nn.Module()))


def packed(thing: Any) -> bytes:
    """Pickled; by cloudpickle where it is there, which takes classes and functions of a notebook too.

    Raises TypeError for what cannot travel.
    """
    try:
        import cloudpickle as how
    except ImportError:
        how = pickle
    try:
        done: bytes = how.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"this model or one of its parameters cannot travel to a worker: {error}. Define its class in "
            "a module, or pip install 'nucleoscope[scan]', whose cloudpickle takes more."
        ) from error
    return done


def listed(model: Any) -> list[Any]:
    """The models of a call: one, or those of an ensemble. Raises ValueError where there is none."""
    found = list(model) if isinstance(model, list | tuple | nn.ModuleList) else [model]
    if not found:
        raise ValueError("model: the list is empty; give a model, or several")
    return found


def fingerprint(model: Any) -> str:
    """SHA-256 over the model's class, its structure as it prints, plain attributes, weights and buffers."""
    if isinstance(model, list | tuple):
        together = "\n".join(fingerprint(each) for each in listed(model))
        return hashlib.sha256(together.encode()).hexdigest()
    found = hashlib.sha256()
    found.update(f"{type(model).__module__}.{type(model).__qualname__}\n{model!r}".encode())
    found.update("\n".join(_attributes(model)).encode())
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, torch.Tensor):
            found.update(f"{name} {value!r}".encode())
            continue
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(
            value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return found.hexdigest()


def _attributes(model: nn.Module) -> Iterator[str]:
    """Numbers and words that parts hold and that they need not print: a scale, an offset."""
    for path, part in model.named_modules():
        for name, value in sorted(vars(part).items()):
            held = value if isinstance(value, list | tuple) else [value]
            if name not in TORCHS and all(isinstance(each, PLAIN) for each in held):
                yield f"{path}.{name}={value!r}"
