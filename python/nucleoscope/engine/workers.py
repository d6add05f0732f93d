"""Batches side by side: one thread a core, each op on its own core, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Made = TypeVar("Made")


def side_by_side(device: torch.device) -> int:
    """How many batches are made at one time: torch's thread setting on a CPU, one on a device.

    A device is filled by one batch, and its launches keep their order.
    """
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_order(
    make: Callable[[Job], Made], jobs: Iterable[Job], device: torch.device
) -> Iterator[Made]:
    """make(job) for every job, in order, under torch's thread setting.

    A batch of edits is hundreds of small ops. Splitting each over the cores costs a barrier an op, which a
    busy neighbour turns into a wait; a batch a core costs none and keeps its deltas in that core's cache.
    """
    threads = side_by_side(device)
    if threads == 1:
        yield from map(make, jobs)
        return
    pool = ThreadPoolExecutor(
        threads, "nucleoscope", initializer=torch.set_num_threads, initargs=(1,)
    )
    running: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            running.append(pool.submit(make, job))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # the workers' setting becomes the process's default
