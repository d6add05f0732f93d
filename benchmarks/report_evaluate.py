"""Puts the tables of dropout and of Quantus into docs/evaluate.md from the committed results.

python -m benchmarks.report_evaluate
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.marks import placed

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evaluate.md"
RESULTS = ROOT / "benchmarks" / "results"


def dropout(results: dict[str, Any]) -> str:
    """What single edits see of redundant copies, a row for each rate of dropout and number of copies."""
    heads = (
        "dropout p", "copies", "ρ", "single edits show", "copies they miss", "Shapley values miss",
        "AUPRC of edits", "loss",
    )  # fmt: skip
    names = ("rho", "shown", "missed_by_edits", "missed_by_shapley", "single_edits", "loss")
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for where, of in results["median_least_most"].items():
        p, copies = (part.split("=")[1] for part in where.split())
        told = [_spread(of.get(name), name) for name in names]
        lines.append(f"| {' | '.join((p, copies, *told))} |")
    note = (
        f"Medians (least to most) of {results['seeds']} seeds. `python -m benchmarks.dropout` makes the numbers, "
        "`python -m benchmarks.report_evaluate` this table."
    )
    return "\n".join([*lines, "", note])


def _spread(of: list[float] | None, name: str) -> str:
    if of is None:
        return "–"
    form = "{:.4f}" if name == "loss" else "{:.2f}"
    middle, least, most = map(form.format, of)
    return f"{middle} ({least} to {most})"


def quantus(results: dict[str, Any]) -> str:
    """How many times as fast as Quantus, and what share of the time is the model's own."""
    heads = (
        "metric", "same definition", "answers of the model: ours, Quantus", "times as fast",
        "beyond the model's time", "as a whole call",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
    for name, row in results["metrics"].items():
        if "times" not in row:
            lines.append(f"| {name} | – | – | Quantus fails: {row['quantus_fails']} | – | – |")
            continue
        asked = f"{row['ours_answers']:,}, {row['quantus_answers']:,}"
        times = f"{row['times']:.1f} ({row['least']:.1f} to {row['most']:.1f})"
        beyond = f"{row['times_beyond_the_model']:.1f}" if row["ours_answers"] else "–"
        same = "yes" if row["same_definition"] else "no"
        lines.append(
            f"| {name} | {same} | {asked} | {times} | {beyond} | {row['times_of_the_call']:.1f} |"
        )
    return "\n".join(lines)


def filled(page: str) -> str:
    """The page with its tables between their marks made anew."""
    for name, make, stored in (
        ("dropout", dropout, "dropout.json"),
        ("quantus", quantus, "evaluate_quantus.json"),
    ):
        page = placed(page, name, make(json.loads((RESULTS / stored).read_text())))
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
