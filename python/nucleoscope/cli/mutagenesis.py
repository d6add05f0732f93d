"""`nucleoscope mutagenesis`: regions of a genome and your model in, one .npz of scores out."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.fasta import read_one_hot
from nucleoscope.cli.loading import load_model
from nucleoscope.cli.requests import asked, of_method, of_model, of_regions, of_scores
from nucleoscope.scan.regions import Region


@click.command(epilog="Scores are read with nucleoscope.Attribution.load(FILE).")
@of_model
@of_regions
@of_method
@click.option(
    "--reverse-complement",
    is_flag=True,
    help="Average over both strands; --target is read off both.",
)
@click.option(
    "--trunk",
    type=click.Choice(["exact", "linear"]),
    default="exact",
    show_default=True,
    help="linear: an approximation of models that end in attention, its error measured.",
)
@of_scores
def mutagenesis(
    model: str, weights: Path | None, trust: bool, fasta: Path, bed: Path | None,
    region: str | None, length: int | None, out: Path | None, dry_run: bool, device: torch.device,
    progress: bool | None, traceback: bool, targets: tuple[options.Pick, ...], verify: int,
    center: str, hypothetical: bool, reverse_complement: bool, **common: Any,
) -> None:  # fmt: skip
    """Score every base of regions of a genome with your own model.

    Every substitution at every site is put to the model, exactly, and FILE.npz holds what each
    changes in the target. N is a column of zeros, and a IUPAC code equal parts of its letters.
    """
    if out is None and not dry_run:
        raise click.UsageError("give --out FILE.npz, or --dry-run")
    common["target"] = asked(targets)
    common["device"] = device
    with one_message(traceback, "\n(--traceback shows where.)"), plain_warnings():
        regions, X = read_one_hot(fasta, bed, region, length, common["alphabet"], common["layout"])
        with prompt_interrupt():
            net = load_model(model, weights, trust, device)
            if dry_run:
                click.echo(nucleoscope.plan(net, X, **common))
                return
            began = time.perf_counter()
            result = nucleoscope.saturation_mutagenesis(
                net, X, **common, center=center, hypothetical=hypothetical, verify=verify,
                reverse_complement=reverse_complement,
                progress=sys.stderr.isatty() if progress is None else progress,
            )  # fmt: skip
        took = time.perf_counter() - began
        written = with_regions(result, regions, model, fasta).save(out or "")
    size = f"{len(regions):,} x {len(regions[0]):,} bases"
    click.echo(f"{result!r}\n{size} in {took:.1f} s: {written}")


def with_regions(
    result: nucleoscope.Attribution, regions: list[Region], model: str, fasta: Path
) -> nucleoscope.Attribution:
    """The result with what it was made from; regions are 0-based and half-open, as in BED."""
    places = [{"chromosome": r.chromosome, "start": r.start, "end": r.end} for r in regions]
    facts = result.facts | {"model": model, "fasta": fasta.name, "regions": places}
    return dataclasses.replace(result, facts=facts)
