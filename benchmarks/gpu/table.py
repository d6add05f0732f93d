"""Results of a GPU as text: a table a job, with what it was made on."""

from __future__ import annotations

from typing import Any


def table(results: dict[str, Any]) -> str:
    """Every job's sides: time for the whole job, edits a second, ratio to the engine, error."""
    made = results["conditions"]
    what = made["gpu"] if made["device"] != "cpu" else made["processor"]
    versions = (
        f"{what}, {made['date']}, torch {made['torch']}, triton {made.get('triton')}, "
        f"nucleoscope {made.get('nucleoscope')}, tangermeme {made.get('tangermeme')}"
    )
    note = (
        "Seconds for the whole job: medians of warm rounds (CUDA events), samples scaled by their edits; error:"
        " largest difference from float64 over the largest effect, at some sites of one sequence; random weights."
    )
    lines = [versions, note]
    if results["tiny"] or made["device"] == "cpu":
        lines.insert(0, "TRIAL OF THE COMMAND: not a measurement of a GPU")
    for name, job in results["jobs"].items():
        lines += ["", f"{name}: {job['settings']['edits']:,} substitutions", *rows(job["sides"])]
    return "\n".join(lines) + "\n"


def rows(sides: dict[str, Any]) -> list[str]:
    """The sides of one job."""
    own = sides.get("ours fp32", {}).get("seconds")
    cells = [("", "seconds", "edits/s", "x ours fp32", "error", "sampled", "rounds")]
    for name, side in sides.items():
        if "not_measured" in side:
            cells.append((name, "-", "-", "-", "-", "-", side["not_measured"][:72]))
            continue
        ratio = f"{side['seconds'] / own:.2f}" if own else "-"
        error = "-" if side["error"] is None else f"{side['error']:.1e}"
        spread = f"{len(side['rounds'])}: {min(side['rounds']):.3g}–{max(side['rounds']):.3g} s"
        cells.append((
            name, f"{side['seconds']:.4g}", f"{side['edits_a_second']:,.0f}", ratio, error,
            f"{side['sampled']:.1%}", spread,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at in (0, 6) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
