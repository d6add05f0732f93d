"""Writes README's table from the committed results: `python benchmarks/report.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "saturation_mutagenesis.json"
SIDES = (
    "nucleoscope",
    "without verification",
    "tangermeme 1.6 `fast=True`",
    "`fast=False`",
    "plain loop",
)
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def best(medians: dict[str, float], side: str) -> tuple[str, float]:
    """The fastest variant of a side, by its median."""
    return min(((k, v) for k, v in medians.items() if k.startswith(side)), key=lambda kv: kv[1])


def row(result: dict[str, Any]) -> str:
    """One network's line: medians, ratios, efficiency, error."""
    info, own = result["extra_info"], result["stats"]
    median = own["median"]

    def against(side: str) -> str:
        if not any(k.startswith(side) for k in info["medians"]):
            return "-"
        theirs = best(info["medians"], side)[1]
        return f"{theirs:.1f} s, **{theirs / median:.1f}x**"

    counted, bare = info["multiply_adds"], info["without_verification"]
    share = f"{2 * counted / bare / info['sgemm']:.0%}" if counted else "-"
    cells = [
        result["params"]["name"], f"{info['edits']:,}",
        f"{median:.2f} s ({own['min']:.2f}–{own['max']:.2f})", f"{bare:.2f} s",
        against("tangermeme fast=True"), against("tangermeme fast=False"), against("plain loop"),
        share, f"{info['error']['ours']:.1e}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, Any]) -> str:
    """The whole table with the conditions beneath it."""
    info = results["benchmarks"][0]["extra_info"]
    missing = {"processor", "threads", "torch"} - set(info)
    if missing:
        raise SystemExit(f"the results do not say what they ran on: {sorted(missing)} are missing")
    head = [
        f"| substitutions of | edits | {' | '.join(SIDES)} | of sgemm | error |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    note = (
        "Medians (least–most) of rounds with the sides in turn, peers at their best batch, the loop (and the "
        "peer, where not all sites are edited) sampled and scaled; of sgemm: structural multiply-adds (exact "
        "zeros counted) a second, without verification, over the rate of a 2,048 cubed product in the same "
        "run; error against float64, relative to the largest effect; random weights. "
        f"{info['processor']} ({info['instruction_set']}), "
        f"{info['threads']} threads, torch {info['torch']}, Python {info['python']}. "
        f"`pytest benchmarks/methods --benchmark-only --benchmark-json={RESULTS.relative_to(ROOT)}`, "
        f"{len(results['benchmarks'])} of its cases"
    )
    return "\n".join([*head, *map(row, results["benchmarks"]), "", note])


def main() -> None:
    """Replace what stands between README's marks."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = table(json.loads(RESULTS.read_text()))
    readme.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
