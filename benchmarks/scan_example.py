"""The worked example of docs/scan_example.md: chromosomes and dbSNP's variants with the shipped model.

    NUCLEOSCOPE_DATA=... python -m benchmarks.scan_example [--ecoli MG1655.fasta] [--bases N]
        [--ci-spliceai cispliceai-1.2.2-py3-none-any.whl] [--variants N] [STEP ...]

Steps: `chr22` (20-21 Mb of GRCh37), `variants` (the 3,502 of it), `yeast` (chromosome I), `ecoli` (4.6 Mb),
`ci_spliceai` (the variants by CI-SpliceAI's five networks; `pip download --no-deps cispliceai==1.2.2`). Each is
scanned whole, or its first N bases, in a process of its own. Seconds are those of one core. Written, step by step:
benchmarks/results/scan_example.json, and from it docs/scan_example.md and pictures.
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
from scipy.stats import spearmanr

import nucleoscope
from benchmarks.machine import conditions
from benchmarks.scan_example_page import NAMES, NEAR, PAGE, PICTURES, page
from benchmarks.scan_variants import LENGTH as WIDE
from benchmarks.scan_variants import snps, two_passes
from benchmarks.scans import DATA, NAME, peak, unpacked
from nucleoscope import Attribution
from nucleoscope.models import SpliceNet, load_ci_spliceai
from nucleoscope.plot import logo, new_figure, save_figure, track
from nucleoscope.scan import export
from nucleoscope.scan.letters import one_hot

RESULTS = Path(__file__).parent / "results" / "scan_example.json"
DONOR, AROUND, LENGTH = 2, 100, 401
STRONGEST = 100
PART = 360_000  # where a part of them begins: the shipped model's strongest is among the first
HELD = 3  # variants by CI-SpliceAI that are held to two passes of its networks
EVERY = 3502  # of dbSNP in the stretch
UNITS = "donors"
SHOWN = 40  # bases on either side of what is drawn in letters


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
    written, _ = export(done, bigwig=True)
    most = peak()
    scores = np.asarray(zarr.open_group(done.store, mode="r")[f"chromosomes/{name}"][:])  # type: ignore[index,arg-type]
    own = np.abs(scores.sum(0))
    order = np.argsort(-np.nan_to_num(own))[:STRONGEST]
    at_gt = sum("GT" in sequence[max(at - 2, 0) : at + 3] for at in order)
    drawn(step, scores[:, first:last], first)
    known = last - first - sequence.count("N", first, last)
    return {
        "first": first + 1, "bases": known, "of": len(sequence) - sequence.count("N"), "seconds": seconds,
        "bases a second": known / seconds, "bigWig bytes": written.stat().st_size, "peak bytes": most,
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
    compared(sequence, max(rows, key=lambda row: row["loss_1"]))
    return {
        "variants": len(rows), "of unlike lengths": sum(len(r["ref"]) != len(r["alt"]) for r in rows),
        "seconds": seconds, "left out": done.rejects,
        "most of a donor lost": strongest(rows),
    }  # fmt: skip


def by_ci_splice_ai(folder: Path, wheel: Path, count: int) -> dict[str, Any]:
    """The variants, or so many neighbouring ones, by the mean of CI-SpliceAI's networks and by the shipped one."""
    genome = unpacked(folder)
    sequence = "".join(line.strip() for line in genome.read_text().splitlines()[1:]).upper()
    vcf = snps(sequence, folder / "dbsnp.vcf", 0 if count >= EVERY else PART, count)
    given: dict[str, Any] = {"target": [1, DONOR], "scores": ("gain", "loss"), "around": NEAR}
    nets = load_ci_spliceai(wheel)
    begun = time.process_time()
    done = nucleoscope.variants(nets, genome, vcf, folder / "c", length=WIDE, **given)
    seconds = time.process_time() - begun
    assert not done.failed, str(done)
    nucleoscope.variants(net(), genome, vcf, folder / "s", length=LENGTH, **given)
    found, shipped = (
        pyarrow.parquet.read_table(folder / each / "variants.parquet").to_pylist() for each in "cs"
    )
    assert [row["position"] for row in found] == [row["position"] for row in shipped]
    for row in sorted(found, key=lambda row: -max(row["loss_0"], row["loss_1"]))[:HELD]:
        wanted = two_passes(lambda x: torch.stack([one(x) for one in nets]).mean(0), sequence, row)
        for score in ("gain", "loss"):
            for at in (0, 1):
                assert abs(row[f"{score}_{at}"] - wanted[f"{score}_{at}"]) < 1e-4, row
    either = [[max(row["loss_0"], row["loss_1"]) for row in rows] for rows in (found, shipped)]
    return {
        "variants": len(found), "seconds": seconds, "left out": done.rejects, "peak bytes": peak(),
        "Spearman with the shipped model": float(spearmanr(*either).statistic),
        "over 0.2": sum(each >= 0.2 for each in either[0]),
        "most of a donor lost": strongest(found),
    }  # fmt: skip


def strongest(rows: list[dict[str, Any]]) -> list[str]:
    """The three variants that take away most of a donor."""
    return [
        f"{20_000_000 + r['position']:,} {r['ref']}>{r['alt']}: {r['loss_1']:.2f} at {r['loss_at_1']:+d}"
        for r in sorted(rows, key=lambda row: -row["loss_1"])[:3]
    ]


def step(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One step of the example."""
    count, ecoli = given.bases, given.ecoli
    if name == "variants":
        return scored(folder, EVERY)
    if name == "ci_spliceai":
        assert given.ci_spliceai is not None, "--ci-spliceai names the wheel"
        return by_ci_splice_ai(folder, given.ci_spliceai, given.variants)
    if name == "chr22":
        return scanned(name, unpacked(folder), NAME, 0, count, folder)
    if name == "ecoli":
        assert ecoli is not None
        return scanned(name, ecoli, ecoli.read_text()[1:200].split()[0], 0, count, folder)
    genome = folder / "yeast.fa"
    text = gzip.decompress((DATA / "seq/yeast_S288C_chr1.fa.gz").read_bytes()).decode()
    genome.write_text(f">chrI\n{text.partition(chr(10))[2]}")
    return scanned(name, genome, "chrI", 0, count, folder)


def main() -> None:
    """Every step that is named, or all that there is data for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--ecoli", type=Path)
    parser.add_argument("--bases", type=int, default=10_000_000)
    parser.add_argument("--ci-spliceai", type=Path)
    parser.add_argument("--variants", type=int, default=EVERY)
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.here:
        with tempfile.TemporaryDirectory() as folder:
            json.dump(step(given.steps[0], Path(folder), given), sys.stdout)
        return
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"steps": {}}
    held |= conditions()
    there = {"ecoli": given.ecoli, "ci_spliceai": given.ci_spliceai}
    for name in given.steps or ["chr22", "variants", "yeast", *(n for n in there if there[n])]:
        asked = [name, "--bases", str(given.bases)]
        if name == "ci_spliceai":
            asked = [name, "--variants", str(given.variants)]
        file = there.get(name)
        option = ["--" + name.replace("_", "-")] * (file is not None)
        more = ["--here", *option, *([str(file)] if file else [])]
        module = ["-m", "benchmarks.scan_example"]
        made = subprocess.run(
            [sys.executable, *module, *asked, *more], check=True, stdout=subprocess.PIPE
        ).stdout
        told = " ".join(["python", *module, *asked, *option, *([file.name] if file else [])])
        held["steps"][name] = json.loads(made) | {"command": told}
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")
        PAGE.write_text(page(held))


if __name__ == "__main__":
    main()
