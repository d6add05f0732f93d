"""What a scan would take, from a short probe on its own data."""

from __future__ import annotations

import inspect
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucleoscope.scan.regions.job import Piece, RegionJob
from nucleoscope.scan.regions.sources import Regions
from nucleoscope.scan.request import MEMORY, prepare
from nucleoscope.scan.run import request_of, scan
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.job import Job, Runner, run_with_threads

PROBED = 512  # sites of a cell


@dataclass(frozen=True)
class Estimate:
    """What a scan, or variants, are expected to take."""

    bases: int  # or alleles, as `unit` says
    shards: int
    seconds: float
    memory: int  # bytes, all workers together, at most about
    disk: int  # bytes, before compression: checkpoints, and the store beside them at the end
    rejects: dict[str, int]
    unit: str = "bases"

    def __str__(self) -> str:
        hours = self.seconds / 3600
        took = f"{hours:,.1f} hours" if hours >= 2 else f"{self.seconds:,.0f} s"
        speed = f"{self.bases / max(self.seconds, 1e-9):,.0f} {self.unit} a second"
        lines = [
            f"{self.bases:,} {self.unit} in {self.shards:,} shards: about {took}, {speed}.",
            f"Up to {self.memory / 1e9:,.1f} GB of memory and {self.disk / 1e9:,.2f} GB of disk.",
        ]
        if self.rejects:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.rejects.items())
            lines.append(f"Left out: {kinds}.")
        return "\n".join(lines)


def estimate(model: Any, genome: Path | str, regions: Regions, **options: Any) -> Estimate:
    """What `scan` with the same arguments would take; nothing stays on disk.

    Two probes of different sizes, each run twice and timed the second time, tell what a call costs and
    what a base costs. Raises what `scan` raises for its arguments.
    """
    with tempfile.TemporaryDirectory(prefix="nucleoscope-") as out:
        given = inspect.signature(scan).bind(model, genome, regions, out, **options)
        given.apply_defaults()
        folder = Folder(Path(out))
        folder.make()
        job = prepare(request_of(given.arguments), folder, lambda _: None)
        calls = int(folder.manifest["items"]) if job.tiling else len(folder)
        return _estimated(
            folder,
            job,
            lambda: _probes(folder, job),
            calls,
            int(given.arguments["workers"]),
            "bases",
        )


def estimate_variants(
    model: Any, genome: Path | str, vcf: Path | str, *, workers: int = 1, **options: Any
) -> Estimate:
    """What `variants` with the same arguments would take; nothing stays on disk.

    A part of the middle shard and a larger one tell what a shard costs and what an allele does. Raises what
    `variants` raises for its arguments.
    """
    from nucleoscope.scan.variants.run import prepare, request_of

    with tempfile.TemporaryDirectory(prefix="nucleoscope-") as out:
        folder = Folder(Path(out))
        folder.make()
        job = prepare(
            request_of(model, genome, vcf, workers=workers, **options), folder, lambda _: None
        )

        def probes() -> list[list[str]]:
            lines = list(folder.shard(len(folder) // 2).lines)
            return [lines[: max(len(lines) // 8, 1)], lines[: max(len(lines) // 2, 1)]]

        return _estimated(folder, job, probes, len(folder), workers, "alleles")


def _estimated(
    folder: Folder,
    job: Job,
    probes: Callable[[], list[list[str]]],
    calls: int,
    workers: int,
    unit: str,
) -> Estimate:
    total, rejects = int(folder.weights.sum()), folder.manifest["rejects"]
    if not total:
        return Estimate(0, 0, 0.0, 0, 0, rejects, unit)
    with ExitStack() as held:
        runner = job.open(held)
        took = [_timed(job, runner, probe, unit) for probe in probes()]
    (few, short, size), (many, long, _) = took[0], took[-1]
    a_base = max(long - short, 0) / (many - few) if many > few else short / few
    a_call = max(short - a_base * few, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    return Estimate(
        total, len(folder), (a_base * total + a_call * calls) / workers, workers * (peak + MEMORY),
        int(2 * size / few * total), rejects, unit,
    )  # fmt: skip


def _probes(folder: Folder, job: RegionJob) -> list[list[str]]:
    """Lines of two sizes: parts of a cell, or one row and some, from the middle of the scan."""
    lines = folder.shard(len(folder) // 2).lines
    if job.tiling is None:
        return [list(lines[:1]), list(lines[:4])]
    piece = Piece.read(lines[0])
    ends = [min(piece.start + wide, piece.end) for wide in (PROBED // 4, PROBED)]
    return [[Piece(0, piece.chromosome, piece.start, end).line()] for end in ends]


def _timed(job: Job, runner: Runner, lines: list[str], unit: str) -> tuple[int, float, int]:
    """(bases or alleles, seconds, bytes) of a shard of these lines."""
    bases = len(lines)
    if unit == "bases":
        bases = sum(piece.end - piece.start for piece in map(Piece.read, lines))
    run_with_threads(job.threads, runner, lines)  # what a first call sets up is not the scan's
    began = time.perf_counter()
    arrays = run_with_threads(job.threads, runner, lines)
    return bases, time.perf_counter() - began, arrays["scores"].nbytes
