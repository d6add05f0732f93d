"""How much memory there is, and what is done when it is less than was thought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch

# How torch's CPU allocator, CUDA, cuBLAS and Triton say that memory was not to be had.
SAID = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Job(Protocol):
    """Something that can be done in two halves."""

    def __len__(self) -> int: ...

    def halves(self) -> tuple[Job, Job]: ...


AnyJob = TypeVar("AnyJob", bound=Job)
Made = TypeVar("Made")


def budget(memory: int | None, device: torch.device) -> int:
    """Bytes the engine may hold: what the user says, else a quarter of what is free now."""
    if memory is not None:
        if not isinstance(memory, Integral) or isinstance(memory, bool):
            raise TypeError(f"memory={memory!r}: a number of bytes, e.g. 2 << 30 for 2 GiB")
        if memory < 1 << 20:
            raise ValueError(f"memory={memory}: bytes; give at least 1 MiB (1 << 20)")
        return int(memory)
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + held) // 4  # torch's own cache is free as well
    return free_memory() // 4


def free_memory() -> int:
    """Bytes of memory that could be had now; 8 GiB where the system does not say."""
    source = Path("/proc/meminfo")
    if not source.exists():
        return 8 << 30
    lines = source.read_text().splitlines()
    return 1024 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory was not to be had."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in SAID)


class Halving(Generic[AnyJob, Made]):
    """make(job) for every job; a job for which memory runs out is halved, and later ones with it.

    The budget is an estimate, and others use the memory too. A half keeps the windows of the whole, so
    that its edits get the same numbers.
    """

    def __init__(self, make: Callable[[AnyJob], Made], device: torch.device, one: str) -> None:
        self._make, self._device, self._one = make, device, one
        self._most: int | None = None

    def __call__(self, job: AnyJob) -> Iterator[Made]:
        """What the job gives, in one or more parts, in order."""
        if self._most is not None and len(job) > self._most:
            yield from self._by_halves(job)
            return
        try:
            made = self._make(job)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            if len(job) == 1:
                raise type(error)(self._advice(error)) from error
        else:
            yield made
            return
        # Not within `except`: until it is left, the error's frames hold what is to be freed.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._most = max(1, min(len(job), self._most or len(job)) // 2)
        yield from self._by_halves(job)

    def _by_halves(self, job: AnyJob) -> Iterator[Made]:
        for half in job.halves():
            yield from self(half)  # type: ignore[arg-type]

    def _advice(self, error: BaseException) -> str:
        return (
            f"{self._one} does not fit the memory of {self._device}: {error}\n"
            "Free what else is held there, shorten X, ask for fewer targets or without func, or compute "
            "elsewhere (device='cpu')."
        )
