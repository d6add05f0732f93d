"""What scans take on real sequences, with the shipped model.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scans [--ecoli MG1655.fasta] [CASE ...]

Cases: `chr22:N` (all substitutions of N bases of it), `chr22:whole` (its 900 kb), `ecoli:N` (the first of N parts
of 4.6 Mb, 1 for all): rate, cost a base, peak memory; `light:N` (the same by a net of one layer: peak memory);
`bookkeeping` (what of a scan's time is not the method's);
`scheduling` (what a shard costs beside its work, by processes and by Dask, against a shard of 131,072 bases);
`workers` (two processes against one, by the clock). Each runs in a process of its own, by one thread, and seconds
are those of its core, which other processes on the machine change little; those of `workers` are of the clock.
The scores of a piece are held to the method itself first. Written: benchmarks/results/scans.json, case by case.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

import nucleoscope
from benchmarks.machine import conditions
from nucleoscope.models import SpliceNet
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.shards.drive import drive
from nucleoscope.scan.shards.executors import Inline, Processes
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.progress import Progress

RESULTS = Path(__file__).parent / "results" / "scans.json"
DATA = Path(os.environ.get("NUCLEOSCOPE_DATA", "data"))
CHR22 = "seq/hg19_chr22_20000001-21000000"
NAME = "chr22_20M"
NO_N = (609_431, 999_999)  # behind the gap of this stretch
ROUNDS = 3
SHARD = 1 << 17  # bases of a shard by default
EMPTY = 40  # shards without work


def unpacked(folder: Path) -> Path:
    """The megabase of chr22 as plain FASTA, under a name without colons."""
    text = gzip.decompress((DATA / f"{CHR22}.fa.gz").read_bytes()).decode()
    path = folder / "chr22.fa"
    path.write_text(f">{NAME}\n{text.partition(chr(10))[2]}")
    return path


def peak() -> int:
    """Bytes that this process held at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def light() -> torch.nn.Module:
    """A net of one layer, for what a scan holds beside its model."""
    torch.manual_seed(0)
    return torch.nn.Conv1d(4, 3, 5, padding=2).eval()


def bases(
    genome: Path, regions: str | None, out: Path, shard: tuple[int, int], net: torch.nn.Module | None = None
) -> dict[str, Any]:  # fmt: skip
    """All substitutions of a stretch, or of one part of a genome, by the shipped model or another."""
    model, given = net or SpliceNet.pretrained(), {"target": 2, "verify": 2}
    name, _, range_ = (regions or genome.read_text()[1:200].split()[0]).partition(":")
    start = int(range_.split("-")[0] or 1)
    nucleoscope.scan(  # a first call traces the model and loads what that needs
        model, genome, [f"{name}:{start}-{start + 63}"], out / "first", coordinates="genome", **given
    )  # fmt: skip
    asked = [regions] if regions else None
    begun = time.process_time()
    done = nucleoscope.scan(
        model, genome, asked, out / "scan", coordinates="genome", shard=shard, **given
    )
    seconds = time.process_time() - begun
    most = peak()
    folder = Folder(out / "scan")
    mine = range(shard[0] - 1, len(folder), shard[1])
    total = int(folder.weights[list(mine)].sum())
    assert not done.failed
    if done.store is not None and regions is not None:
        hold(model, genome, name, start, done.store)
    return {
        "bases": total,
        "seconds": seconds,
        "bases a second": total / seconds,
        "microseconds a base": 1e6 * seconds / total,
        "peak bytes": most,
    }


def hold(net: torch.nn.Module, genome: Path, name: str, start: int, store: Path) -> None:
    """The first scores are those of the method on one long sequence."""
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    first = start - 1
    held = sequence[first - 1000 : first + 1500]
    wanted = nucleoscope.saturation_mutagenesis(
        net, one_hot([held]), target=2, start=1000, end=1100, verify=0
    ).scores[0].numpy() * len(held)
    track = zarr.open_group(store, mode="r")[f"chromosomes/{name}"]
    found: Any = track[:, first : first + 100]  # type: ignore[index]
    known = ~np.isnan(found)  # N has no score
    assert known.sum() > 300
    worst = np.abs(found[known] - wanted[known]).max()
    assert worst < 1e-5 * np.abs(wanted).max(), f"off by {worst}"


def bookkeeping(folder: Path) -> dict[str, Any]:
    """Seconds of a scan in the method itself and beside it: reading, checkpoints, the store."""
    fasta, within = unpacked(folder), [0.0]
    inner = Inline.outcomes

    def timed(self: Inline) -> Iterator[Any]:
        begun = time.process_time()
        held = list(inner(self))
        within[0] += time.process_time() - begun
        yield from held

    first = NO_N[0]
    nucleoscope.scan(
        SpliceNet.pretrained(),
        fasta,
        [f"{NAME}:{first}-{first + 63}"],
        folder / "f",
        coordinates="genome",
        target=2,
    )
    Inline.outcomes = timed  # type: ignore[method-assign]
    begun = time.process_time()
    regions = [f"{NAME}:{first}-{first + 65_535}"]
    nucleoscope.scan(
        SpliceNet.pretrained(),
        fasta,
        regions,
        folder / "o",
        coordinates="genome",
        target=2,
        shard_bases=1 << 14,
    )
    total = time.process_time() - begun
    return {"seconds": total, "in the method": within[0], "beside it": 1 - within[0] / total}


@dataclass(frozen=True)
class Empty:
    """A job without work, whose arrays are those of a shard of 131,072 bases."""

    threads: int = 1

    def open(self, held: ExitStack) -> Any:  # noqa: ARG002
        """Gives zeros."""
        return lambda _lines: {"scores": np.zeros((4, SHARD), np.float32)}


def scheduling(folder: Path) -> dict[str, Any]:
    """Processor seconds a shard, of this process and its worker, that no work is in."""
    found: dict[str, Any] = {}
    for kind in ("processes", "dask"):
        own = Folder(folder / kind)
        own.make()
        own.prepare(((str(n), 1) for n in range(EMPTY)), 1, {"sizes": {}})
        if kind == "dask":
            from nucleoscope.scan.shards.clusters import Dask

            executor: Any = Dask(Empty(), 1)
        else:
            executor = Processes(Empty(), 1)
        drive(own, executor, range(4), 0, Progress("none", 4, 0, "shards"))  # workers start
        begun = time.process_time()
        drive(own, executor, range(4, EMPTY), 0, Progress("none", EMPTY, 0, "shards"))
        found[kind] = {"seconds a shard": (time.process_time() - begun) / (EMPTY - 4)}
        executor.close()
        assert all(own.is_done(n) for n in range(EMPTY))
    work = bases(unpacked(folder), f"{NAME}:{NO_N[0]}-{NO_N[0] + 16_383}", folder, (1, 1))
    for held in found.values():
        held["of a shard's work"] = held["seconds a shard"] / (SHARD / work["bases a second"])
    return found


def workers(folder: Path) -> dict[str, Any]:
    """One worker of one thread, and two, over the same shards; starting them is left out by a first run."""
    fasta = unpacked(folder)
    regions, spent = [f"{NAME}:{NO_N[0]}-{NO_N[0] + 131_071}"], {}
    for round_ in range(ROUNDS):
        for count in (1, 2):
            marks: list[float] = []
            out = folder / f"{round_}-{count}"
            keep = Folder.keep

            def noted(
                self: Folder, number: int, arrays: Any, keep: Any = keep, marks: list[float] = marks
            ) -> None:
                keep(self, number, arrays)
                marks.append(time.perf_counter())

            Folder.keep = noted  # type: ignore[method-assign]
            nucleoscope.scan(
                SpliceNet.pretrained(), fasta, regions, out, coordinates="genome", target=2, workers=count,
                threads=1, shard_bases=1 << 13, cell=1 << 13, verify=0, dask=False,
            )  # fmt: skip
            Folder.keep = keep  # type: ignore[method-assign]
            late = marks[2 * count :]  # each worker's first shards trace the model
            spent.setdefault(count, []).append((late[-1] - late[0]) / (len(late) - 1))
    one, two = (statistics.median(spent[count]) for count in (1, 2))
    return {"seconds a shard": spent, "factor": one / two}


def run(case: str, folder: Path, ecoli: Path | None) -> Any:
    """One case, in this process."""
    torch.set_num_threads(1)
    if case == "scheduling":
        return scheduling(folder)
    if case == "bookkeeping":
        return bookkeeping(folder)
    if case == "workers":
        return workers(folder)
    what, _, wide = case.partition(":")
    if what in ("ecoli", "light"):
        assert ecoli is not None
        return bases(ecoli, None, folder, (1, int(wide)), light() if what == "light" else None)
    fasta = unpacked(folder)
    if wide == "whole":
        return bases(fasta, None, folder, (1, 1))
    return bases(fasta, f"{NAME}:{NO_N[0]}-{NO_N[0] + int(wide) - 1}", folder, (1, 1))


CASES = (
    "chr22:100000", "chr22:whole", "ecoli:36", "light:4", "light:1", "bookkeeping", "scheduling", "workers",
)  # fmt: skip


def main() -> None:
    """Every case in a process of its own; or the one that is named, in this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--ecoli", type=Path)
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    if given.here:
        with tempfile.TemporaryDirectory() as folder:
            json.dump(run(given.cases[0], Path(folder), given.ecoli), sys.stdout)
        return
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}}
    held |= {"command": "python -m benchmarks.scans --ecoli MG1655.fasta", **conditions()}
    for case in given.cases or [
        c for c in CASES if given.ecoli or not c.startswith(("ecoli", "light"))
    ]:
        command = [sys.executable, "-m", "benchmarks.scans", "--here", case]
        command += ["--ecoli", str(given.ecoli)] if given.ecoli else []
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        held["cases"][case] = json.loads(made)
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
