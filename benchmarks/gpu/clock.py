"""Times of a job on a device: warm, by CUDA events, repeated while a time limit allows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Seconds of every round, and of the first call, which compiles, traces and packs."""

    rounds: list[float]
    first: float

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


class OutOfTime(Exception):
    """The first call took much longer than the limit: nothing warm was timed."""


def seconds(job: Callable[[], object], device: torch.device) -> float:
    """One run, until its results are there."""
    if device.type != "cuda":
        begun = time.perf_counter()
        job()
        return time.perf_counter() - begun
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    job()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1000


def timed(job: Callable[[], object], device: torch.device, limit: float, most: int = 7) -> Times:
    """Up to `most` warm rounds within `limit` seconds, the first call included; at least one.

    A first call may take long and the next be short; but where it took thrice the limit, there is no next.
    """
    begun = time.monotonic()
    first = seconds(job, device)
    if time.monotonic() - begun > 3 * limit:
        raise OutOfTime(f"the first call took {first:.0f} s, and the limit was {limit:.0f} s")
    rounds = [seconds(job, device)]
    while len(rounds) < most and time.monotonic() - begun + statistics.median(rounds) < limit:
        rounds.append(seconds(job, device))
    return Times(rounds, first)
