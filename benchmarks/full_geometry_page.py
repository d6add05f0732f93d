"""docs/full_geometry.md, from benchmarks/results/full_geometry.json; `benchmarks.full_geometry` writes both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "full_geometry.md"
HEAD = """# Every system at its published size

Written by `{command}`, on {processor} ({cores} cores, torch {torch}, Python {python};
other programs ran beside it), with AVX2, or where a cell is marked ᵃ with AVX-512.

Weights are drawn at random. *Mutagenesis* is of 4 sites (12 substitutions), a *linear trunk* of 256 (768), three
of them exact, where attention makes a trunk; *IG* of 8 steps, *DeepLIFT* of one baseline, *rollout* of all layers;
networks of terms have every term and every input *knocked out*. A cell is processor seconds of the first call,
which traces and checks, those of a second one behind a comma where there was one, and the peak of the process of
what the plan gives beforehand. What is *refused* is so in a sentence, which is in
[full_geometry.json](../benchmarks/results/full_geometry.json), as is what a screen says of its exact edits (on
C.Origami's random weights the target moves by rounding alone, and the screen fails its check); what is *open*, or
–, though it could be asked, was not run, or not to its end.

"""
METHODS = (
    "mutagenesis",
    "linear trunk",
    "knock-outs",
    "integrated gradients",
    "DeepLIFT",
    "rollout",
)


def cell(made: dict[str, Any] | None) -> str:
    """What became of a call."""
    if made is None or "none" in made:
        return "–"
    if "open" in made:
        return f"open: {made['open']}"
    if "does_not_fit" in made:
        return f"does not fit: {made['does_not_fit']}"
    if "refused" in made:
        return "refused"
    again = f", {_rounded(made['processor_again'])} s" if "processor_again" in made else ""
    wide = "ᵃ" if made["instruction_set"].startswith("v4") else ""
    memory = f"{made['peak_gb']:.2f} of {made['planned_gb']:.2f} GB"
    return f"{_rounded(made['processor_seconds'])} s{again}{wide}; {memory}"


def _rounded(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 1000 else f"{seconds:.3g}"


def write_page(result: dict[str, Any]) -> None:
    """The page of these results."""
    lines = [
        ("system", "bases", *METHODS),
        ("---", "---:", *["---"] * len(METHODS)),
        *(
            (name, f"{row['bases']:,}" if "bases" in row else "–", *(cell(row.get(m)) for m in METHODS))
            for name, row in result["systems"].items()
        ),
    ]  # fmt: skip
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    PAGE.write_text(HEAD.format(**result) + table)
