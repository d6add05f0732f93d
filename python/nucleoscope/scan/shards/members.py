"""Processes that share an output folder: one prepares it, each does shards of its own, none does another's."""

from __future__ import annotations

from contextlib import AbstractContextManager

import filelock

from nucleoscope.scan.shards.folder import Folder

PREPARING = 3600  # seconds that other members of an array job wait for the first to prepare


class InUse(RuntimeError):
    """Another process writes into the same folder."""


def alone(folder: Folder, name: str) -> AbstractContextManager[object]:
    """The lock of this name, held. Raises InUse where another process holds it."""
    lock = folder.lock(name)
    try:
        return lock.acquire()
    except filelock.Timeout as error:
        raise InUse(
            f"another process is writing into {folder.path} ({lock.lock_file} is held)"
        ) from error


def member(folder: Folder, part: int, parts: int) -> AbstractContextManager[object]:
    """The lock of the `part`-th of so many processes, held; 1 of 1 does all shards.

    The lock `prepare` must be held, so that none comes meanwhile. Raises InUse where this part is being done, or
    where a process is at the same shards because it cuts them into other parts.
    """
    for path in sorted(folder.path.glob("part-*-of-*.lock")):
        if not path.stem.endswith(f"-of-{parts}"):
            _ended(folder, path.stem, f"{part}/{parts}")
    return alone(folder, f"part-{part}-of-{parts}")


def _ended(folder: Folder, name: str, ours: str) -> None:
    """Raise InUse where another process holds the lock of this name."""
    try:
        with folder.lock(name):
            return
    except filelock.Timeout as error:
        theirs = name.removeprefix("part-").replace("-of-", "/")
        parts = theirs.partition("/")[2]
        how = f"shard {theirs} of an array job" if parts != "1" else "all shards"
        instead = f", or be a member with --shard i/{parts} (shard=(i, {parts}))" * (parts != "1")
        raise InUse(
            f"another process is doing {how} in {folder.path}; this call (shard {ours}) would do some of the same "
            f"ones. Wait until it has ended{instead}."
        ) from error
