"""Cells over the processes of a machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nucleoscope.evaluate.cells import Found
from nucleoscope.evaluate.results import Cell
from nucleoscope.scan.shipping import packed

if TYPE_CHECKING:
    from nucleoscope.evaluate.run import Job


def over_processes(job: Job, cells: list[Cell], workers: int) -> Iterator[Found]:
    """What becomes of every cell, as they end. One worker is this process.

    Raises BrokenProcessPool where a worker dies; what was kept until then stays.
    """
    workers = min(workers, len(cells))
    if workers <= 1:
        yield from _in_turn(job, cells)
        return
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (packed(job), threads)) as pool:
        waiting = [pool.submit(_cell, cell) for cell in cells]
        for done in as_completed(waiting):
            yield done.result()


def _in_turn(job: Job, cells: list[Cell]) -> Iterator[Found]:
    _answers.clear()  # of another run, whose models may have had the same names
    for cell in cells:
        yield job.cell(cell, _remembered(cell))


_job: list[Any] = []  # of this worker process
_answers: dict[tuple[str, int], dict[bytes, Tensor]] = {}  # of the model and seed in hand


def _start(job: bytes, threads: int) -> None:
    """Make this process a worker, which leaves Ctrl-C to its parent and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _job.append(pickle.loads(job))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # one that was killed cannot end its workers
    os._exit(1)


def _cell(cell: Cell) -> Found:
    found: Found = _job[0].cell(cell, _remembered(cell))
    return found


def _remembered(cell: Cell) -> dict[bytes, Tensor]:
    """What this model was asked before with this seed: explainers are judged by the same edits, asked once."""
    of = (cell.model, cell.seed)
    if of not in _answers:
        _answers.clear()
        _answers[of] = {}
    return _answers[of]
