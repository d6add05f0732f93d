"""`nucleoscope scan`: a genome, regions and your model in; a folder of scores and tracks out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli import settings as set_option
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.loading import load_models
from nucleoscope.cli.requests import (
    asked,
    of_method,
    of_models,
    of_shifts,
    of_strands,
    of_trunk,
)
from nucleoscope.cli.running import EPILOG, GENOME, end, note, of_run, shown
from nucleoscope.scan import estimate, export


def bases(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:  # noqa: ARG001
    """``557:1557``: a half-open range."""
    written = re.fullmatch(r"(\d+):(\d+)", text or "0:0")
    if not written:
        raise click.BadParameter(f"{text!r}: write a:b, such as 557:1557")
    return (int(written[1]), int(written[2])) if text else None


OPEN = (
    "device",
    "center",
    "hypothetical",
    "precision",
    "verify",
    "reverse_complement",
    "shifts",
    "trunk",
)


@click.command(epilog=EPILOG)
@of_models
@GENOME
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
@click.option(
    "--method", default="saturation_mutagenesis", show_default=True,
    help="Any that scores sites, by its Python name: saliency, integrated_gradients, ...",
)  # fmt: skip
@set_option.SET
@of_strands
@of_shifts
@of_trunk
@of_method
@of_run
@click.option(
    "--bigwig", is_flag=True, help="Write scores.bw too, a track a target, and what made it."
)
@click.option("--parquet", is_flag=True, help="Write scores.parquet too, a row a base.")
@click.option(
    "--anndata", is_flag=True, help="Write scores.h5ad too: a scan of regions as AnnData."
)
@click.option("--npz", is_flag=True, help="Write scores.npz too, which fits into memory.")
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Print what it would take, and stop."
)
def scan(
    models: tuple[str, ...], weights: tuple[Path, ...], trust: bool, device: torch.device, genome: Path,
    bed: Path | None, out: Path | None, targets: tuple[options.Pick, ...],
    reverse_targets: tuple[options.Pick, ...], dask: bool, scheduler: str | None,
    bigwig: bool, parquet: bool, npz: bool, anndata: bool, only_estimate: bool, progress: str | None,
    traceback: bool, resume: bool, shard: tuple[int, int], retries: int, settings: dict[str, Any], **common: Any,
) -> None:  # fmt: skip
    """Score regions, or a whole genome, with your own model.

    OUT holds a manifest, a checkpoint for every shard that is done, rejects.tsv, and at the end
    scores.zarr. Killed at any point, a scan resumes, and its store is the same byte for byte. With
    --trunk linear trunk.tsv says what the scores are off by, and `exact` in the store which are not.
    """
    if out is None and not only_estimate:
        raise click.UsageError("give --out FOLDER, or --estimate")
    common |= {"target": asked(targets), "device": str(device), "dask": scheduler or dask}
    common |= {"reverse_target": asked(reverse_targets)} if reverse_targets else {}
    if (
        common["method"] != "saturation_mutagenesis"
    ):  # it has defaults of its own, and may lack some
        source = click.get_current_context().get_parameter_source
        unsaid = {name for name in OPEN if source(name) is click.core.ParameterSource.DEFAULT}
        unsaid |= set() if targets else {"target"}
        common = {k: v for k, v in common.items() if k not in unsaid}
    if common["method"] in nucleoscope.__all__:  # else the scan says that there is none
        options = {each.name: each.opts[-1] for each in click.get_current_context().command.params}
        own = {"targets": "target", "reverse_targets": "reverse_target"}
        options = {own.get(name or "", name or ""): option for name, option in options.items()}
        set_option.held_to(getattr(nucleoscope, common["method"]), settings, options)
    common |= settings
    with one_message(traceback, "\n(--traceback shows where.)"), plain_warnings():
        net = load_models(models, weights, trust, device)
        if only_estimate:
            click.echo(estimate(net, genome, bed, **common))
            return
        with prompt_interrupt():  # at any point: what is done is kept
            done = nucleoscope.scan(
                net, genome, bed, out or "", resume=resume, shard=shard, retries=retries,
                progress=shown(progress), note=note, **common,
            )  # fmt: skip
        if done.store:
            export(done, bigwig=bigwig, parquet=parquet, npz=npz, anndata=anndata, note=note)
        end(done, whole=shard == (1, 1))
