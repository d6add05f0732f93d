"""Regions of a genome: typed as chr1:1,001-2,000, or read from a BED file."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click


@dataclass(frozen=True)
class Region:
    """Bases [start, end) of a chromosome, counted from 0 as in BED."""

    chromosome: str
    start: int
    end: int
    origin: str  # where the user wrote it, for messages

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.start + 1:,}-{self.end:,}"

    def __len__(self) -> int:
        return self.end - self.start

    def resized(self, length: int) -> Region:
        """This length about the same midpoint, as far as whole bases allow."""
        start = (self.start + self.end) // 2 - length // 2
        return replace(self, start=start, end=start + length)


def parse_region(text: str) -> Region:
    """``chr1:1,001-2,000``, 1-based with both ends included, as genome browsers write it."""
    written = re.fullmatch(r"(.+):([\d,]+)-([\d,]+)", text.strip())
    if not written:
        raise click.BadParameter(
            f"{text!r} is no region: write chr1:1,001-2,000", param_hint="--region"
        )
    first, last = (int(number.replace(",", "")) for number in written.groups()[1:])
    if not 1 <= first <= last:
        raise click.BadParameter(
            f"{text!r} holds no base: positions count from 1, and the end is included",
            param_hint="--region",
        )
    return Region(written[1], first - 1, last, "--region")


def read_bed(path: Path) -> list[Region]:
    """The regions of a BED file, plain or gzipped, in its order; each that is repeated once.

    Only the first three columns are read: sequences are taken from the forward strand. Raises
    ClickException for a line that is no region, by its number, and for a file without any.
    """
    regions: dict[tuple[str, int, int], Region] = {}
    count = 0
    for number, line in _lines(path):
        region = _bed_line(line, f"{path.name} line {number}")
        count += 1
        regions.setdefault((region.chromosome, region.start, region.end), region)
    if not regions:
        raise click.ClickException(f"{path} holds no regions")
    if count > len(regions):
        repeated = f"{count - len(regions):,} repeated region{'s' * (count - len(regions) > 1)}"
        click.echo(f"Note: {repeated} of {path.name} left out.", err=True)
    return list(regions.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of those that speak of a region."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as file
        ):
            for number, line in enumerate(file, start=1):
                if line.strip() and line[0] != "#" and line.split()[0] not in ("track", "browser"):
                    yield number, line.rstrip("\r\n")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise click.ClickException(f"{path} is no BED file: {error}") from error


def _bed_line(line: str, origin: str) -> Region:
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 3:
        raise click.ClickException(
            f"{origin}: a BED line has at least chromosome, start and end, not {line!r}"
        )
    chromosome, first, last = (column.strip() for column in columns[:3])
    if not (first.isdecimal() and last.isdecimal()):
        raise click.ClickException(f"{origin}: start and end must be whole numbers: {line!r}")
    start, end = int(first), int(last)
    if not start < end:
        raise click.ClickException(f"{origin}: the end must lie behind the start: {line!r}")
    return Region(chromosome, start, end, origin)


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
