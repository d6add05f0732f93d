"""Lines of text files as they come from others: plain or gzipped, with any line ends, in flat memory."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

GZIPPED = b"\x1f\x8b"
POSITION = re.compile(r"[0-9]{1,18}")  # of a genome: what fits into 64 bits


def lines(path: Path, kind: str) -> Iterator[tuple[int, bytes]]:
    """(number, line without its end), from 1 on; a byte order mark is left out.

    A file is gzipped if it begins as such, whatever its name. Raises ValueError, which names the `kind` of
    file, for one that is damaged or cut short.
    """
    number = 0
    try:
        with path.open("rb") as held:
            packed = held.peek(2)[:2] == GZIPPED
            for number, line in enumerate(gzip.GzipFile(fileobj=held) if packed else held, start=1):
                plain = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                yield number, plain.rstrip(b"\r\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is no {kind} file, or cut short behind line {number:,}: {error}"
        ) from error


def position(text: str) -> int | None:
    """A whole number of bases, 0 or more; None for anything else."""
    return int(text) if POSITION.fullmatch(text) else None
