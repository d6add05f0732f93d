"""What an explainer finds around it and must leave: random numbers, and torch's and numpy's settings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# How each is read and put back; what calls by others depend on.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms,
    ),
    "torch's precision of products": (
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision,
    ),
    "numpy's handling of errors": (np.geterr, lambda held: np.seterr(**held)),
    "the working directory": (os.getcwd, os.chdir),
}  # fmt: skip


class LeftChanged(ValueError):
    """An explainer changed what belongs to everyone in its process."""


@contextmanager
def surroundings(seed: int) -> Iterator[None]:
    """Random numbers of Python, numpy and torch from a seed; they and all settings are put back.

    Raises LeftChanged where a setting was left otherwise, unless something else is being raised.
    """
    numbers, python = np.random.get_state(), random.getstate()
    held = {name: read() for name, (read, _) in SETTINGS.items()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(python)
            changed = _put_back(held)
    if changed:
        raise LeftChanged(f"it changed {' and '.join(changed)}, which others depend on")


def _put_back(held: dict[str, Any]) -> list[str]:
    changed = []
    for name, (read, write) in SETTINGS.items():
        if read() != held[name]:
            changed.append(name)
            write(held[name])
    return changed
