"""Writes docs/benchmarks_edits.md from the committed results of edits, after putting newly timed ones among them.

python -m pytest benchmarks/methods/bench_edits.py --benchmark-only -k "variants and BPNet" --benchmark-json=new.json
python -m benchmarks.report_edits new.json
"""  # noqa: E501 - a command stays in one line

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import place

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "edits.json"
PAGE = ROOT / "docs" / "benchmarks_edits.md"
ASKED = {
    "variants": "1,000 random substitutions of single bases on 200 sequences in one call, `variant_effect`",
    "pairs": "all pairs of substitutions of 100 bases, `pairwise`",
}
BESIDE = {"tangermeme": "tangermeme's `substitution_effect`", "loop": "plain double loop (sampled)"}


def merged(results: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The results with those newly timed in the place of older ones."""
    for result in new["benchmarks"]:
        result["commit"] = new["commit_info"]["id"]
    every = [*results.get("benchmarks", []), *new["benchmarks"]]
    found = {(b["group"], b["params"]["name"]): b for b in every}
    return {"benchmarks": [found[key] for key in sorted(found)]}


def row(result: dict[str, Any]) -> str:
    """One result's line: seconds of both sides, least to most, and the median of the rounds' ratios."""
    info = result["extra_info"]
    beside = next(name for name in BESIDE if name in info)
    spent = [f"{min(info[side]):.1f}–{max(info[side]):.1f} s" for side in ("ours", beside)]
    cells = [
        ASKED[result["group"]], result["params"]["name"], spent[0], f"{BESIDE[beside]}: {spent[1]}",
        f"{info['arithmetic']:.0f}x", f"**{info['factor']:.1f}x**",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    head = [
        "# Edits: time",
        "",
        "| asked | network | nucleoscope | beside it | multiply-adds | time |",
        "|---|---|---:|---:|---:|---:|",
    ]
    places = dict.fromkeys(place(result) for result in results["benchmarks"])
    note = (
        "Seconds of the processor on one thread, sides in turn, least to most of the rounds; the last column is "
        "the median of the rounds' ratios, the one before it how many times fewer multiply-adds are made. "
        "Answers were held to float64 before. The double loop is timed on 48 pairs in batches of 32 and scaled to "
        "all pairs. Five variants on a sequence are ten forwards there and one here, so that ten times is what "
        "forwards alone could save, were windows free; what goes beyond the multiply-adds is a faster "
        "convolution. "
        "Random weights. " + "; ".join(places) + "."
    )
    return "\n".join([*head, *map(row, results["benchmarks"]), "", note, ""])


def main() -> None:
    """Put the given results among those committed, and write the page."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for path in sys.argv[1:]:
        results = merged(results, json.loads(Path(path).read_text()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
