"""`scan`: a method over regions of a genome, or all of it, into a folder that survives its process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nucleoscope.scan.regions.sources import Regions
from nucleoscope.scan.request import Request, prepare
from nucleoscope.scan.shards.drive import drive
from nucleoscope.scan.shards.executors import Executor, Inline, Processes
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.job import Job
from nucleoscope.scan.shards.members import PREPARING, alone, member
from nucleoscope.scan.shards.progress import Progress
from nucleoscope.scan.trunk import TABLE, summary


@dataclass(frozen=True)
class Scan:
    """How a scan stands."""

    out: Path
    store: Path | None  # None until all shards are done or given up
    shards: int
    done: int
    failed: dict[int, str]  # shard: reason
    rejects: dict[str, int]  # reason: how many
    trunk: str = ""  # by a linear trunk: what is approximate, and by how much

    @property
    def clean(self) -> bool:
        """Whether everything that was asked for is there."""
        return self.store is not None and not self.failed and not self.rejects

    def __str__(self) -> str:
        lines = [f"{self.done:,} of {self.shards:,} shards done: {self.store or self.out}"]
        lines += [self.trunk] if self.trunk else []
        if self.rejects:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.rejects.items())
            lines.append(f"Left out: {kinds}; {self.out / 'rejects.tsv'} says which.")
        if self.failed:
            number, reason = next(iter(self.failed.items()))
            lines.append(f"{len(self.failed):,} shards failed, such as {number}: {reason}")
        return "\n".join(lines)


def scan(
    model: nn.Module | Sequence[nn.Module],
    genome: Path | str,
    regions: Regions,
    out: Path | str,
    *,
    method: str = "saturation_mutagenesis",
    coordinates: str | None = None,
    length: int | None = None,
    cell: int = 1 << 15,
    window: int | None = None,
    report: tuple[int, int] | None = None,
    skip_masked: bool = False,
    resume: bool = False,
    shard: tuple[int, int] = (1, 1),
    workers: int = 1,
    dask: bool | str = False,
    threads: int | None = None,
    shard_bases: int = 1 << 17,
    retries: int = 2,
    progress: str = "none",
    note: Callable[[str], None] = lambda _: None,
    **parameters: Any,
) -> Scan:
    """Scores of regions of a genome, or of whole chromosomes, in a folder that can be resumed.

    The folder holds a manifest, a checkpoint for every shard that is done, what was rejected and why, and
    at the end `scores.zarr`. Killed at any point, the same call with ``resume=True`` goes on, and the store
    is the same byte for byte. N has no score: it is NaN.

    Parameters
    ----------
    model
        As the method takes it; of a list the mean. It is shipped to workers by pickle.
    genome
        FASTA, plain or bgzipped, or 2bit. chr1 and 1 name the same chromosome.
    regions
        A BED or narrowPeak file, plain or gzipped, typed regions such as ``chr1:1,001-2,000``, or None for
        all of the genome. What cannot be done is counted in `rejects.tsv`, and the rest goes on.
    out
        A folder, new or empty, or with ``resume``; nothing is written outside it.
    method, parameters
        A method of nucleoscope by its name, and what it takes besides the model and X. With ``trunk="linear"``
        `exact` in the store marks exact sites, and `trunk.tsv` has the certificate of each window or shard.
    coordinates
        ``"regions"``: each is a sequence of its own, all of one length, and a row of the store.
        ``"genome"``: scores lie along the chromosomes, as though each had been one sequence, whatever the
        regions; they must be sorted and not overlap. By default ``"genome"`` where regions is None.
    length
        Bring every region to this length about its midpoint; N stands beyond a chromosome's ends.
    cell
        With ``"genome"``: bases that one call reports. Its window holds as much more as the plan says
        that their scores depend on. The scores are then changes of the target *summed* over the output's
        positions, not their mean, which would depend on the window.
    window, report
        With ``"genome"``, for models that take one length: windows of this length, each reporting its
        bases [a, b). Such scores depend on where windows begin: at multiples of b - a, less a.
    skip_masked
        Leave lower-case bases without a score. Models see them either way.
    shard
        (i, n): of n processes that share a folder this is the i-th, from 1; when all are done, `merge`.
    workers, dask, threads
        Processes of this machine, which take its GPUs in turn where ``device="cuda"``; with ``dask=True`` a Dask
        cluster of as many, with an address the workers of that scheduler. Threads of each: by default the cores,
        split. A resumed scan keeps its threads.
    shard_bases
        About how many bases are a shard: what a killed process loses at most.
    retries
        How often a shard that fails is tried again before it is recorded and left out.
    progress, note
        ``"bar"``, ``"json"`` (a line a shard, on stderr) or ``"none"``; and what is called with remarks.

    Returns
    -------
    Scan
        What is done, failed and rejected; ``clean`` if all is well.

    Raises ValueError and TypeError for arguments that cannot be meant, InUse where another process writes
    into the folder, OSError where it cannot be written. What is done by then is kept.

    Equivalent to::

        X = one_hot([genome[region] for region in regions])
        zarr.save(out, method(model, X, **parameters).scores)
    """
    given = locals()
    how = How(resume, shard, workers, dask, retries, progress, "bases")
    request = request_of(given)
    return carried_out(Folder(Path(out)), lambda folder: prepare(request, folder, note), how)


@dataclass(frozen=True)
class How:
    """How the shards of a folder are done; none of it decides a number."""

    resume: bool
    shard: tuple[int, int]
    workers: int
    dask: bool | str
    retries: int
    progress: str
    unit: str

    def __post_init__(self) -> None:
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise ValueError(f"shard={self.shard}: (i, n) with 1 <= i <= n")
        if self.workers < 1 or self.retries < 0:
            raise ValueError(
                f"workers={self.workers}, retries={self.retries}: 1 or more, and 0 or more"
            )


def carried_out(folder: Folder, prepare: Callable[[Folder], Job], how: How) -> Scan:
    """Prepare the folder, do what of its shards is ours and not done, and merge where all are ours."""
    part, parts = how.shard
    folder.claim()
    if folder.manifest_file.exists() and not how.resume and parts == 1:
        raise ValueError(f"{folder.path} holds a scan already: resume it, or name another folder")
    with ExitStack() as held:
        with folder.lock("prepare", PREPARING):
            folder.make()
            held.enter_context(member(folder, part, parts))
            job = prepare(folder)
        mine = [n for n in range(len(folder)) if n % parts == part - 1]
        left = [n for n in mine if not folder.is_done(n)]
        if left:
            weights, total = folder.weights, int(folder.weights[mine].sum())
            before = total - int(weights[left].sum())
            shown = Progress(how.progress, total, before, how.unit)
            executor = _executor(job, how.workers, how.dask)
            try:
                drive(folder, executor, left, how.retries, shown)
            finally:
                executor.close()
                shown.close()
    return standing(folder) if parts > 1 else merge(folder.path)


def request_of(arguments: Mapping[str, Any]) -> Request:
    """What of the arguments of `scan` decides its scores."""
    held = {f.name: arguments[f.name] for f in dataclasses.fields(Request)}
    held["threads"] = held["threads"] or threads_of(arguments["workers"], arguments["dask"])
    return Request(**held | {"genome": Path(held["genome"])})


def merge(out: Path | str) -> Scan:
    """Put the shards of a finished scan together as its store; again where it is there already.

    Raises ValueError where shards are missing, InUse where another process is at it.
    """
    folder = Folder(Path(out))
    if not folder.manifest_file.exists():
        raise ValueError(f"{out} holds no scan: there is no {folder.manifest_file.name}")
    try:
        if folder.manifest["coordinates"] == "variants":
            from nucleoscope.scan.variants.annotate import assemble
        else:
            from nucleoscope.scan.results.store import assemble
    except ImportError as error:
        raise ImportError(f"the store: {error}. pip install 'nucleoscope[scan]'") from error
    with alone(folder, "merge"):
        found = standing(folder)
        if not folder.complete:
            folder.tell_refused()
            assemble(folder)
            while (
                now := standing(folder)
            ).failed != found.failed:  # a member did one anew meanwhile
                found = now
                assemble(folder)
            found = now
        if not found.failed:
            folder.finish()
    return found


def export(
    done: Scan,
    *,
    bigwig: bool = False,
    parquet: bool = False,
    npz: bool = False,
    anndata: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Files beside the store, made from it: `scores.bw` with `scores.bw.json`, `scores.parquet`, `scores.npz`,
    `scores.h5ad`. `note` is called with remarks. Raises ValueError for what such a file cannot hold."""
    from nucleoscope.scan.results import tables, tracks

    if done.store is None:
        raise ValueError(f"{done.out} has no store yet")
    sizes = Folder(done.out).manifest["sizes"]
    written = tracks.bigwig(done.store, done.out / "scores.bw", sizes, note) if bigwig else []
    written += [tables.parquet(done.store, done.out / "scores.parquet")] if parquet else []
    written += [tables.npz(done.store, done.out / "scores.npz")] if npz else []
    written += [tables.h5ad(done.store, done.out / "scores.h5ad")] if anndata else []
    return written


def standing(folder: Folder) -> Scan:
    """How the scan in a folder stands."""
    done = sum(folder.is_done(n) for n in range(len(folder)))
    name = "variants.vcf.gz" if folder.manifest["coordinates"] == "variants" else "scores.zarr"
    store = folder.path / name if (folder.path / name).exists() else None
    return Scan(
        folder.path, store, len(folder), done, dict(folder.failures()), folder.rejects(),
        summary(folder.path / TABLE) if store else "",
    )  # fmt: skip


def threads_of(workers: int, dask: bool | str) -> int:
    """Threads of each worker, where none are asked for: the cores, split."""
    if workers == 1 and not dask:
        return torch.get_num_threads()
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(cores // workers, 1)


def _executor(job: Any, workers: int, dask: bool | str) -> Executor:
    if dask:
        try:
            from nucleoscope.scan.shards.clusters import Dask
        except ImportError as error:
            raise ImportError(f"dask: {error}. pip install 'nucleoscope[dask]'") from error
        return Dask(job, workers, dask if isinstance(dask, str) else None)
    if workers == 1:
        return Inline(job)
    spread = str(job.parameters.get("device")) == "cuda"  # and not one by its number
    return Processes(job, workers, visible_gpus() if spread else ())


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(n) for n in range(count)]
