"""Regions as a command takes them that stops at the first it cannot use."""

from __future__ import annotations

from pathlib import Path

import click

from nucleoscope.scan.genome import regions as scanned
from nucleoscope.scan.genome.regions import Region, stream_bed
from nucleoscope.scan.rejects import Reject


def parse_region(text: str) -> Region:
    """``chr1:1,001-2,000``, 1-based with both ends included, as genome browsers write it."""
    try:
        return scanned.parse_region(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--region") from error


def read_bed(path: Path) -> list[Region]:
    """The regions of a BED file, plain or gzipped, in its order; each that is repeated once.

    Raises ClickException for a line that is no region, by its number, and for a file without any;
    ValueError for a file that is damaged.
    """
    regions: dict[tuple[str, int, int], Region] = {}
    count = 0
    for region in stream_bed(path):
        if isinstance(region, Reject):
            raise click.ClickException(str(region))
        count += 1
        regions.setdefault((region.chromosome, region.start, region.end), region)
    if not regions:
        raise click.ClickException(f"{path} holds no regions")
    if count > len(regions):
        repeated = f"{count - len(regions):,} repeated region{'s' * (count - len(regions) > 1)}"
        click.echo(f"Note: {repeated} of {path.name} left out.", err=True)
    return list(regions.values())


def of_one_length(regions: list[Region], length: int | None) -> list[Region]:
    """All regions at `length`, about their midpoints; without it they must agree by themselves."""
    if length is not None:
        return [region.resized(length) for region in regions]
    first = regions[0]
    for region in regions:
        if len(region) != len(first):
            raise click.ClickException(
                f"the regions have different lengths: {len(first):,} at {first.origin}, "
                f"{len(region):,} at {region.origin}. Models take one length: give --length to cut "
                "or extend every region about its midpoint."
            )
    return regions
