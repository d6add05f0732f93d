"""The output folder: a manifest, the items, and a checkpoint a shard; each appears complete or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from nucleoscope.files import whole_file
from nucleoscope.scan import rejects
from nucleoscope.scan.rejects import Reject
from nucleoscope.scan.shards.job import Arrays
from nucleoscope.scan.shards.ownership import MARK, PARTIAL, SCRATCH_MARK, SHARD, is_ours, remove

FORMAT = 1  # of the folder; another one is refused


@dataclass(frozen=True)
class Shard:
    """Some consecutive items, done by one worker in one go."""

    number: int
    lines: tuple[str, ...]  # of items.tsv
    weight: int  # bases, or whatever the work goes by


class Folder:
    """What a scan has written and will write; nothing is written outside of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest_file = path / "manifest.json"
        self.rejects_file = path / "rejects.tsv"
        self.scratch = path / "scratch"

    def claim(self) -> None:
        """Put our mark there, before anything else. Raises OSError where it cannot be written to, ValueError where
        it holds others' files: nothing is written then, and what a run replaces or removes must be its own."""
        self.path.mkdir(parents=True, exist_ok=True)
        held = sorted(each.name for each in self.path.iterdir())
        if held and MARK not in held and not (self.path / MARK).exists():  # put there since, maybe
            if self.manifest_file.name not in held:
                raise self._of_others(held[0])
            _ = self.manifest  # refused if no scan's; folders of before had no mark
        (self.path / MARK).touch()

    def make(self) -> None:
        """Claim it, and create what is in it. Raises what `claim` raises.

        Where other processes may be at it the lock `prepare` is held: none is between two of its files then.
        """
        self.claim()
        if self.manifest_file.exists():
            others = [] if not self.scratch.exists() or is_ours(self.scratch) else ["scratch"]
            _ = self.manifest  # refused if no scan's
        else:
            others = sorted(each.name for each in self.path.iterdir() if not is_ours(each))
        if others:
            raise self._of_others(others[0])
        for folder in (self.path / "shards", self.path / "failed", self.scratch):
            folder.mkdir(exist_ok=True)
        (self.scratch / SCRATCH_MARK).touch()

    def _of_others(self, name: str) -> ValueError:
        return ValueError(
            f"{self.path} holds other files, such as {name}: name a new folder, or an empty one"
        )

    def lock(self, name: str, wait: float = 0) -> filelock.FileLock:
        """One process at a time holds it; it is gone with its process, however that ends."""
        return filelock.FileLock(self.path / f"{name}.lock", timeout=wait)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was asked for, and how it is cut into shards. Raises ValueError for what is no scan's."""
        try:
            held: Any = json.loads(self.manifest_file.read_bytes())
        except ValueError:  # no JSON, or no text
            held = None
        beside = all((self.path / name).is_file() for name in ("items.tsv", "shards.npy"))
        if (
            not beside
            or not isinstance(held, dict)
            or not {"format", "items", "rejects"} <= set(held)
        ):
            raise ValueError(
                f"{self.manifest_file} is not that of a scan: name a new folder, or an empty one"
            )
        if held["format"] != FORMAT:
            raise ValueError(f"{self.manifest_file} is of another version of nucleoscope")
        return held

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        """Per shard: where its lines begin in items.tsv, how many they are, their weight."""
        table: npt.NDArray[np.int64] = np.load(self.path / "shards.npy", allow_pickle=False)
        return table

    def __len__(self) -> int:
        return len(self._table)

    @property
    def weights(self) -> npt.NDArray[np.int64]:
        """The weight of every shard."""
        return self._table[:, 2]

    def shard(self, number: int) -> Shard:
        """A shard with its items."""
        offset, count, weight = (int(n) for n in self._table[number])
        with (self.path / "items.tsv").open("rb") as file:
            file.seek(offset)
            lines = tuple(file.readline().decode().rstrip("\n") for _ in range(count))
        return Shard(number, lines, weight)

    def prepare(
        self, items: Iterable[tuple[str, int] | Reject], most: int, facts: Mapping[str, Any]
    ) -> None:
        """Write items, as (line, weight), in shards of at most `most` weight, and the rejects.

        One pass in flat memory; the manifest is written last, so that it vouches for the others.
        """
        table: list[list[int]] = []
        kinds: Counter[str] = Counter()
        offset = 0
        with (
            whole_file(self.path / "items.tsv") as lines,
            whole_file(self.rejects_file) as refused,
        ):
            refused.write(rejects.HEAD)
            for item in items:
                if isinstance(item, Reject):
                    kinds[item.kind] += 1
                    refused.write(rejects.row(item))
                    continue
                line, weight = item
                if not table or table[-1][2] + weight > most:
                    table.append([offset, 0, 0])
                table[-1][1] += 1
                table[-1][2] += weight
                offset += lines.write(f"{line}\n".encode())
        with whole_file(self.path / "shards.npy") as file:
            np.save(file, np.array(table, np.int64).reshape(-1, 3))
        count = sum(row[1] for row in table)
        held = {"format": FORMAT, "items": count, "rejects": dict(kinds), **facts}
        with whole_file(self.manifest_file) as file:
            file.write(json.dumps(held, indent=1).encode())

    def checkpoint(self, number: int) -> Path:
        """The file of a shard that is done."""
        return self.path / "shards" / f"{number:07d}.npz"

    def keep(self, number: int, arrays: Arrays) -> None:
        """Write a shard's checkpoint. Raises OSError where the disk is full."""
        with whole_file(self.checkpoint(number)) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        self._failure(number).unlink(missing_ok=True)

    def read(self, number: int) -> Arrays:
        """A shard's arrays."""
        with np.load(self.checkpoint(number), allow_pickle=False) as held:
            return dict(held)

    def rejects(self) -> dict[str, int]:
        """How many items of each kind were left out: before shards began, or by those that are done."""
        counts = Counter(self.manifest["rejects"])
        counts.update(each.kind for each in self._refused())
        return dict(counts)

    def tell_refused(self) -> None:
        """Put what shards refused as they ran behind what was rejected before, in `rejects.tsv`."""
        refused = list(self._refused())
        known = sum(self.manifest["rejects"].values())
        if refused == list(rejects.behind(self.rejects_file, known)):
            return
        with self.rejects_file.open("rb") as before, whole_file(self.rejects_file) as file:
            file.writelines(islice(before, 1 + known))
            file.writelines(map(rejects.row, refused))

    def _refused(self) -> Iterator[Reject]:
        """What shards refused as they ran, in their order."""
        if self.complete:
            yield from rejects.behind(self.rejects_file, sum(self.manifest["rejects"].values()))
            return
        for number in filter(self.is_done, range(len(self))):
            with np.load(self.checkpoint(number), allow_pickle=False) as held:
                if "refused" in held:
                    yield from rejects.told(held["refused"])

    def is_done(self, number: int) -> bool:
        """Whether a shard's checkpoint is there, to its end."""
        path = self.checkpoint(number)
        return self.complete or (path.exists() and zipfile.is_zipfile(path))

    @property
    def complete(self) -> bool:
        """Whether the store holds every shard, so that no checkpoint is needed any more."""
        return (self.path / "complete").exists()

    def finish(self) -> None:
        """The store holds every shard: say so, then remove the checkpoints and what was unpacked."""
        (self.path / "complete").touch()
        for folder in (self.path / "shards", self.path / "failed"):
            remove(folder, SHARD)
            with contextlib.suppress(OSError):  # gone, or something of others is in it
                folder.rmdir()
        if (self.scratch / SCRATCH_MARK).exists():
            shutil.rmtree(self.scratch, ignore_errors=True)
        remove(self.path, PARTIAL)  # of processes that were killed as they wrote

    def fail(self, number: int, reason: str) -> None:
        """Record a shard that was tried often enough."""
        with whole_file(self._failure(number)) as file:
            file.write(json.dumps({"shard": number, "reason": reason}).encode())

    def _failure(self, number: int) -> Path:
        return self.path / "failed" / f"{number:07d}.json"

    def failures(self) -> Iterator[tuple[int, str]]:
        """(shard, reason) of those that failed and are not done."""
        for path in sorted((self.path / "failed").glob("*.json")):
            held = json.loads(path.read_text())
            if not self.is_done(held["shard"]):
                yield held["shard"], held["reason"]

    def given_up(self) -> dict[int, str]:
        """The shards that failed, where all others are done. Raises ValueError where they are not."""
        failed = dict(self.failures())
        missing = [n for n in range(len(self)) if n not in failed and not self.is_done(n)]
        if missing:
            some = ", ".join(map(str, missing[:5])) + ", ..." * (len(missing) > 5)
            raise ValueError(
                f"{len(missing):,} of {len(self):,} shards are not done yet: {some}. Run them, or resume."
            )
        return failed
