"""dbSNP's variants of chr22 with a SpliceAI-10k-shaped model, against two passes a variant.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scan_variants [COUNT]

COUNT neighbouring ones, of 3,502 (insertions and deletions are 9 % of them), through `variants`; a few of them, of
both kinds, as SpliceAI scores one: the model on REF's window and on ALT's, laid beside each other. Scores must
agree to 1e-4. By one thread, in seconds of its core, some of the two passes behind every shard, so that both sides
meet the same machine; the call that traces the model is timed by itself. Written:
benchmarks/results/scan_variants.json.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch

import nucleoscope
from benchmarks.machine import conditions
from benchmarks.scans import CHR22, DATA, NAME, peak, unpacked
from nucleoscope.models import SpliceAI
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.variants.alleles import Allele

RESULTS = Path(__file__).parent / "results" / "scan_variants.json"
AROUND = 50
PASS = 10_101  # bases that SpliceAI is shown
LENGTH = 10_301  # of a window here, in which insertions and deletions of 100 bases have room
START = 800_000  # of a part of them
PASSES = 12  # of SNVs and of the others by two passes each


def splice_ai() -> SpliceAI:
    """The published geometry with random weights whose BatchNorm has seen sequences."""
    torch.manual_seed(0)
    net = SpliceAI()
    with torch.no_grad():
        net.train()(torch.eye(4)[torch.randint(0, 4, (1, 12_000))].mT.contiguous())
    return net.eval().requires_grad_(False)


def snps(genome: str, path: Path, start: int, count: int) -> Path:
    """dbSNP's variants from `start` on as a VCF; those whose letter is the genome's are left out."""
    lines = gzip.decompress((DATA / f"{CHR22}.dbsnp.snp.gz").read_bytes()).decode().splitlines()
    found = set()
    for _, kind, _, at, what in (line.split("\t") for line in lines):
        place = int(at)
        before = genome[place - 1]
        if kind == "single":
            found.add((place, genome[place], what))
        elif kind == "deletion":
            found.add((place - 1, genome[place - 1 : place + int(what)], before))
        else:
            found.add((place - 1, before, before + what))
    kept = [(p, r, a) for p, r, a in sorted(found) if p >= start and "N" not in r and r != a][
        :count
    ]
    text = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    text += [f"{NAME}\t{p + 1}\t.\t{r}\t{a}\t.\t.\t." for p, r, a in kept]
    path.write_text("\n".join(text) + "\n")
    return path


def two_passes(
    net: Callable[[torch.Tensor], torch.Tensor], sequence: str, row: dict[str, Any]
) -> dict[str, float]:
    """Largest gain and loss near a variant, as SpliceAI scores one."""
    ref, alt, start = row["ref"], row["alt"], row["position"] - 1 - PASS // 2
    held = sequence[start : start + PASS]
    put = held[: PASS // 2] + alt + held[PASS // 2 + len(ref) :]
    with torch.no_grad():
        before, after = net(one_hot([held]))[0], net(one_hot([put]))[0]
    middle, more = AROUND, len(alt) - len(ref)
    if more > 0:
        top = after[:, middle : middle + len(alt)].amax(1, keepdim=True)
        after = torch.cat([after[:, :middle], top, after[:, middle + len(alt) :]], 1)
    elif more < 0:
        gap = after.new_zeros(3, -more)
        after = torch.cat([after[:, : middle + 1], gap, after[:, middle + 1 :]], 1)
    change = after - before
    found = {}
    for at, track in enumerate((1, 2)):
        found[f"gain_{at}"] = float(change[track].max())
        found[f"loss_{at}"] = float((-change[track]).max())
    return found


@dataclass
class Passes:
    """A few variants of both kinds by two passes each, between the shards of a run."""

    net: SpliceAI
    sequence: str
    spent: list[float] = field(default_factory=list)  # seconds of each
    found: list[tuple[Allele, dict[str, float]]] = field(default_factory=list)
    waiting: list[Allele] | None = None

    @contextmanager
    def behind_every_shard(self) -> Iterator[None]:
        """While this is open, a share of them follows each checkpoint."""
        keep = Folder.keep

        def kept(folder: Folder, number: int, arrays: Any) -> None:
            keep(folder, number, arrays)
            if self.waiting is None:
                self.waiting = chosen(folder)
            for _ in range(min(-(-2 * PASSES // len(folder)), len(self.waiting))):
                self._one(self.waiting.pop())

        Folder.keep = kept  # type: ignore[method-assign]
        try:
            yield
        finally:
            Folder.keep = keep  # type: ignore[method-assign]

    def _one(self, allele: Allele) -> None:
        row = {"ref": allele.ref, "alt": allele.alt, "position": allele.start + 1}
        begun = time.process_time()
        wanted = two_passes(self.net, self.sequence, row)
        self.spent.append(time.process_time() - begun)
        self.found.append((allele, wanted))


def chosen(folder: Folder) -> list[Allele]:
    """Of a run's alleles some of one length and as many others, by turns."""
    lines = (line for number in range(len(folder)) for line in folder.shard(number).lines)
    kinds: tuple[list[Allele], list[Allele]] = ([], [])
    for allele in map(Allele.read, lines):
        kinds[allele.same_length].append(allele)
    random = np.random.default_rng(0)
    some = [[kind[n] for n in random.permutation(len(kind))[:PASSES]] for kind in kinds]
    return [allele for pair in zip(*some, strict=False) for allele in pair]


def measured(folder: Path, count: int) -> dict[str, Any]:
    """Both sides on the same variants; scores are held to each other."""
    fasta, net = unpacked(folder), splice_ai()
    sequence = "".join(line.strip() for line in fasta.read_text().splitlines()[1:]).upper()
    vcf = snps(sequence, folder / "snps.vcf", 0 if count > 3000 else START, count)
    given: dict[str, Any] = {
        "length": LENGTH, "around": AROUND, "target": [1, 2], "scores": ("gain", "loss"),
    }  # fmt: skip
    few = folder / "few.vcf"
    few.write_text("\n".join(vcf.read_text().splitlines()[:3]) + "\n")
    begun = time.process_time()
    nucleoscope.variants(net, fasta, few, folder / "few", **given)  # traces the model
    first = time.process_time() - begun
    passed = Passes(net, sequence)
    begun = time.process_time()
    with passed.behind_every_shard():
        done = nucleoscope.variants(net, fasta, vcf, folder / "out", **given)
    seconds = time.process_time() - begun - sum(passed.spent)
    assert not done.failed, str(done)
    rows = pyarrow.parquet.read_table(folder / "out" / "variants.parquet").to_pylist()
    by_place = {(r["position"], r["ref"], r["alt"]): r for r in rows}
    worst, largest = 0.0, 0.0
    for allele, wanted in passed.found:
        row = by_place[allele.start + 1, allele.ref, allele.alt]
        for name, value in wanted.items():
            worst, largest = max(worst, abs(row[name] - value)), max(largest, abs(value))
    assert worst < 1e-4 * max(largest, 1.0), f"off by {worst}"
    spent, one = passed.spent, statistics.median(passed.spent)
    single = sum(len(r["ref"]) == len(r["alt"]) for r in rows)
    return {
        "variants": len(rows), "of one length": single, "left out": done.rejects,
        "first call, seconds": first, "seconds": seconds, "seconds a variant": seconds / len(rows),
        "two passes of": len(spent), "two passes, seconds a variant": one,
        "spread of two passes": [min(spent), max(spent)],
        "factor": one / (seconds / len(rows)),
        "factor with the first call": one / ((seconds + first) / len(rows)),
        "largest difference": worst, "largest score": largest, "peak bytes": peak(),
    }  # fmt: skip


def main() -> None:
    """Measure, and write it under its count."""
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3502
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"counts": {}}
    held |= {"command": f"python -m benchmarks.scan_variants {count}", **conditions()}
    with tempfile.TemporaryDirectory() as folder:
        held["counts"][str(count)] = measured(Path(folder), count)
    RESULTS.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
