"""The shipped suites, and their pages in docs/evaluate: `python -m benchmarks.evaluate_suite OUT --workers 2`.

OUT/NAME is the folder of `nucleoscope evaluate NAME`, in which a run that was stopped goes on. The report and the
means, as tables, are written there. `NAME.json` has the seconds, and how many cells were there before. Suites of
measured data are left out, and named, where NUCLEOSCOPE_DATA has not got them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.machine import conditions
from nucleoscope.evaluate.cards import cards
from nucleoscope.evaluate.judging import whose
from nucleoscope.evaluate.results import Results
from nucleoscope.evaluate.run import run
from nucleoscope.evaluate.suite import SHIPPED, Suite, read_suite, shipped_suite
from nucleoscope.evaluate.summary import Mean, agreement, agreement_between, means
from nucleoscope.evaluate.telling import told, unranked
from nucleoscope.plot.report import report

DOCS = Path(__file__).resolve().parents[1] / "docs" / "evaluate"
PAGES = {"default": "README.md"}  # of the others, their names
CHOSEN = (
    "exact agreement",
    "sensitivity-n",
    "infidelity R2",
    "ABPC",
    "AUPRC lift",
    "max-sensitivity (shift)",
)


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float) -> str:
    return "–" if value != value else f"{value:.3g}"


def with_interval(mean: Mean | None) -> str:
    if mean is None or mean.value != mean.value:
        return "failed" if mean is not None and mean.reason else "–"
    lacking = f", {mean.undefined} undefined" if mean.undefined else ""
    return f"{number(mean.value)} ({number(mean.low)} to {number(mean.high)}{lacking})"


def mean_ranks(found: list[Mean], suite: Suite, metrics: list[str]) -> str:
    rows = []
    for explainer in suite.explainers:
        row = [explainer]
        for metric in metrics:
            ranks = [
                m.rank
                for m in found
                if (m.explainer, m.metric) == (explainer, metric) and m.rank == m.rank
            ]
            row.append(f"{sum(ranks) / len(ranks):.1f}" if ranks else "–")
        rows.append(row)
    return table(["explainer", *metrics], rows)


def too_few(found: list[Mean]) -> str:
    rows = unranked(found)
    lines = "".join(f"- {metric} on {model}: {said}\n" for _, model, metric, _, said in rows)
    return f"Not in it, since nobody is ranked:\n\n{lines}" if rows else ""


def by_model(found: list[Mean], suite: Suite, metric: str) -> str:
    held = {(m.explainer, m.model): m for m in found if m.metric == metric}
    models = [
        name
        for name in suite.models
        if any(held.get((e, name)) and held[e, name].defined for e in suite.explainers)
    ]
    rows = [
        [e, *(with_interval(held.get((e, model))) for model in models)] for e in suite.explainers
    ]
    return table(["explainer", *models], rows)


def page(results: Results, suite: Suite, name: str) -> str:
    found, metrics = means(results), list(suite.metrics)
    chosen = [metric for metric in CHOSEN if metric in metrics]
    taus = [a for a in agreement(results) if a.tau == a.tau]
    steady = table(
        ["metric", "mean τ over models", "least", "lower end of its interval, least"],
        [[metric, number(sum(t) / len(t)), number(min(t)), number(min(a.low for a in taus if a.metric == metric))]
         for metric in metrics if (t := [a.tau for a in taus if a.metric == metric])],
    )  # fmt: skip
    networks = [
        part for name, models in suite.replicates.items() for part in between(results, name, models)
    ]
    failed = {
        (a.cell.explainer, a.cell.model, a.reason) for a in results.answers if a.status != "ok"
    }
    reasons = (
        "".join(f"- {e} on {m}: {why}\n" for e, m, why in sorted(failed)) or "Nothing failed.\n"
    )
    parts = [
        f"# {suite.title}\n",
        _about(results, suite, name),
        "## Models\n", qualities(results, suite),
        "## Mean rank over the models, 1 the best\n", mean_ranks(found, suite, metrics), too_few(found),
        *(part for metric in chosen for part in (f"## {metric}\n", by_model(found, suite, metric))),
        "## Would another seed rank alike?\n",
        "Kendall's τ-b of the explainers' ranking between seeds of all that is drawn.\n", steady, *networks,
        "## What failed\n", reasons,
    ]  # fmt: skip
    return "\n".join(parts)


def between(results: Results, name: str, models: tuple[str, ...]) -> tuple[str, ...]:
    """A heading, a sentence and a table."""
    said = [
        [a.metric, number(a.tau), f"{number(a.low)} to {number(a.high)}", str(a.explainers)]
        for a in agreement_between(results, models, name)
        if a.tau == a.tau
    ]
    about = (
        "Kendall's τ-b of the explainers' ranking between models that are one but for the seed they were trained\n"
        "with, the mean over pairs; 95 % intervals over sequences, resampled for each model.\n"
    )
    heading = f"## Would another of the {len(models)} {name} rank alike?\n"
    return heading, about, table(["metric", "τ", "interval", "explainers"], said)


def qualities(results: Results, suite: Suite) -> str:
    return table(
        ["model", "sequences", "quality"],
        [
            [name, str(len(each)), whose(results.quality.get(name), each)]
            for name, each in suite.data.items()
        ],
    )


def _about(results: Results, suite: Suite, name: str) -> str:
    counts = f"{len(suite.explainers)} explainers, {len(suite.models)} models, {len(suite.metrics)} metrics"
    seeds = ", ".join(map(str, suite.seeds))
    return (
        f"{counts}, seeds {seeds}: {len(results):,} values. Made by `python -m benchmarks.evaluate_suite`;\n"
        f"[{name}.html]({name}.html) shows all of it, sortable, with distributions and cases. Means over\n"
        "sequences and seeds; in brackets 95 % bootstrap intervals over sequences.\n"
    )


def made(name: str, out: Path, workers: int) -> None:
    """Run a suite, and write its pages."""
    suite, begin = read_suite(shipped_suite(name)), time.perf_counter()
    before = len(list(out.glob("cells/*.npz")))
    results = run(
        suite.explainers, suite.models, suite.data, suite.metrics, seeds=suite.seeds, workers=workers, out=out,
        progress=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    DOCS.mkdir(exist_ok=True)
    (DOCS / PAGES.get(name, f"{name}.md")).write_text(page(results, suite, name))
    facts = {"seeds": ", ".join(map(str, suite.seeds)), **results.facts["request"]["explainers"]}
    told_of = told(
        results, suite.data, cards(suite.models, suite.data, progress=True), suite.replicates
    )
    (DOCS / f"{name}.html").write_text(report(told_of, suite.title, facts))
    results.write_csv(out / "results.csv")
    kept = {
        "seconds": seconds,
        "workers": workers,
        "cells_before": before,
        "values": len(results),
        "conditions": conditions(),
    }
    (DOCS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{name}: {len(results):,} values in {seconds:.0f} s on {workers} workers")  # noqa: T201


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("out", type=Path)
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--suites", nargs="+", choices=SHIPPED, default=SHIPPED)
    given = asked.parse_args()
    for name in given.suites:
        try:
            made(name, given.out / name, given.workers)
        except ValueError as error:
            if "there is no such file" not in str(error) and "NUCLEOSCOPE_DATA" not in str(error):
                raise
            print(f"{name} is left out: {error}")  # noqa: T201


if __name__ == "__main__":
    main()
