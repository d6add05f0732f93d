"""Sequences of regions out of a genome, for a command that stops at the first it cannot have."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from torch import Tensor

from nucleoscope.cli.regions import of_one_length, parse_region, read_bed
from nucleoscope.scan.genome.genome import Genome, open_genome, other_name
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.letters import one_hot


def read_one_hot(
    fasta: Path, bed: Path | None, region: str | None, length: int | None,
    alphabet: str = "ACGT", layout: str = "NCL",
) -> tuple[list[Region], Tensor]:  # fmt: skip
    """The regions of a BED file, or the one that is named, and their bases as a model takes them."""
    if (bed is None) == (region is None):
        raise click.UsageError("give one of --bed and --region")
    wanted = read_bed(bed) if bed else [parse_region(region or "")]
    regions, sequences = read_sequences(fasta, wanted, length)
    return regions, one_hot(sequences, alphabet, layout, list(map(str, regions)))


def read_sequences(
    path: Path, regions: list[Region], length: int | None
) -> tuple[list[Region], list[str]]:
    """The regions at their final length, and their bases from the forward strand.

    A region must lie within its chromosome; where `length` extends one beyond an end, N stands for
    the missing bases and a note says so. Raises ClickException or ValueError for anything else.
    """
    with (
        tempfile.TemporaryDirectory(prefix="nucleoscope-") as folder,
        open_genome(path, Path(folder), _note) as genome,
    ):
        for region in regions:
            _check(region, genome)
        regions = of_one_length(regions, length)
        sequences = [genome.bases(r.chromosome, r.start, r.end).upper() for r in regions]
    padded = [r for r in regions if r.start < 0 or r.end > genome.sizes[r.chromosome]]
    if padded:
        others = f" and {len(padded) - 1:,} more" if len(padded) > 1 else ""
        _note(f"beyond chromosome ends N stands in {padded[0]}{others}.")
    return regions, sequences


def _note(text: str) -> None:
    click.echo(f"Note: {text}", err=True)


def _check(region: Region, genome: Genome) -> None:
    name, file = region.chromosome, genome.path.name
    if name not in genome.sizes:
        other, known = other_name(name), list(genome.sizes)
        hint = (
            f"; it calls it {other!r}"
            if other in genome.sizes
            else f"; it has {', '.join(known[:5])}{' ...' * (len(known) > 5)}"
        )
        raise click.ClickException(f"{region.origin}: {file} has no sequence {name!r}{hint}")
    size = genome.sizes[name]
    if region.end > size:
        raise click.ClickException(
            f"{region.origin}: {region} ends beyond {name}, which has {size:,} bases"
        )
