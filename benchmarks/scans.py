"""What scans and variants take on real sequences, with the shipped model and a SpliceAI-10k-shaped one.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scans [--ecoli MG1655.fasta] [CASE ...]

Cases: `bases` (all substitutions of stretches of a genome: rate, cost a base by length, peak memory of a process
that runs one part of the genome), `variants` (SNPs of chr22 against two passes a variant, the scores held to each
other first), `bookkeeping` (what of a scan's time is not the method's), `workers` (two processes against one).
Each runs in a process of its own, by one thread, and seconds are those of its core, which other processes on the
machine change little; those of `workers` are of the clock. Written: benchmarks/results/scans.json, case by case.
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
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch

import nucleoscope
from benchmarks.machine import conditions
from nucleoscope.models import SpliceAI, SpliceNet
from nucleoscope.scan.executors import Inline
from nucleoscope.scan.letters import one_hot

RESULTS = Path(__file__).parent / "results" / "scans.json"
DATA = Path(os.environ.get("NUCLEOSCOPE_DATA", "data"))
CHR22 = "seq/hg19_chr22_20000001-21000000"
NAME = "chr22_20M"
NO_N = (609_431, 999_999)  # behind the gap of this stretch
AROUND, LENGTH = 50, 10_101
SOME = 120  # variants that are timed
PASSES = 6  # of them by two passes each
ROUNDS = 3


def unpacked(folder: Path) -> Path:
    """The megabase of chr22 as plain FASTA, under a name without colons."""
    text = gzip.decompress((DATA / f"{CHR22}.fa.gz").read_bytes()).decode()
    path = folder / "chr22.fa"
    path.write_text(f">{NAME}\n{text.partition(chr(10))[2]}")
    return path


def peak() -> int:
    """Bytes that this process held at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bases(genome: Path, regions: str | None, out: Path, shard: tuple[int, int]) -> dict[str, Any]:
    """All substitutions of a stretch, or of one part of a genome, by the shipped model."""
    net, given = SpliceNet.pretrained(), {"target": 2, "verify": 2}
    start = int(regions.split(":")[1].split("-")[0]) if regions else 1
    name = regions.split(":")[0] if regions else None
    if name:  # a first call traces the model and loads what that needs
        nucleoscope.scan(
            net,
            genome,
            [f"{name}:{start}-{start + 63}"],
            out / "first",
            coordinates="genome",
            **given,
        )
    asked = [regions] if regions else None
    begun = time.process_time()
    done = nucleoscope.scan(
        net, genome, asked, out / "scan", coordinates="genome", shard=shard, **given
    )
    seconds = time.process_time() - begun
    from nucleoscope.scan.folder import Folder

    folder = Folder(out / "scan")
    mine = range(shard[0] - 1, len(folder), shard[1])
    total = int(folder.weights[list(mine)].sum())
    assert not done.failed
    return {
        "bases": total,
        "seconds": seconds,
        "bases a second": total / seconds,
        "peak bytes": peak(),
    }


def splice_net() -> SpliceAI:
    """The published geometry with random weights whose BatchNorm has seen sequences."""
    torch.manual_seed(0)
    net = SpliceAI()
    with torch.no_grad():
        net.train()(torch.eye(4)[torch.randint(0, 4, (1, 12_000))].mT.contiguous())
    return net.eval().requires_grad_(False)


def snps(genome: str, folder: Path, start: int, count: int) -> Path:
    """The single-base dbSNP variants from `start` on as a VCF; their other letter is the REF here and there."""
    path = folder / "snps.vcf"
    lines = gzip.decompress((DATA / f"{CHR22}.dbsnp.snp.gz").read_bytes()).decode().splitlines()
    rows = [line.split("\t") for line in lines]
    single = sorted({(int(r[3]), r[4]) for r in rows if r[1] == "single"})
    kept = [(p, a) for p, a in single if p >= start and genome[p] in "ACGT" and genome[p] != a]
    text = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    text += [f"{NAME}\t{p + 1}\t.\t{genome[p]}\t{a}\t.\t.\t." for p, a in kept[:count]]
    path.write_text("\n".join(text) + "\n")
    return path


def variants(folder: Path) -> dict[str, Any]:
    """SpliceAI's delta scores of neighbouring SNPs, and of a sample of them by two passes each."""
    fasta, net = unpacked(folder), splice_net()
    sequence = "".join(line.strip() for line in fasta.read_text().splitlines()[1:]).upper()
    vcf = snps(sequence, folder, NO_N[0] + LENGTH, SOME)
    given: dict[str, Any] = {
        "length": LENGTH, "around": AROUND, "target": [1, 2], "scores": ("gain", "loss"), "shard_variants": SOME,
    }  # fmt: skip
    few = folder / "few.vcf"
    few.write_text("\n".join(vcf.read_text().splitlines()[:14]) + "\n")
    nucleoscope.variants(net, fasta, few, folder / "few", **given)  # traces the model
    begun = time.process_time()
    done = nucleoscope.variants(net, fasta, vcf, folder / "out", **given)
    seconds = time.process_time() - begun
    assert done.clean, str(done)
    rows = pyarrow.parquet.read_table(folder / "out" / "variants.parquet").to_pylist()
    chosen = np.random.default_rng(0).choice(len(rows), PASSES, replace=False)
    spent, worst, largest = [], 0.0, 0.0
    for row in (rows[at] for at in chosen):
        begun = time.process_time()
        wanted = two_passes(net, sequence, row)
        spent.append(time.process_time() - begun)
        for name, value in wanted.items():
            worst, largest = max(worst, abs(row[name] - value)), max(largest, abs(value))
    assert worst < 1e-4 * max(largest, 1.0), f"off by {worst}"
    one = statistics.median(spent)
    return {
        "variants": len(rows), "seconds": seconds, "seconds a variant": seconds / len(rows),
        "two passes, seconds a variant": one, "spread of two passes": [min(spent), max(spent)],
        "factor": one / (seconds / len(rows)), "largest difference": worst, "largest score": largest,
        "peak bytes": peak(),
    }  # fmt: skip


def two_passes(net: SpliceAI, sequence: str, row: dict[str, Any]) -> dict[str, float]:
    """Largest gain and loss near a variant, as SpliceAI scores one: the model on both alleles' windows."""
    start = row["position"] - 1 - LENGTH // 2
    before = sequence[start : start + LENGTH]
    after = before[: LENGTH // 2] + row["alt"] + before[LENGTH // 2 + 1 :]
    with torch.no_grad():
        change = (net(one_hot([after])) - net(one_hot([before])))[0]
    found = {}
    for at, track in enumerate((1, 2)):
        found[f"gain_{at}"] = float(change[track].max())
        found[f"loss_{at}"] = float((-change[track]).max())
    return found


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


def workers(folder: Path) -> dict[str, Any]:
    """One worker of one thread, and two, over the same shards; starting them is left out by a first run."""
    fasta = unpacked(folder)
    regions, spent = [f"{NAME}:{NO_N[0]}-{NO_N[0] + 131_071}"], {}
    for round_ in range(ROUNDS):
        for count in (1, 2):
            marks: list[float] = []
            out = folder / f"{round_}-{count}"
            from nucleoscope.scan.folder import Folder

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
    if case == "variants":
        return variants(folder)
    if case == "bookkeeping":
        return bookkeeping(folder)
    if case == "workers":
        return workers(folder)
    what, _, wide = case.partition(":")
    if what == "ecoli":
        assert ecoli is not None
        return bases(ecoli, None, folder, (1, int(wide)))
    fasta = unpacked(folder)
    if wide == "whole":
        return bases(fasta, None, folder, (1, 8))
    return bases(fasta, f"{NAME}:{NO_N[0]}-{NO_N[0] + int(wide) - 1}", folder, (1, 1))


CASES = (
    "chr22:100000",
    "chr22:200000",
    "chr22:whole",
    "ecoli:40",
    "variants",
    "bookkeeping",
    "workers",
)


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
    for case in given.cases or [c for c in CASES if given.ecoli or not c.startswith("ecoli")]:
        command = [sys.executable, "-m", "benchmarks.scans", "--here", case]
        command += ["--ecoli", str(given.ecoli)] if given.ecoli else []
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        held["cases"][case] = json.loads(made)
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
