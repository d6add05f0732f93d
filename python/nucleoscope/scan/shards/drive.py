"""Shards through an executor, each kept when it is done: bounded in flight, retried, recorded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from nucleoscope.scan.shards.executors import Executor
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.progress import Progress


def drive(
    folder: Folder, executor: Executor, numbers: Iterable[int], retries: int, progress: Progress
) -> None:
    """Do the shards of these numbers that are not done.

    One that fails is tried `retries` times again, then recorded, and the rest goes on. When workers die,
    the shards that were in flight go on one by one, so that only the one that kills them is held against.
    Raises OSError where a checkpoint cannot be written: then nothing can go on.
    """
    waiting = deque(numbers)
    tried: Counter[int] = Counter()
    suspects: set[int] = set()
    flying = 0
    while waiting or flying:
        while waiting and flying < (1 if suspects else executor.slots):
            executor.submit(folder.shard(waiting.popleft()))
            flying += 1
        alone = flying == 1
        for outcome in executor.outcomes():
            flying -= 1
            number = outcome.shard.number
            if outcome.arrays is not None:
                folder.keep(number, outcome.arrays)
                suspects.discard(number)
                progress.done(outcome.shard)
                continue
            tried[number] += alone or not outcome.died
            if tried[number] > retries:
                folder.fail(number, outcome.reason)
                suspects.discard(number)
                progress.failed(outcome.shard, outcome.reason)
                continue
            if outcome.died:
                suspects.add(number)
            waiting.appendleft(number)
