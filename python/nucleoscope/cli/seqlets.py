"""`nucleoscope seqlets`: scores in, a BED file or table of the stretches that stand out."""

from __future__ import annotations

from pathlib import Path

import click

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message

TABLES = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".bed", *TABLES)


def _control(ctx: click.Context, param: click.Parameter, text: str) -> str:  # noqa: ARG001
    if text not in ("shuffled", "mirrored") and not Path(text).is_file():
        raise click.BadParameter(f"{text!r} is neither a file nor one of shuffled, mirrored")
    return text


@click.command()
@click.argument("attribution", metavar="ATTRIBUTION.npz", type=options.EXISTING)
@options.overwrite
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    callback=options.writable(*ENDINGS), help="The file to write: .bed, .csv or .tsv.",
)  # fmt: skip
@click.option(
    "--fdr", type=click.FloatRange(0, 1, min_open=True), default=0.1, show_default=True,
    help="The share of false calls to allow.",
)  # fmt: skip
@click.option(
    "--control", metavar="FILE.npz|mirrored|shuffled", default="mirrored", show_default=True,
    callback=_control, help="What false calls are counted on: scores of sequences without motifs, "
    "best of dinucleotide shuffles; else the negative of these scores, or their random order.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1, min_open=True),
    help="Call at this p-value instead; no rate is estimated.",
)  # fmt: skip
@click.option(
    "--sign", type=click.Choice(["positive", "negative", "both"]), default="positive",
    show_default=True, help="Stretches that add to the target, or take away.",
)  # fmt: skip
@click.option("--target", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--min-length", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--max-length", type=click.IntRange(min=1), default=25, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the random order.")
def seqlets(
    attribution: Path, out: Path, fdr: float, control: str, threshold: float | None, sign: str,
    target: int, min_length: int, max_length: int, seed: int,
) -> None:  # fmt: skip
    """Find the stretches whose scores stand out, at a false discovery rate.

    ATTRIBUTION.npz is what `nucleoscope mutagenesis` or Attribution.save wrote. The rate is as
    honest as the control: for numbers to publish, give the scores of shuffled sequences.
    """
    with one_message():
        scores = nucleoscope.Attribution.load(attribution)
        made = control in ("shuffled", "mirrored")
        found = nucleoscope.seqlets(
            scores, control=control if made else nucleoscope.Attribution.load(control), fdr=fdr,
            threshold=threshold, sign=sign, target=target, min_length=min_length,
            max_length=max_length, seed=seed,
        )  # fmt: skip
        if out.suffix in TABLES:
            found.to_csv(out, TABLES[out.suffix])
        else:
            found.to_bed(out)
    click.echo(f"{found!r}\nWritten: {out}")
