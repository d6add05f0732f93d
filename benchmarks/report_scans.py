"""Puts what scans take into docs/scan.md from the committed results.

python -m benchmarks.report_scans
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.marks import placed

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scan.md"
RESULTS = ROOT / "benchmarks" / "results"
GAP = 100_000  # of the stretch of chr22 are N, where nothing is substituted


def scanned(name: str, of: dict[str, Any]) -> list[str]:
    """A row of a stretch that was scanned."""
    net = "a net of one layer" if name.startswith("light") else "the shipped net"
    where = "chr22" if name.startswith("chr22") else "E. coli"
    bases = of["bases"] - (GAP if name == "chr22:whole" else 0)
    return [
        f"{bases:,} bases of {where}, {net}", f"{bases / of['seconds']:,.0f}",
        f"{1e6 * of['seconds'] / bases:.1f}", f"{of['peak bytes'] / 1e6:,.0f} MB",
    ]  # fmt: skip


def beside(cases: dict[str, Any]) -> list[str]:
    """What shards cost that is no work, and what a second worker is worth."""
    lines, share = [], "of a shard's work"
    if of := cases.get("scheduling"):
        told = " and ".join(
            f"{1e3 * held['seconds a shard']:.0f} ms ({held[share]:.3%} of its work by the shipped net) by {name}"
            for name, held in (("processes", of["processes"]), ("Dask", of["dask"]))
        )
        lines.append(f"- Scheduling a shard of 131,072 bases takes {told}.")
    if of := cases.get("workers"):
        one, two = (statistics.median(of["seconds a shard"][count]) for count in ("1", "2"))
        lines.append(
            f"- Two workers of one thread each need {two:.2f} s for a shard of 8,192 bases where one needs "
            f"{one:.2f} s, by the clock, in turn: **{of['factor']:.2f}x**."
        )
    return lines


def table(scans: dict[str, Any], variants: dict[str, Any]) -> str:
    """Stretches, and below them variants and what is not the method's."""
    cases = scans["cases"]
    heads = ["all substitutions of", "bases a second", "µs a base", "peak memory"]
    rows = [heads, ["---", *["---:"] * 3]]
    rows += [scanned(name, of) for name, of in cases.items() if "bases" in of]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.append("")
    if "bookkeeping" in cases:
        lines.append(
            f"- Reading, writing and bookkeeping are {cases['bookkeeping']['beside it']:.1%} of a scan."
        )
    lines += beside(cases)
    for count, of in variants["counts"].items():
        least, most = of["spread of two passes"]
        first = of["factor with the first call"]
        lines.append(
            f"- {int(count):,} variants of dbSNP by a SpliceAI-10k shape: {of['seconds a variant']:.3f} s each, "
            f"**{of['factor']:.1f}x** two passes each ({first:.1f}x with the first call, which traces the "
            f"model). Two passes take {of['two passes, seconds a variant']:.2f} s ({least:.2f} to {most:.2f}) for "
            f"one of {of['two passes of']}, half of them insertions or deletions; there the largest difference is "
            f"{of['largest difference']:.0e}."
        )
    lines += [
        "",
        (
            f"Seconds of one core of an {scans['processor']} ({scans['instruction_set']}), torch "
            f"{scans['torch']}; a base has three substitutions. `python -m benchmarks.scans`, "
            "`python -m benchmarks.scan_variants`, and "
            "`python -m benchmarks.report_scans` for this table."
        ),
    ]
    return "\n".join(lines)


def filled(page: str) -> str:
    """The page with its table between the marks made anew."""
    read = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("scans", "scan_variants")
    )
    return placed(page, "scans", table(*read))


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
