"""Cells over the processes of a machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nucleoscope.evaluate.cells import Found
from nucleoscope.evaluate.results import Cell
from nucleoscope.scan.shards.shipping import packed

if TYPE_CHECKING:
    from nucleoscope.evaluate.run import Job


def over_processes(job: Job, cells: list[Cell], workers: int) -> Iterator[Found]:
    """What becomes of every cell, as they end. No worker: in this process.

    Where one of several workers dies, those cells that were in hand are asked again, each in a process of its own.
    One that was alone in a process that died is recorded as failed.

    Raises RuntimeError where no worker gets to its first cell, TypeError where the job cannot travel to one.
    """
    workers = min(workers, len(cells))
    if not workers:
        yield from _in_turn(job, cells)
        return
    threads, held = max(1, torch.get_num_threads() // workers), _packed(job)
    waiting = list(cells)
    while waiting:
        pool = _Pool(held, workers, threads)
        yield from pool.through(waiting)
        for cell in pool.in_hand:
            if workers > 1:  # it may have been another's doing
                alone = _Pool(held, 1, threads)
                yield from alone.through([cell])
                if not alone.in_hand:
                    continue
            yield job.failed(
                cell, "the process that ran it died (it was killed, or it ended itself)"
            )


def _packed(job: Job) -> bytes:
    try:
        return packed(job)
    except TypeError as error:
        raise TypeError(f"{error} Or ask with workers=0, in this process.") from error


class _Pool:
    """Worker processes until all is done or one of them dies."""

    def __init__(self, job: bytes, workers: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._workers, self._begun = workers, context.Event()
        self._given = (job, threads, self._begun)
        self._context = context
        self.in_hand: list[Cell] = []  # where one died

    def through(self, waiting: list[Cell]) -> Iterator[Found]:
        """Take cells off a list, one a worker at a time: those that are not done were then in a worker's hand."""
        running: dict[Future[Found], Cell] = {}
        with ProcessPoolExecutor(self._workers, self._context, _start, self._given) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < self._workers:
                        running[pool.submit(_cell, waiting[0])] = waiting[0]
                        waiting.pop(0)
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        found = done.result()
                        del running[done]
                        yield found
            except BrokenProcessPool as died:
                if not self._begun.is_set():
                    raise RuntimeError(
                        "workers: no worker process could start. A script that asks for workers does so under "
                        "if __name__ == '__main__':, since each of them imports it"
                    ) from died
                done_too = [each for each in running if each.done() and not each.exception()]
                yield from (each.result() for each in done_too)
                self.in_hand = [cell for each, cell in running.items() if each not in done_too]


def _in_turn(job: Job, cells: list[Cell]) -> Iterator[Found]:
    _answers.clear()  # of another run, whose models may have had the same names
    for cell in cells:
        yield job.cell(cell, _remembered(cell))


_job: list[Any] = []  # of this worker process
_answers: dict[tuple[str, int], dict[bytes, Tensor]] = {}  # of the model and seed in hand


def _start(job: bytes, threads: int, begun: Event) -> None:
    """Make this process a worker, which leaves Ctrl-C to its parent and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        _job.append(pickle.loads(job))
    except Exception as error:  # it is told by the first cell, where its message is not lost
        _job.append(error)
    begun.set()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # one that was killed cannot end its workers
    os._exit(1)


def _cell(cell: Cell) -> Found:
    if isinstance(_job[0], Exception):
        raise RuntimeError(f"a worker cannot read what it is to do: {_job[0]}") from _job[0]
    found: Found = _job[0].cell(cell, _remembered(cell))
    return found


def _remembered(cell: Cell) -> dict[bytes, Tensor]:
    """What this model was asked before with this seed: explainers are judged by the same edits, asked once."""
    of = (cell.model, cell.seed)
    if of not in _answers:
        _answers.clear()
        _answers[of] = {}
    return _answers[of]
