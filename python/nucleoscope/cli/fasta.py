"""Sequences of regions out of a FASTA file."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import click
import pyfaidx

from nucleoscope.cli.regions import Region, of_one_length


def read_sequences(
    path: Path, regions: list[Region], length: int | None
) -> tuple[list[Region], list[str]]:
    """The regions at their final length, and their bases from the forward strand.

    A region must lie within its chromosome; where `length` extends one beyond an end, N stands for
    the missing bases and a note says so. Raises ClickException for anything else, by name.
    """
    with _opened(path) as genome:
        for region in regions:
            _check(region, genome, path)
        regions = of_one_length(regions, length)
        sequences = [_bases(region, genome) for region in regions]
    padded = [r for r in regions if _outside(r, len(genome[r.chromosome]))]
    if padded:
        others = f" and {len(padded) - 1:,} more" if len(padded) > 1 else ""
        click.echo(f"Note: beyond chromosome ends N stands in {padded[0]}{others}.", err=True)
    return regions, sequences


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pyfaidx.Fasta]:
    """An indexed FASTA file. What cannot lie beside it lies in a temporary folder meanwhile."""
    with tempfile.TemporaryDirectory(prefix="nucleoscope-") as folder:
        plain = _decompressed(path, Path(folder)) if path.suffix in (".gz", ".bgz") else path
        with plain.open("rb") as file:
            if file.read(3) == codecs.BOM_UTF8:
                raise click.ClickException(
                    f"{path} begins with a byte order mark; save it as plain text without one"
                )
        index = Path(f"{plain}.fai")
        made = not index.exists()
        if not os.access(index if index.exists() else index.parent, os.W_OK):
            index = _own_index(index, plain, Path(folder))
        try:
            genome = pyfaidx.Fasta(
                str(plain), indexname=str(index), as_raw=True, sequence_always_upper=True
            )
        except (pyfaidx.FastaIndexingError, ValueError, UnicodeDecodeError, OSError) as error:
            if made:  # of a file that was refused
                index.unlink(missing_ok=True)
            raise click.ClickException(f"{path} cannot be read as FASTA: {error}") from error
        with genome:
            if not genome.keys():
                raise click.ClickException(f"{path} holds no sequences")
            yield genome


def _own_index(index: Path, plain: Path, folder: Path) -> Path:
    """An index that may be used where none may be written: the file's own if it is up to date."""
    if index.exists() and index.stat().st_mtime >= plain.stat().st_mtime:
        return index
    return folder / index.name


def _decompressed(path: Path, folder: Path) -> Path:
    """A plain copy, which can be read at any place; gzip files only from their beginning."""
    click.echo(f"Note: {path.name} is compressed; unpacking it for this run.", err=True)
    copy = folder / path.stem
    try:
        with gzip.open(path) as packed, copy.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise click.ClickException(f"{path} is no gzip file, or damaged: {error}") from error
    return copy


def _check(region: Region, genome: pyfaidx.Fasta, path: Path) -> None:
    name = region.chromosome
    if name not in genome:
        other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
        known = list(genome.keys())
        hint = (
            f"; it calls it {other!r}"
            if other in genome
            else f"; it has {', '.join(known[:5])}{' ...' * (len(known) > 5)}"
        )
        raise click.ClickException(f"{region.origin}: {path.name} has no sequence {name!r}{hint}")
    size = len(genome[name])
    if region.end > size:
        raise click.ClickException(
            f"{region.origin}: {region} ends beyond {name}, which has {size:,} bases"
        )


def _outside(region: Region, size: int) -> bool:
    return region.start < 0 or region.end > size


def _bases(region: Region, genome: pyfaidx.Fasta) -> str:
    size = len(genome[region.chromosome])
    start, end = max(region.start, 0), min(region.end, size)
    inside: str = genome[region.chromosome][start:end] if start < end else ""
    return "N" * (start - region.start) + inside + "N" * (region.end - end)
