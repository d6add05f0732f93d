"""`nucleoscope evaluate`: a suite of explainers, models and metrics, and its report."""

from __future__ import annotations

from pathlib import Path

import click

from nucleoscope.cli.failures import one_message
from nucleoscope.files import whole_file


@click.command()
@click.argument("suite", default="default")
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="A folder for report.html, results.csv and results.parquet, and for what is finished.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True,
    help="Processes that explain. An explainer that ends its own is recorded; with 0 it ends the run.",
)  # fmt: skip
@click.option(
    "--cards/--no-cards",
    default=True,
    show_default=True,
    help="The reliability card of each model, of its integrated gradients.",
)
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def evaluate(suite: str, out: Path, workers: int, cards: bool, traceback: bool) -> None:
    """Compare explainers on models, by metrics, and write a report.

    SUITE is a TOML file (see `nucleoscope.evaluate.suite.read_suite`), or one that comes with nucleoscope:
    "default", which is run without it, asks nine explainers about thirteen models; "distal" asks about motifs
    100 kb apart; "measured" and "donors" ask about trained models of what was measured, whose data
    NUCLEOSCOPE_DATA names. These names win: a file of the same name is ./default. A run that was stopped goes on
    where it was. Functions that a suite names are run.
    """
    with one_message(traceback, "\n(--traceback shows where.)"):
        from nucleoscope.evaluate.cards import cards as cards_of
        from nucleoscope.evaluate.run import run
        from nucleoscope.evaluate.suite import found_suite, read_suite
        from nucleoscope.evaluate.telling import told
        from nucleoscope.plot.report import report

        read = read_suite(found_suite(suite))
        out.mkdir(parents=True, exist_ok=True)
        found = run(
            read.explainers, read.models, read.data, read.metrics, seeds=read.seeds, workers=workers, out=out,
            progress=True,
        )  # fmt: skip
        found.write_csv(out / "results.csv")
        written = ["report.html", "results.csv"]
        try:
            found.write_parquet(out / "results.parquet")
            written.append("results.parquet")
        except ImportError as error:
            click.echo(f"No results.parquet: {error}", err=True)
        request = found.facts["request"]
        facts = {
            "seeds": ", ".join(map(str, read.seeds)),
            **request["versions"],
            **{name: found.facts[name] for name in ("python", "machine")},
            **{f"explainer {name}": said for name, said in request["explainers"].items()},
            **{f"metric {name}": said for name, said in request["metrics"].items()},
        }
        held = cards_of(read.models, read.data, progress=True) if cards else {}
        with whole_file(out / "report.html") as file:
            file.write(
                report(told(found, read.data, held, read.replicates), read.title, facts).encode()
            )
        failed = sum(each.status == "failed" for each in found.answers)
        click.echo(
            f"{len(found):,} values, {failed} of {len(found.answers)} answers failed: {out / 'report.html'}"
        )
        click.echo(f"Beside it: {', '.join(written[1:])}")
