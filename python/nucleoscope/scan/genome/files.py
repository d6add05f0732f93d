"""The file formats of genomes, each by the library that the field reads it with."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyfaidx

from nucleoscope.files import whole_file
from nucleoscope.scan.genome.lines import GZIPPED

if TYPE_CHECKING:
    from nucleoscope.scan.genome.genome import Fetch, Note

Opened = tuple[Mapping[str, int], "Fetch"]


def two_bit(path: Path, held: contextlib.ExitStack) -> Opened:
    """UCSC's 2bit: N and soft-masked bases are kept."""
    try:
        import py2bit
    except ImportError as error:
        raise ImportError(f"{path} needs py2bit: pip install 'nucleoscope[scan]'") from error
    try:
        file = py2bit.open(str(path), True)
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read as 2bit: {error}") from error
    held.callback(file.close)
    return file.chroms(), file.sequence


def is_bgzipped(path: Path) -> bool:
    """Whether it is gzip in blocks that can be read at any place: the first one says so."""
    with path.open("rb") as file:
        head = file.read(16)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIPPED


def bgzipped(path: Path, scratch: Path, held: contextlib.ExitStack, beside: bool) -> Opened:
    """Bgzipped FASTA with its two indices, which are made where they are not there."""
    try:
        import pysam
    except ImportError as error:
        raise ImportError(
            f"{path} is bgzipped, which needs pysam: pip install 'nucleoscope[scan]'. Or unpack it."
        ) from error
    indices = [Path(f"{path}{ending}") for ending in (".fai", ".gzi")]
    if not all(_up_to_date(each, path) for each in indices):
        folder = path.parent if beside and os.access(path.parent, os.W_OK) else scratch
        indices = [folder / each.name for each in indices]
    try:
        if not all(_up_to_date(each, path) for each in indices):
            pysam.faidx(str(path), "--fai-idx", str(indices[0]), "--gzi-idx", str(indices[1]))
        file = pysam.FastaFile(
            str(path), filepath_index=str(indices[0]), filepath_index_compressed=str(indices[1])
        )
    except (pysam.utils.SamtoolsError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as bgzipped FASTA: {error}") from error
    held.callback(file.close)
    return dict(zip(file.references, file.lengths, strict=True)), file.fetch


def fasta(
    path: Path, scratch: Path, held: contextlib.ExitStack, note: Note, beside: bool
) -> Opened:
    """Plain FASTA and its index; a file that begins as gzip does is unpacked first, whatever its name."""
    plain = _decompressed(path, scratch, note) if _is_gzipped(path) else _well_named(path, scratch)
    with plain.open("rb") as file:
        if file.read(3) == codecs.BOM_UTF8:
            raise ValueError(
                f"{path} begins with a byte order mark; save it as plain text without one"
            )
    index = Path(f"{plain}.fai")
    may = beside and os.access(index if index.exists() else index.parent, os.W_OK)
    if not may and not _up_to_date(index, plain):
        index = scratch / index.name
    made = not index.exists()
    try:
        genome = pyfaidx.Fasta(str(plain), indexname=str(index), as_raw=True)
    except (pyfaidx.FastaIndexingError, ValueError, UnicodeDecodeError, OSError) as error:
        if made:  # of a file that was refused
            index.unlink(missing_ok=True)
        raise ValueError(f"{path} cannot be read as FASTA: {error}") from error
    held.callback(genome.close)

    def fetch(name: str, start: int, end: int) -> str:
        bases: str = genome[name][start:end]
        return bases

    return {name: len(genome[name]) for name in genome.keys()}, fetch  # noqa: SIM118


def _up_to_date(index: Path, file: Path) -> bool:
    return index.exists() and index.stat().st_mtime >= file.stat().st_mtime


def _well_named(path: Path, scratch: Path) -> Path:
    """The plain file itself, or a link to it where its name says gzip: pyfaidx goes by that."""
    if path.suffix.lower() not in (".gz", ".bgz"):
        return path
    link = scratch / f"{path.name}.plain"
    with contextlib.suppress(FileExistsError):  # of a worker or a run before
        link.symlink_to(path.resolve())
    return link


def _decompressed(path: Path, scratch: Path, note: Note) -> Path:
    """A plain copy, which can be read at any place; gzip files only from their beginning."""
    copy = scratch / path.stem
    if _up_to_date(copy, path):
        return copy
    note(f"{path.name} is compressed, and not by bgzip; unpacking it for this run.")
    try:
        with gzip.open(path) as packed, whole_file(copy) as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no gzip file, or damaged: {error}") from error
    return copy
