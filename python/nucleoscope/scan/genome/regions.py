"""Regions of a genome: typed as chr1:1,001-2,000, or streamed from a BED file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nucleoscope.scan.genome.lines import lines, position
from nucleoscope.scan.rejects import Reject


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
    """``chr1:1,001-2,000``, 1-based with both ends included, as genome browsers write it.

    Raises ValueError for anything else.
    """
    written = re.fullmatch(r"(.+):([\d,]+)-([\d,]+)", text.strip())
    if not written:
        raise ValueError(f"{text!r} is no region: write chr1:1,001-2,000")
    first, last = (int(number.replace(",", "")) for number in written.groups()[1:])
    if not 1 <= first <= last:
        raise ValueError(f"{text!r} holds no base: positions count from 1, and the end is included")
    return Region(written[1], first - 1, last, "--region")


def stream_bed(path: Path) -> Iterator[Region | Reject]:
    """The regions of a BED or narrowPeak file, plain or gzipped, one by one in its order.

    Only the first three columns are read: sequences are taken from the forward strand. A line that
    is no region comes as a Reject. Raises ValueError for a file that is damaged or cut short.
    """
    for number, line in lines(path, "BED"):
        origin = f"{path.name} line {number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            yield Reject(origin, "not UTF-8", f"the line is not UTF-8: {line[:80]!r}")
            continue
        if text.strip() and text[0] != "#" and text.split()[0] not in ("track", "browser"):
            yield _bed_line(text, origin)


def _bed_line(line: str, origin: str) -> Region | Reject:
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 3:
        return Reject(
            origin,
            "not a BED line",
            f"a BED line has at least chromosome, start and end, not {line[:200]!r}",
        )
    chromosome, first, last = (column.strip() for column in columns[:3])
    start, end = position(first), position(last)
    if start is None or end is None:
        return Reject(
            origin, "not a BED line", f"start and end must be whole numbers: {line[:200]!r}"
        )
    if not start < end:
        kind = "zero length" if start == end else "end before start"
        return Reject(origin, kind, f"the end must lie behind the start: {line!r}")
    return Region(chromosome, start, end, origin)
