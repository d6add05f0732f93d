"""The worked example of docs/scan_example.md: chromosomes and dbSNP's variants with the shipped model.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scan_example [--ecoli MG1655.fasta] [--bases N] [STEP ...]

Steps: `chr22` (20-21 Mb of GRCh37 behind its gap), `variants` (the 3,502 of it), `yeast` (chromosome I), `ecoli`
(4.6 Mb). Each is scanned whole, or its first N bases, in a process of its own. Seconds are those of one core.
Written, step by step: benchmarks/results/scan_example.json, and from it docs/scan_example.md and pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import subprocess
import sys
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
from nucleoscope import Attribution
from nucleoscope.models import SpliceNet
from nucleoscope.plot import logo, new_figure, save_figure, track
from nucleoscope.scan import export
from nucleoscope.scan.letters import one_hot

RESULTS = Path(__file__).parent / "results" / "scan_example.json"
PAGE = Path(__file__).parents[1] / "docs" / "scan_example.md"
PICTURES = PAGE.with_suffix("")  # a folder
DONOR, AROUND, LENGTH = 2, 100, 401
STRONGEST = 100
UNITS = "donors"
SHOWN = 40  # bases on either side of what is drawn in letters
NAMES = {
    "chr22": "GRCh37 chr22, 20-21 Mb, behind its gap", "yeast": "yeast, chromosome I", "ecoli": "E. coli MG1655",
}  # fmt: skip


HEAD = """# A worked example

Made by `python -m benchmarks.scan_example`, which calls from Python what these commands do:

```bash
cat > sites.py <<'END'
from torch import nn
from nucleoscope.models import SpliceNet

def net():  # the probabilities of neither, acceptor and donor at every base
    return nn.Sequential(SpliceNet.pretrained(), nn.Softmax(1))
END
model="--model sites:net --genome chr22.fa"
nucleoscope scan $model --target 2 --out chr22 --bigwig
nucleoscope variants $model --vcf dbsnp.vcf --target 1 --target 2 --length 401 --around 100 \\
    --score gain --score loss --out scored
nucleoscope view chr22 --genome chr22.fa --region chr22_20M:700001-704000 --variants scored --out page.html
```

The model is the one that the demo explains, which sees 201 bases and learnt human splice sites. A score is what
the letter that is there does to the number of donors that the model expects (its probabilities, summed), against
the mean of all four. Seconds are those of one core on a machine others used, with the first call, which traces
the model (about 10 s); peaks are those of the process.

Of each genome as many bases were scanned as the table says: of chr22 those behind the gap of this stretch
(20,609,432 on), of the others from the beginning. `--bases` is an option of the benchmark alone: the first so
many of each.

| genome | bases scanned, of | s | bases a s | bigWig, MB | peak, MB | of the 100 strongest sites at a GT |
|---|---:|---:|---:|---:|---:|---:|"""


def net() -> torch.nn.Module:
    """Probabilities of neither, acceptor and donor at every base."""
    return torch.nn.Sequential(SpliceNet.pretrained(), torch.nn.Softmax(1)).eval()


def scanned(
    step: str, genome: Path, name: str, first: int, count: int, folder: Path
) -> dict[str, Any]:
    """Every substitution of a stretch: what it took, where its strongest sites lie, and a picture of it."""
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    last = min(first + count, len(sequence))
    begun = time.process_time()
    done = nucleoscope.scan(
        net(), genome, [f"{name}:{first + 1}-{last}"], folder / "scan", target=DONOR,
        coordinates="genome",
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert done.clean, str(done)
    (written,) = export(done, bigwig=True)
    most = peak()
    scores = np.asarray(zarr.open_group(done.store, mode="r")[f"chromosomes/{name}"][:])  # type: ignore[index,arg-type]
    own = np.abs(scores.sum(0))
    order = np.argsort(-np.nan_to_num(own))[:STRONGEST]
    at_gt = sum("GT" in sequence[max(at - 2, 0) : at + 3] for at in order)
    drawn(step, scores[:, first:last], first)
    return {
        "bases": last - first, "of": len(sequence) - first, "seconds": seconds,
        "bases a second": (last - first) / seconds, "bigWig bytes": written.stat().st_size, "peak bytes": most,
        "strongest at a GT": at_gt / len(order),
    }  # fmt: skip


def drawn(step: str, scores: Any, first: int) -> None:
    """The whole stretch as a track, and its strongest site in letters."""
    held = Attribution(
        torch.from_numpy(np.nan_to_num(scores))[None], ("sequence", "letter", "site"), "ACGT", 0, torch.zeros(1, 1)
    )  # fmt: skip
    wide, at = scores.shape[-1], int(np.nanargmax(scores.sum(0)))
    figure, (above, below) = new_figure(12, 4.6, 2)
    track(held, 0, wide, origin=first + 1, title=NAMES[step], axes=above, place="", units=UNITS)
    low, high = max(at - SHOWN, 0), min(at + SHOWN, wide)
    logo(
        held, low, high, origin=first + 1, title="about its strongest site", axes=below, units=UNITS
    )
    PICTURES.mkdir(exist_ok=True)
    save_figure(figure, PICTURES / f"{step}.png", dpi=90)


def compared(sequence: str, row: dict[str, Any]) -> None:
    """What holds up the donor that a variant takes away: the same bases without it and with it."""
    start, ref, alt = row["position"] - 1, row["ref"], row["alt"]
    low, at = start - LENGTH // 2, LENGTH // 2
    held = sequence[low : low + LENGTH]
    both = [held, (held[:at] + alt + held[at + len(ref) :])[:LENGTH]]
    both[1] = both[1].ljust(LENGTH, "N")
    found = nucleoscope.saturation_mutagenesis(net(), one_hot(both), target=DONOR)
    found = dataclasses.replace(found, scores=found.scores * LENGTH)  # summed, as a scan has them
    figure, panels = new_figure(12, 4.6, 2)
    for sequence_, (axes, title) in enumerate(
        zip(panels, ("as in the genome", f"{ref}>{alt}"), strict=True)
    ):
        logo(
            found, at - SHOWN, at + SHOWN, sequence=sequence_, origin=20_000_001 + low, title=title, axes=axes,
            units=UNITS,
        )  # fmt: skip
    top = max(abs(end) for axes in panels for end in axes.get_ylim())
    for axes in panels:
        axes.set_ylim(-top, top)
    PICTURES.mkdir(exist_ok=True)
    save_figure(figure, PICTURES / "variants.png", dpi=90)


def scored(folder: Path, count: int) -> dict[str, Any]:
    """Variants of chr22: what they took, and those that take away most of a donor."""
    genome = unpacked(folder)
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    vcf = snps(sequence, folder / "dbsnp.vcf", 0, count)
    begun = time.process_time()
    done = nucleoscope.variants(
        net(), genome, vcf, folder / "scored", length=LENGTH, around=AROUND, target=[1, DONOR],
        scores=("gain", "loss"),
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert not done.failed, str(done)
    rows = pyarrow.parquet.read_table(folder / "scored" / "variants.parquet").to_pylist()
    top = sorted(rows, key=lambda row: -row["loss_1"])[:3]
    compared(sequence, top[0])
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
        return scanned(name, unpacked(folder), NAME, NO_N[0], count, folder)
    if name == "ecoli":
        assert ecoli is not None
        return scanned(name, ecoli, ecoli.read_text()[1:200].split()[0], 0, count, folder)
    genome = folder / "yeast.fa"
    text = gzip.decompress((DATA / "seq/yeast_S288C_chr1.fa.gz").read_bytes()).decode()
    genome.write_text(f">chrI\n{text.partition(chr(10))[2]}")
    return scanned(name, genome, "chrI", 0, count, folder)


def page(held: dict[str, Any]) -> str:
    """The page, from what was measured."""
    lines = [HEAD]
    for key, told in NAMES.items():
        if row := held["steps"].get(key):
            peak_mb, at_gt = row["peak bytes"] / 1e6, row["strongest at a GT"]
            lines.append(
                f"| {told} | {row['bases']:,}, {row['of']:,} | {row['seconds']:,.0f} | "
                f"{row['bases a second']:,.0f} | {row['bigWig bytes'] / 1e6:.1f} | {peak_mb:,.0f} | {at_gt:.0%} |"
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
    told = {
        **NAMES,
        "variants": "the first of these variants: the donor's letters without it and with it",
    }
    for key, words in told.items():
        if key in held["steps"]:
            lines += ["", f"![{words}]({PICTURES.name}/{key}.png)"]
    lines += ["", *(f"- `{row['command']}`" for row in held["steps"].values())]
    lines += ["", f"{held['processor']}, torch {held['torch']}, Python {held['python']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Every step that is named, or all that there is data for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--ecoli", type=Path)
    parser.add_argument("--bases", type=int, default=10_000_000)
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.here:
        with tempfile.TemporaryDirectory() as folder:
            json.dump(step(given.steps[0], Path(folder), given.ecoli, given.bases), sys.stdout)
        return
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"steps": {}}
    held |= conditions()
    for name in given.steps or ["chr22", "variants", "yeast", *(["ecoli"] if given.ecoli else [])]:
        asked = [name, "--bases", str(given.bases)]
        more = ["--here", *(["--ecoli", str(given.ecoli)] if given.ecoli else [])]
        module = ["-m", "benchmarks.scan_example"]
        made = subprocess.run(
            [sys.executable, *module, *asked, *more], check=True, stdout=subprocess.PIPE
        ).stdout
        told = " ".join(
            ["python", *module, *asked, *(["--ecoli MG1655.fasta"] * (name == "ecoli"))]
        )
        held["steps"][name] = json.loads(made) | {"command": told}
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")
        PAGE.write_text(page(held))


if __name__ == "__main__":
    main()
