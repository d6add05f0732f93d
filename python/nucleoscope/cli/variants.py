"""`nucleoscope variants`: a genome, a VCF and your model in; the VCF with scores, and a table, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.loading import load_models
from nucleoscope.cli.requests import asked, of_edits, of_models, of_strands
from nucleoscope.cli.running import EPILOG, GENOME, end, note, of_run, shown
from nucleoscope.scan import estimate_variants

SCORES = ("difference", "log_ratio", "gain", "loss", "js", "gene")


@click.command(epilog=EPILOG)
@of_models
@GENOME
@click.option("--vcf", type=options.EXISTING, required=True, help="VCF, plain or bgzipped, or BCF.")
@click.option(
    "--length", type=click.IntRange(min=1), required=True,
    help="Bases of a window, in whose middle a variant stands: what the model takes.",
)  # fmt: skip
@click.option(
    "--score", "scores", type=click.Choice(SCORES), multiple=True, default=("difference",),
    show_default=True,
    help="Repeat for several. gain, loss, js and gene look at positions of the output: give --around.",
)  # fmt: skip
@click.option(
    "--around", type=click.IntRange(min=0),
    help="Look at the output's positions within so many bases of a variant, and not at one number.",
)  # fmt: skip
@click.option(
    "--bin", type=click.IntRange(min=1), default=1, show_default=True,
    help="Bases of one position of the output, whose positions lie in the middle of the window.",
)  # fmt: skip
@click.option(
    "--pseudocount", type=click.FloatRange(min=0), default=1.0, show_default=True,
    help="For log_ratio: added to ALT and to REF.",
)  # fmt: skip
@click.option(
    "--logits", is_flag=True, help="For js: the output is what a softmax over positions takes."
)
@click.option(
    "--genes", type=options.EXISTING,
    help="For gene: exons as BED, a line each, with the gene's name in the fourth column.",
)  # fmt: skip
@of_strands
@of_edits
@of_run
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Print what it would take, and stop."
)
def variants(
    models: tuple[str, ...], weights: tuple[Path, ...], trust: bool, device: torch.device, genome: Path, vcf: Path,
    out: Path | None, targets: tuple[options.Pick, ...],
    reverse_targets: tuple[options.Pick, ...], dask: bool, scheduler: str | None,
    progress: str | None, traceback: bool, shard: tuple[int, int], only_estimate: bool, resume: bool,
    retries: int, **common: Any,
) -> None:  # fmt: skip
    """Score the variants of a VCF with your own model.

    OUT holds variants.vcf.gz, the VCF with the scores as INFO fields, variants.parquet, and rejects.tsv: what
    could not be scored, and why. Killed at any point, a run resumes, and its files are the same byte for byte.
    """
    if out is None and not only_estimate:
        raise click.UsageError("give --out FOLDER, or --estimate")
    common |= {"target": asked(targets), "device": str(device), "dask": scheduler or dask}
    common["reverse_target"] = asked(reverse_targets)
    with one_message(traceback, "\n(--traceback shows where.)"), plain_warnings():
        net = load_models(models, weights, trust, device)
        if only_estimate:
            click.echo(estimate_variants(net, genome, vcf, **common))
            return
        with prompt_interrupt():  # at any point: what is done is kept
            done = nucleoscope.variants(
                net, genome, vcf, out or "", resume=resume, shard=shard, retries=retries,
                progress=shown(progress), note=note, **common,
            )  # fmt: skip
        end(done, whole=shard == (1, 1))
