"""`nucleoscope mutagenesis`: regions of a genome and your model in, one .npz of scores out."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.alphabet import alphabet_of
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.fasta import read_one_hot
from nucleoscope.cli.loading import load_models
from nucleoscope.cli.requests import (
    asked,
    of_method,
    of_models,
    of_regions,
    of_scores,
    of_shifts,
    of_strands,
    of_trunk,
)
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.provenance import models_of
from nucleoscope.scan.shards.shipping import listed


@click.command(epilog="Scores are read with nucleoscope.Attribution.load(FILE).")
@of_models
@of_regions
@of_method
@of_strands
@of_shifts
@of_trunk
@of_scores
def mutagenesis(
    models: tuple[str, ...], weights: tuple[Path, ...], trust: bool, fasta: Path, bed: Path | None,
    region: str | None, length: int | None, out: Path | None, dry_run: bool, device: torch.device,
    progress: bool | None, traceback: bool, targets: tuple[options.Pick, ...], verify: int,
    center: str, hypothetical: bool, reverse_complement: bool, reverse_targets: tuple[options.Pick, ...],
    shifts: tuple[int, ...], **common: Any,
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
        with prompt_interrupt():
            net = load_models(models, weights, trust, device)
            common["alphabet"] = letters = alphabet_of(net, common["alphabet"])
            regions, X = read_one_hot(fasta, bed, region, length, letters, common["layout"])
            if dry_run:
                for each in listed(net):
                    click.echo(nucleoscope.plan(each, X, **common))
                return
            began = time.perf_counter()
            result = nucleoscope.saturation_mutagenesis(
                net, X, **common, center=center, hypothetical=hypothetical, verify=verify,
                reverse_complement=reverse_complement, reverse_target=asked(reverse_targets), shifts=shifts,
                progress=sys.stderr.isatty() if progress is None else progress,
            )  # fmt: skip
        took = time.perf_counter() - began
        written = with_regions(result, regions, models, net, fasta).save(out or "")
    size = f"{len(regions):,} x {len(regions[0]):,} bases"
    click.echo(f"{result!r}\n{size} in {took:.1f} s: {written}")


def with_regions(
    result: nucleoscope.Attribution,
    regions: list[Region],
    models: Sequence[str],
    net: Any,
    fasta: Path,
) -> nucleoscope.Attribution:
    """The result with what it was made from; regions are 0-based and half-open, as in BED."""
    places = [{"chromosome": r.chromosome, "start": r.start, "end": r.end} for r in regions]
    facts = result.facts | {
        "model": ", ".join(models), "models": models_of(net), "fasta": fasta.name, "regions": places,
    }  # fmt: skip
    return dataclasses.replace(result, facts=facts)
