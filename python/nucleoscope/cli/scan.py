"""`nucleoscope scan`: a genome, regions and your model in; a folder of scores and tracks out."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.loading import load_model
from nucleoscope.cli.requests import asked, of_method, of_model
from nucleoscope.scan import Scan, estimate, export

SOME_LEFT_OUT = 3  # exit code: the run is over, and something was rejected or failed


def part(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, int]:  # noqa: ARG001
    """``3/16``: this process is the third of 16."""
    written = re.fullmatch(r"(\d+)/(\d+)", text)
    if not written or not 1 <= int(written[1]) <= int(written[2]):
        raise click.BadParameter(f"{text!r}: write i/n, such as 3/16, with i from 1 to n")
    return int(written[1]), int(written[2])


def bases(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:  # noqa: ARG001
    """``557:1557``: a half-open range."""
    written = re.fullmatch(r"(\d+):(\d+)", text or "0:0")
    if not written:
        raise click.BadParameter(f"{text!r}: write a:b, such as 557:1557")
    return (int(written[1]), int(written[2])) if text else None


@click.command(
    epilog="Exit codes: 0 all done, 3 done but something was rejected or failed, 1 an error, 130 "
    "interrupted. After the last two the same command with --resume goes on."
)
@of_model
@click.option(
    "--genome", type=options.EXISTING, required=True, help="FASTA, plain or bgzipped, or .2bit."
)
@click.option(
    "--bed", type=options.EXISTING, help="Regions: BED or narrowPeak; without it all of the genome."
)
@click.option(
    "--coordinates", type=click.Choice(["regions", "genome"]),
    help="A row of the store a region, or scores along chromosomes. Default: by --bed.",
)  # fmt: skip
@click.option(
    "--length", type=click.IntRange(min=1),
    help="Cut or extend every region to this length about its midpoint.",
)  # fmt: skip
@click.option(
    "--cell", type=click.IntRange(min=1), default=1 << 15, show_default=True,
    help="Along chromosomes: bases that one call reports.",
)  # fmt: skip
@click.option("--window", type=click.IntRange(min=1), help="For models that take one length: it.")
@click.option("--report", callback=bases, metavar="A:B", help="Which bases each window reports.")
@click.option("--skip-masked", is_flag=True, help="Leave lower-case bases without a score.")
@of_method
@click.option("--device", type=options.device, default="cpu", show_default=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="A new folder, or with --resume that of a scan to go on with.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where a scan with the same options stopped.")
@click.option(
    "--shard", default="1/1", callback=part, metavar="I/N",
    help="Do the I-th of N parts, as a member of an array job; `nucleoscope merge` when all are done.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of each worker. Default: cores, split."
)
@click.option("--dask", is_flag=True, help="Workers by a Dask cluster on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="The workers of this Dask scheduler.")
@click.option("--retries", type=click.IntRange(min=0), default=2, show_default=True)
@click.option("--bigwig", is_flag=True, help="Write scores.bw too, a track a target.")
@click.option("--parquet", is_flag=True, help="Write scores.parquet too, a row a base.")
@click.option("--npz", is_flag=True, help="Write scores.npz too, which fits into memory.")
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Print what it would take, and stop."
)
@click.option(
    "--progress", type=click.Choice(["bar", "json", "none"]),
    help="On stderr. Default: a bar where a terminal shows it.",
)  # fmt: skip
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def scan(
    model: str, weights: Path | None, trust: bool, device: torch.device, genome: Path, bed: Path | None,
    out: Path | None, targets: tuple[options.Pick, ...], dask: bool, scheduler: str | None,
    bigwig: bool, parquet: bool, npz: bool, only_estimate: bool, progress: str | None, traceback: bool,
    resume: bool, shard: tuple[int, int], retries: int, **common: Any,
) -> None:  # fmt: skip
    """Score regions, or a whole genome, with your own model.

    OUT holds a manifest, a checkpoint for every shard that is done, rejects.tsv, and at the end
    scores.zarr. Killed at any point, a scan resumes, and its store is the same byte for byte.
    """
    if out is None and not only_estimate:
        raise click.UsageError("give --out FOLDER, or --estimate")
    common |= {"target": asked(targets), "device": str(device), "dask": scheduler or dask}
    with one_message(traceback, "\n(--traceback shows where.)"), plain_warnings():
        net = load_model(model, weights, trust, device)
        if only_estimate:
            click.echo(estimate(net, genome, bed, **common))
            return
        with prompt_interrupt():  # at any point: what is done is kept
            done = nucleoscope.scan(
                net, genome, bed, out or "", resume=resume, shard=shard, retries=retries,
                progress=progress or ("bar" if sys.stderr.isatty() else "none"),
                note=lambda text: click.echo(f"Note: {text}", err=True), **common,
            )  # fmt: skip
        if done.store:
            export(done, bigwig=bigwig, parquet=parquet, npz=npz)
        end(done, whole=shard == (1, 1))


def end(done: Scan, whole: bool = True) -> None:
    """Say how a scan stands, and end with the exit code that says so too."""
    click.echo(str(done))
    if done.rejects or done.failed or (whole and not done.store):
        raise click.exceptions.Exit(SOME_LEFT_OUT)
