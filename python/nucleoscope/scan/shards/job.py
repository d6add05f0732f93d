"""A job: a method over items. What a shard of it gives are named arrays, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy.typing as npt
import torch

Arrays = Mapping[str, npt.NDArray[Any]]
Runner = Callable[[Sequence[str]], Arrays]  # the lines of a shard -> its arrays


class Job(Protocol):
    """What travels to every worker once; items travel as the lines of `items.tsv`."""

    @property
    def threads(self) -> int:
        """Of torch, for every shard alike: the number decides last bits."""
        ...

    def open(self, held: ExitStack) -> Runner:
        """Make ready on a worker; what is to be closed again goes into `held`."""
        ...


def run_with_threads(threads: int, runner: Runner, lines: Sequence[str]) -> Arrays:
    """Run a shard by so many of torch's threads; the number decides the last bits of a result."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return runner(lines)
    finally:
        torch.set_num_threads(before)
