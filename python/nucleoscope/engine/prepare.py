"""From what the user asked to something that can be planned and run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.engine.cache import traced
from nucleoscope.engine.forward import Forward
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.step import Edits
from nucleoscope.engine.target import Read, Target
from nucleoscope.engine.workers import side_by_side
from nucleoscope.ops import has_bf16
from nucleoscope.reading import (
    Sequences,
    read_model,
    read_others,
    read_precision,
    read_range,
    read_sequences,
)


@dataclass(frozen=True)
class Asked:
    """A checked request: the model's type, its inputs, the range of sites."""

    model: nn.Module
    sequences: Sequences
    others: tuple[Tensor, ...]
    start: int
    end: int
    dtype: torch.dtype  # what the engine computes in
    native: torch.dtype  # what the model computes in
    device: torch.device
    memory: int
    precision: str = "fp32"  # in which deltas are multiplied

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs, in its own number type, on its own device."""
        home = _home(self.model)
        floats = (
            t.to(home, self.native if t.is_floating_point() else t.dtype) for t in self.others
        )
        return (self.sequences.values.to(home, self.native), *floats)


def ask(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None, *, start: int, end: int | None,
    layout: str, alphabet: str, precision: str, memory: int | None, device: str | torch.device | None,
) -> Asked:  # fmt: skip
    """Check everything the user gave; each complaint names its argument."""
    native = read_model(model)
    sequences = read_sequences(X, alphabet, layout)
    others = read_others(args, len(X))
    start, end = read_range(start, end, sequences.letters.shape[1])
    dtype = read_precision(precision, native)
    place = _home(model) if device is None else _device(device)
    if precision in ("tf32", "bf16"):
        _check_products(precision, place)
    budget = _budget(memory, place)
    return Asked(model, sequences, others, start, end, dtype, native, place, budget, precision)


def _check_products(precision: str, place: torch.device) -> None:
    if place.type not in ("cpu", "cuda"):
        raise ValueError(
            f"precision={precision!r}: there is no such kernel for {place.type}; use 'fp32'"
        )
    if place.type == "cpu" and precision == "tf32":
        raise ValueError(
            "precision='tf32': only a GPU multiplies TF32, and this is computed on the CPU; use 'fp32'"
        )
    if place.type == "cpu" and not has_bf16():
        raise ValueError(
            "precision='bf16': this processor, or the instruction set that NUCLEOSCOPE_ISA names, has not "
            "AVX512_BF16, and without it bfloat16 is no faster; use 'fp32'"
        )


@contextlib.contextmanager
def outside_autocast(asked: Asked) -> Iterator[None]:
    """Whatever the caller is under, model and engine compute in the number types that were asked for."""
    with contextlib.ExitStack() as stack:
        for kind in {asked.device.type, _home(asked.model).type}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def forward(asked: Asked) -> Forward:
    """The traced model with its weights packed; raises Untraceable."""
    example, *others = asked.inputs
    return traced(
        asked.model, example, tuple(others), asked.sequences.layout, asked.dtype, asked.device, asked.precision
    )  # fmt: skip


def make_plan(asked: Asked, held: Forward, asking: Read) -> Plan:
    """The plan for all substitutions at the asked sites; with `func`, whole outputs are formed."""
    output: Any = next(n for n in held.graph.fx if n.name == held.graph.output).meta["val"]
    read = None if asking.func else Target(asking.target, tuple(output.shape[1:]))
    size = asked.sequences.columns.shape[1]
    letters = asked.sequences.letters[:, asked.start : asked.end]
    plain = bool(((letters >= 0) & (letters < size)).all())
    sites = (asked.start, asked.end)
    number, workers = held.like.element_size(), side_by_side(asked.device)
    return Plan(held.graph, read, size - plain, number, asked.memory, sites, workers)


def substitutions(sequences: Sequences, start: int, end: int) -> list[Edits]:
    """Every other letter at every site of [start, end): sites with a letter, and sites without one."""
    letters = sequences.letters[:, start:end]
    size = sequences.columns.shape[1]
    plain = (letters >= 0) & (letters < size)
    jobs = []
    for chosen, has_letter in ((plain, True), (~plain, False)):
        n, site = np.nonzero(chosen)
        if len(n):
            old = letters[n, site]
            jobs.append(
                Edits(n, site + start, old, _others(old, size, has_letter), sequences.ambiguous)
            )
    return jobs


def _others(old: Ints, size: int, has_letter: bool) -> Ints:
    every = np.tile(np.arange(size), (len(old), 1))
    return every[every != old[:, None]].reshape(len(old), size - 1) if has_letter else every


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={device!r}: cannot be used here: {error}") from error
    if place.type == "meta":
        raise ValueError("device='meta': it holds shapes and no numbers; give 'cpu' or 'cuda'")
    return place


def _home(model: nn.Module) -> torch.device:
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def _budget(memory: int | None, device: torch.device) -> int:
    """Bytes the engine may hold: what the user says, else a quarter of what is free now."""
    if memory is not None:
        if not isinstance(memory, Integral) or isinstance(memory, bool):
            raise TypeError(f"memory={memory!r}: a number of bytes, e.g. 2 << 30 for 2 GiB")
        if memory < 1 << 20:
            raise ValueError(f"memory={memory}: bytes; give at least 1 MiB (1 << 20)")
        return int(memory)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 4
    return free_memory() // 4


def free_memory() -> int:
    """Bytes of memory that could be had now; 8 GiB where the system does not say."""
    source = Path("/proc/meminfo")
    if not source.exists():
        return 8 << 30
    lines = source.read_text().splitlines()
    return 1024 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
