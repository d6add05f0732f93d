"""What a scan would take, from a short probe on its own data."""

from __future__ import annotations

import inspect
import resource
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nucleoscope.scan.folder import Folder
from nucleoscope.scan.job import Piece, RegionJob, Runner, run_with_threads
from nucleoscope.scan.request import MEMORY, prepare
from nucleoscope.scan.run import request_of, scan
from nucleoscope.scan.sources import Regions

PROBED = 512  # sites of a cell


@dataclass(frozen=True)
class Estimate:
    """What a scan is expected to take."""

    bases: int
    shards: int
    seconds: float
    memory: int  # bytes, all workers together, at most about
    disk: int  # bytes, before compression: checkpoints, and the store beside them at the end
    rejects: dict[str, int]

    def __str__(self) -> str:
        hours = self.seconds / 3600
        took = f"{hours:,.1f} hours" if hours >= 2 else f"{self.seconds:,.0f} s"
        speed = self.bases / max(self.seconds, 1e-9)
        lines = [
            f"{self.bases:,} bases in {self.shards:,} shards: about {took}, {speed:,.0f} bases a second.",
            f"Up to {self.memory / 1e9:,.1f} GB of memory and {self.disk / 1e9:,.2f} GB of disk.",
        ]
        if self.rejects:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.rejects.items())
            lines.append(f"Left out: {kinds}.")
        return "\n".join(lines)


def estimate(model: nn.Module, genome: Path | str, regions: Regions, **options: Any) -> Estimate:
    """What `scan` with the same arguments would take; nothing stays on disk.

    Two probes of different sizes, each run twice and timed the second time, tell what a call costs and
    what a base costs. Raises what `scan` raises for its arguments.
    """
    with tempfile.TemporaryDirectory(prefix="nucleoscope-") as out, ExitStack() as held:
        given = inspect.signature(scan).bind(model, genome, regions, out, **options)
        given.apply_defaults()
        folder = Folder(Path(out))
        folder.make()
        job = prepare(request_of(given.arguments), folder, lambda _: None)
        total, workers = int(folder.weights.sum()), int(given.arguments["workers"])
        if not total:
            return Estimate(0, 0, 0.0, 0, 0, folder.manifest["rejects"])
        calls = int(folder.manifest["items"]) if job.tiling else len(folder)
        runner = job.open(held)
        probes = _probes(folder, job)
        took = [_timed(job, runner, probe) for probe in probes]
        (few, short, size), (many, long, _) = took[0], took[-1]
        a_base = max(long - short, 0) / (many - few) if many > few else short / few
        a_call = max(short - a_base * few, 0)
        seconds = (a_base * total + a_call * calls) / workers
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
        return Estimate(
            total, len(folder), seconds, workers * (peak + MEMORY), int(2 * size / few * total),
            folder.manifest["rejects"],
        )  # fmt: skip


def _probes(folder: Folder, job: RegionJob) -> list[list[str]]:
    """Lines of two sizes: parts of a cell, or one row and some, from the middle of the scan."""
    lines = folder.shard(len(folder) // 2).lines
    if job.tiling is None:
        return [list(lines[:1]), list(lines[:4])]
    piece = Piece.read(lines[0])
    ends = [min(piece.start + wide, piece.end) for wide in (PROBED // 4, PROBED)]
    return [[Piece(0, piece.chromosome, piece.start, end).line()] for end in ends]


def _timed(job: RegionJob, runner: Runner, lines: list[str]) -> tuple[int, float, int]:
    """(bases, seconds, bytes) of a shard of these lines."""
    bases = sum(piece.end - piece.start for piece in map(Piece.read, lines))
    run_with_threads(job.threads, runner, lines)  # what a first call sets up is not the scan's
    began = time.perf_counter()
    arrays = run_with_threads(job.threads, runner, lines)
    return bases, time.perf_counter() - began, arrays["scores"].nbytes
