"""Where shards run: in this process, or in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Protocol

from nucleoscope.scan.shards.folder import Shard
from nucleoscope.scan.shards.job import Arrays, Job, Runner, run_with_threads
from nucleoscope.scan.shards.shipping import packed

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


@dataclass(frozen=True)
class Outcome:
    """What became of a shard: its arrays, or why there are none."""

    shard: Shard
    arrays: Arrays | None
    reason: str = ""
    died: bool = False  # its worker did, and so did all that it held


class Executor(Protocol):
    """Runs shards of one job. The caller keeps no more than `slots` in flight."""

    @property
    def slots(self) -> int:
        """How many shards keep all workers busy."""
        ...

    def submit(self, shard: Shard) -> None:
        """Start a shard, or queue it."""
        ...

    def outcomes(self) -> Iterator[Outcome]:
        """What has ended since; waits for one at least."""
        ...

    def close(self) -> None:
        """Let go of all workers; what is in flight is given up."""
        ...


class Inline:
    """One shard after the other, in this process."""

    def __init__(self, job: Job) -> None:
        self.slots = 1
        self._job, self._held = job, ExitStack()
        self._runner = job.open(self._held)
        self._waiting: list[Shard] = []

    def submit(self, shard: Shard) -> None:
        """Keep it for `outcomes`."""
        self._waiting.append(shard)

    def outcomes(self) -> Iterator[Outcome]:
        """Runs what was submitted."""
        while self._waiting:
            shard = self._waiting.pop(0)
            try:
                arrays = run_with_threads(self._job.threads, self._runner, shard.lines)
            except Exception as error:
                yield Outcome(shard, None, told(error))
            else:
                yield Outcome(shard, arrays)

    def close(self) -> None:
        """Close the genome."""
        self._held.close()


class Processes:
    """Worker processes of this machine, started afresh (spawned), the job shipped once to each.

    Of `devices`, numbers of GPUs as CUDA_VISIBLE_DEVICES has them, each worker sees one, in turn.
    """

    def __init__(self, job: Job, workers: int, devices: Sequence[str] = ()) -> None:
        self.slots = 2 * workers  # one at work and one that waits, so that none is ever idle
        self._workers, self._job, self._devices = workers, packed(job), tuple(devices)
        self._pool = self._started()
        self._running: dict[Future[Arrays], Shard] = {}

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        given = (self._job, self._devices, context.Value("i", 0))
        return ProcessPoolExecutor(self._workers, context, start_worker, given)

    def submit(self, shard: Shard) -> None:
        """Queue it; a pool that broke meanwhile is told of by `outcomes`."""
        try:
            future = self._pool.submit(run_shard, shard.lines)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self._running[future] = shard

    def outcomes(self) -> Iterator[Outcome]:
        """What has ended. A worker that dies takes the pool with it: a new one is started."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            done, _ = wait(self._running)
            self._pool.shutdown()
            self._pool = self._started()
        for future in done:
            yield outcome(self._running.pop(future), future, BrokenProcessPool)

    def close(self) -> None:
        """End the workers: now, where they are still at something."""
        if not self._running:
            self._pool.shutdown()
            return
        running = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.kill()


def outcome(shard: Shard, future: Any, death: type[BaseException]) -> Outcome:
    """How a future ended."""
    error = future.exception()
    if error is None:
        return Outcome(shard, future.result())
    died = isinstance(error, death)
    return Outcome(shard, None, "its worker died" if died else told(error), died)


def told(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


_ready: list[tuple[int, Runner]] = []  # of this worker process


def start_worker(job: bytes, devices: Sequence[str], started: Synchronized[int]) -> None:
    """Make this process a worker: it opens the job, leaves Ctrl-C to its parent, and ends with it."""
    if devices:  # before anything asks CUDA
        with started.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[started.value % len(devices)]
            started.value += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    opened: Job = pickle.loads(job)
    _ready.append((opened.threads, opened.open(ExitStack())))


def _end_with(parent: BaseProcess) -> None:
    """A parent that was killed cannot end its workers, which would wait forever."""
    parent.join()
    os._exit(1)


def run_shard(lines: tuple[str, ...]) -> Arrays:
    """Run a shard in this worker."""
    return run_with_threads(*_ready[0], lines)
