"""Lines of text files as they come from others: plain or gzipped, LF or CRLF at their ends, in flat memory."""

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
    file, for one that is damaged, cut short, or has CR alone between its lines.
    """
    number = 0
    try:
        with path.open("rb") as held:
            packed = held.peek(2)[:2] == GZIPPED
            for number, line in enumerate(gzip.GzipFile(fileobj=held) if packed else held, start=1):
                plain = line.rstrip(b"\r\n")
                if number == 1:
                    plain = plain.removeprefix(codecs.BOM_UTF8)
                    _check_ends(path, plain)
                yield number, plain
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is no {kind} file, or cut short behind line {number:,}: {error}"
        ) from error


def _check_ends(path: Path, first: bytes) -> None:
    if b"\r" in first:
        raise ValueError(
            f"{path} has lines that end in CR alone, as old Macs wrote them: give it LF, as by tr '\\r' '\\n'"
        )


def position(text: str) -> int | None:
    """A whole number of bases, 0 or more; None for anything else."""
    return int(text) if POSITION.fullmatch(text) else None
