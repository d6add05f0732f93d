"""Writes README's table from the committed results, after putting newly timed networks among them.

    python -m pytest benchmarks/methods --benchmark-only -k SpliceAI --benchmark-json=new.json
    python -m benchmarks.report new.json

A network that was timed before is replaced, whatever else was committed stays. Without a file only the table is
written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.marks import placed

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "saturation_mutagenesis.json"
SIDES = (
    "nucleoscope",
    "without verification",
    "the same in bf16, error",
    "tangermeme 1.6 `fast=True` (a further site)",
    "`fast=False`",
    "plain loop",
)
MARKS = "ᵃᵇᶜᵈ"


def best(medians: dict[str, float], side: str) -> tuple[str, float]:
    """The fastest variant of a side, by its median."""
    return min(((k, v) for k, v in medians.items() if k.startswith(side)), key=lambda kv: kv[1])


def merged(results: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The results with the newly timed networks in the place of their older times, in the order of CASES."""
    for result in new["benchmarks"]:
        result["commit"] = new["commit_info"]["id"]
    found = {b["params"]["name"]: b for b in [*results["benchmarks"], *new["benchmarks"]]}
    return results | {"benchmarks": [found[name] for name in CASES if name in found]}


def row(result: dict[str, Any], mark: str) -> str:
    """One network's line: medians, ratios, efficiency, error; the mark tells what it was timed on."""
    info, own = result["extra_info"], result["stats"]
    median = own["median"]

    def against(side: str) -> str:
        if not any(k.startswith(side) for k in info["medians"]):
            return "-"
        name, theirs = best(info["medians"], side)
        more = info.get("further_site", {})
        beyond = f" ({more[name] / more['nucleoscope']:.1f}x)" if name in more else ""
        return f"{theirs:.1f} s, **{theirs / median:.1f}x**{beyond}"

    brief = info.get("bf16_without_verification")
    counted, bare = info["multiply_adds"], info["without_verification"]
    share = f"{2 * counted / bare / info['sgemm']:.0%}" if counted else "-"
    cells = [
        result["params"]["name"] + mark, f"{info['edits']:,}",
        f"{median:.2f} s ({own['min']:.2f}–{own['max']:.2f})", f"{bare:.2f} s",
        f"{brief:.2f} s, **{bare / brief:.1f}x**, {info['error']['bf16']:.1e}" if brief else "-",
        against("tangermeme fast=True"), against("tangermeme fast=False"), against("plain loop"),
        share, f"{info['error']['ours']:.1e}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, Any]) -> str:
    """The whole table with the conditions beneath it."""
    places = [place(result) for result in results["benchmarks"]]
    several = sorted(set(places), key=places.index)
    marks = dict(zip(several, MARKS if len(several) > 1 else ("",), strict=False))
    rows = [row(r, marks[place]) for r, place in zip(results["benchmarks"], places, strict=True)]
    head = [
        f"| substitutions of | edits | {' | '.join(SIDES)} | of sgemm | error |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    note = (
        "Medians (least–most) of rounds with the sides in turn, peers at their best batch, the loop and "
        "`fast=False` sampled and scaled; a further site: what one site more costs there, over what it costs here "
        "(an export at each call, and a verification, are in neither); of sgemm: structural multiply-adds (exact "
        "zeros counted) a second, without verification, over the rate of a 2,048 cubed product in the same "
        "run; error against float64, relative to the largest effect; random weights. "
        + " ".join(f"{marks[place]} {place}.".lstrip() for place in several)
        + " One network: `python -m pytest benchmarks/methods --benchmark-only -k Beluga "
        "--benchmark-json=new.json`, and `python -m benchmarks.report new.json` puts it here."
    )
    return "\n".join([*head, *rows, "", note])


def place(result: dict[str, Any]) -> str:
    """What a network was timed on."""
    info = result["extra_info"]
    missing = {"processor", "instruction_set", "threads", "torch", "python"} - set(info)
    if missing:
        raise SystemExit(f"the results do not say what they ran on: {sorted(missing)} are missing")
    return (
        f"{info['processor']} ({info['instruction_set']}), {info['threads']} threads, "
        f"torch {info['torch']}, Python {info['python']}"
    )


def main() -> None:
    """Put the given results among those committed, and the table between README's marks."""
    results = json.loads(RESULTS.read_text())
    for path in sys.argv[1:]:
        results = merged(results, json.loads(Path(path).read_text()))
    RESULTS.write_text(json.dumps(results, indent=4) + "\n")
    readme = ROOT / "README.md"
    readme.write_text(placed(readme.read_text("utf-8"), "table", table(results)), "utf-8")


if __name__ == "__main__":
    main()
