"""The worked example of docs/scan_example.md: chromosomes and dbSNP's variants with the shipped model.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scan_example [--ecoli MG1655.fasta] [--bases N] [STEP ...]

Steps: `chr22` (20-21 Mb of GRCh37 behind its gap), `variants` (the 3,502 of it), `yeast` (chromosome I), `ecoli`
(4.6 Mb). Each is scanned whole, or its first N bases. Seconds are those of one core. Written, step by step:
benchmarks/results/scan_example.json, and from it docs/scan_example.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch
import zarr

import nucleoscope
from benchmarks.machine import conditions
from benchmarks.scan_variants import snps
from benchmarks.scans import DATA, NAME, NO_N, peak, unpacked
from nucleoscope.models import SpliceNet
from nucleoscope.scan import export

RESULTS = Path(__file__).parent / "results" / "scan_example.json"
PAGE = Path(__file__).parents[1] / "docs" / "scan_example.md"
DONOR, AROUND, LENGTH = 2, 100, 401
STRONGEST = 100


HEAD = """# A worked example

Made by `python -m benchmarks.scan_example`, which calls from Python what these commands do:

```bash
model="--model nucleoscope.models:SpliceNet.pretrained --genome chr22.fa"
nucleoscope scan $model --target 2 --out chr22 --bigwig
nucleoscope variants $model --vcf dbsnp.vcf --target 1 --target 2 --length 401 --around 100 \\
    --score gain --score loss --out scored
nucleoscope view chr22 --genome chr22.fa --region chr22_20M:700001-704000 --variants scored --out page.html
```

The model is the one that the demo explains (201 bases; its target 2 are donors). Seconds are those of one core.

| genome | bases | s | bases a s | bigWig, MB | peak, MB | of the 100 strongest sites at a GT |
|---|---:|---:|---:|---:|---:|---:|"""


def scanned(genome: Path, name: str, first: int, count: int, folder: Path) -> dict[str, Any]:
    """Every substitution of a stretch: what it took, and where its strongest sites lie."""
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    last = min(first + count, len(sequence))
    begun = time.process_time()
    done = nucleoscope.scan(
        SpliceNet.pretrained(), genome, [f"{name}:{first + 1}-{last}"], folder / "scan", target=DONOR,
        coordinates="genome",
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert done.clean, str(done)
    (track,) = export(done, bigwig=True)
    scores = np.asarray(zarr.open_group(done.store, mode="r")[f"chromosomes/{name}"][:])  # type: ignore[index,arg-type]
    own = np.abs(scores.sum(0))
    order = np.argsort(-np.nan_to_num(own))[:STRONGEST]
    at_gt = sum("GT" in sequence[max(at - 2, 0) : at + 3] for at in order)
    return {
        "bases": last - first, "seconds": seconds, "bases a second": (last - first) / seconds,
        "bigWig bytes": track.stat().st_size, "peak bytes": peak(),
        "strongest at a GT": at_gt / len(order),
    }  # fmt: skip


def scored(folder: Path, count: int) -> dict[str, Any]:
    """Variants of chr22: what they took, and those that take away most of a donor."""
    genome = unpacked(folder)
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    vcf = snps(sequence, folder / "dbsnp.vcf", 0, count)
    begun = time.process_time()
    done = nucleoscope.variants(
        SpliceNet.pretrained(), genome, vcf, folder / "scored", length=LENGTH, around=AROUND, target=[1, DONOR],
        scores=("gain", "loss"),
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert not done.failed, str(done)
    rows = pyarrow.parquet.read_table(folder / "scored" / "variants.parquet").to_pylist()
    top = sorted(rows, key=lambda row: -row["loss_1"])[:3]
    return {
        "variants": len(rows), "of unlike lengths": sum(len(r["ref"]) != len(r["alt"]) for r in rows),
        "seconds": seconds, "left out": done.rejects,
        "most of a donor lost": [
            f"{20_000_000 + r['position']:,} {r['ref']}>{r['alt']}: {r['loss_1']:.2f} at {r['loss_at_1']:+d}"
            for r in top
        ],
    }  # fmt: skip


def step(name: str, folder: Path, ecoli: Path | None, count: int) -> dict[str, Any]:
    """One step of the example."""
    if name == "variants":
        return scored(folder, 3502)
    if name == "chr22":
        return scanned(unpacked(folder), NAME, NO_N[0], count, folder)
    if name == "ecoli":
        assert ecoli is not None
        return scanned(ecoli, ecoli.read_text()[1:200].split()[0], 0, count, folder)
    genome = folder / "yeast.fa"
    text = gzip.decompress((DATA / "seq/yeast_S288C_chr1.fa.gz").read_bytes()).decode()
    genome.write_text(f">chrI\n{text.partition(chr(10))[2]}")
    return scanned(genome, "chrI", 0, count, folder)


def page(held: dict[str, Any]) -> str:
    """The page, from what was measured."""
    lines = [HEAD]
    names = {
        "chr22": "GRCh37 chr22, behind the gap", "yeast": "yeast, chromosome I", "ecoli": "E. coli MG1655",
    }  # fmt: skip
    for key, told in names.items():
        if row := held["steps"].get(key):
            peak_mb, at_gt = row["peak bytes"] / 1e6, row["strongest at a GT"]
            lines.append(
                f"| {told} | {row['bases']:,} | {row['seconds']:,.0f} | {row['bases a second']:,.0f} | "
                f"{row['bigWig bytes'] / 1e6:.1f} | {peak_mb:,.0f} | {at_gt:.0%} |"
            )
    if row := held["steps"].get("variants"):
        lines += [
            "",
            f"dbSNP's variants of chr22: {row['variants']:,} alleles, {row['of unlike lengths']} of unlike "
            f"lengths, in {row['seconds']:,.0f} s. Left out: "
            + (", ".join(f"{n} {why}" for why, n in row["left out"].items()) or "none")
            + ". Most of a donor is lost at:",
            "",
            *(f"- chr22:{one}" for one in row["most of a donor lost"]),
        ]
    lines += ["", f"{held['processor']}, torch {held['torch']}, Python {held['python']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Every step that is named, or all that there is data for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--ecoli", type=Path)
    parser.add_argument("--bases", type=int, default=10_000_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"steps": {}}
    held |= {"command": "python -m benchmarks.scan_example --ecoli MG1655.fasta", **conditions()}
    for name in given.steps or ["chr22", "variants", "yeast", *(["ecoli"] if given.ecoli else [])]:
        with tempfile.TemporaryDirectory() as folder:
            held["steps"][name] = step(name, Path(folder), given.ecoli, given.bases)
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")
        PAGE.write_text(page(held))


if __name__ == "__main__":
    main()
