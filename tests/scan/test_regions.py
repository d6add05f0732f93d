"""Regions from files: what is right streams through, what is wrong is named, in flat memory."""

from __future__ import annotations

import gzip
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from nucleoscope.scan.genome.regions import Region, parse_region, stream_bed
from nucleoscope.scan.rejects import Reject


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"chr1\t5\t5", "zero length"),
        (b"chr1\t6\t5", "end before start"),
        (b"chr1\t-1\t5", "not a BED line"),
        (b"chr1\t1e3\t5", "not a BED line"),
        (b"chr1 7", "not a BED line"),
        (b"chr\xff\t1\t5", "not UTF-8"),
    ],
)
def test_a_bad_line_is_rejected_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, kind: str
) -> None:
    path = tmp_path / "r.bed"
    path.write_bytes(b"\xef\xbb\xbfchr1\t1\t5\r\n" + line + b"\n\n#\nchr2 3 9 peak . 1 2 3\n")
    first, bad, last = stream_bed(path)
    assert first == Region("chr1", 1, 5, "r.bed line 1")
    assert isinstance(bad, Reject)
    assert (bad.kind, bad.origin) == (kind, "r.bed line 2")
    assert last == Region("chr2", 3, 9, "r.bed line 5")


def test_a_gzipped_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.bed.gz"
    text = "".join(f"chr1\t{n}\t{n + 1}\n" for n in range(20_000)).encode()
    path.write_bytes(gzip.compress(text))
    assert sum(1 for _ in stream_bed(path)) == 20_000
    path.write_bytes(gzip.compress(text)[:-40])
    with pytest.raises(ValueError, match=r"r.bed.gz is no BED file, or cut short behind line"):
        list(stream_bed(path))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.bed"
    path.write_bytes(b"chr1\t10\t20\n" * 300_000)
    lines = stream_bed(path)
    next(lines)
    tracemalloc.start()
    assert sum(1 for _ in islice(lines, 20_000)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000


@pytest.mark.parametrize("text", ["chr1", "chr1:0-5", "chr1:7-5", "chr1:a-b", ":1-5", ""])
def test_typed_regions_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no region|holds no base"):
        parse_region(text)


def test_typed_regions() -> None:
    region = parse_region("chr1:1,001-2,000")
    assert (region.chromosome, region.start, region.end) == ("chr1", 1000, 2000)
    assert str(region.resized(3)) == "chr1:1,500-1,502"
