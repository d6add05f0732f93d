"""Writes README's table from the committed results: `python benchmarks/report.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "saturation_mutagenesis.json"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def best(medians: dict[str, float], side: str) -> tuple[str, float]:
    """The fastest variant of a side, by its median."""
    return min(((k, v) for k, v in medians.items() if k.startswith(side)), key=lambda kv: kv[1])


def row(result: dict[str, Any]) -> str:
    """One network's line: medians, ratios, error."""
    info, own = result["extra_info"], result["stats"]
    spread = f"{own['median']:.2f} s ({own['min']:.2f}–{own['max']:.2f})"
    peer, loop = (best(info["medians"], side) for side in ("tangermeme", "plain loop"))
    cells = [
        result["params"]["name"], f"{info['edits']:,}", spread,
        f"{peer[1]:.1f} s, **{peer[1] / own['median']:.1f}x**",
        f"{loop[1]:.1f} s, **{loop[1] / own['median']:.1f}x**",
        f"{info['error']['ours']:.0e}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, Any]) -> str:
    """The whole table with the conditions beneath it."""
    info = results["benchmarks"][0]["extra_info"]
    missing = {"processor", "threads", "torch"} - set(info)
    if missing:
        raise SystemExit(f"the results do not say what they ran on: {sorted(missing)} are missing")
    head = [
        "| all substitutions of | edits | nucleoscope | tangermeme 1.6 `fast=True` | plain loop | error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    note = (
        f"Medians (least–most) of rounds with the sides in turn, peers at their best batch, the loop sampled "
        f"and scaled; error against float64 relative to the largest effect. {info['processor']} "
        f"({info['instruction_set']}), "
        f"{info['threads']} threads, torch {info['torch']}, Python {info['python']}. "
        f"`pytest benchmarks/methods --benchmark-only --benchmark-json={RESULTS.relative_to(ROOT)}`"
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
