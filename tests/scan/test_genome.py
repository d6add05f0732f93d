"""One genome in every format: the same bases, and a clear word for damage."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import pytest

from nucleoscope.scan.genome.genome import digest, open_genome, other_name
from tests.scan.genomes import CHR1, GENOME, write_fasta


def two_bit(path: Path, genome: dict[str, str]) -> Path:
    """UCSC's format, written by its description."""
    head = struct.pack("<4I", 0x1A412743, 0, len(genome), 0)
    offset = len(head) + sum(5 + len(name) for name in genome)
    index, records = b"", b""
    for name, bases in genome.items():
        index += struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", offset)
        runs = [_runs(bases, str.islower), _runs(bases, lambda base: base in "nN")]
        codes = ["TCAG".find(base) % 4 if base in "TCAG" else 0 for base in bases.upper()]
        codes += [0] * (-len(codes) % 4)
        record = struct.pack("<I", len(bases))
        for starts in (runs[1], runs[0]):
            record += struct.pack(f"<I{len(starts)}I", len(starts), *(s for s, _ in starts))
            record += struct.pack(f"<{len(starts)}I", *(e - s for s, e in starts))
        record += struct.pack("<I", 0)
        quads = [codes[at : at + 4] for at in range(0, len(codes), 4)]
        record += bytes((a << 6) | (b << 4) | (c << 2) | d for a, b, c, d in quads)
        records += record
        offset += len(record)
    path.write_bytes(head + index + records)
    return path


def _runs(bases: str, kind: object) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at, base in enumerate(bases):
        if kind(base):  # type: ignore[operator]
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], at + 1)
            else:
                found.append((at, at + 1))
    return found


@pytest.fixture(params=["plain", "gzip", "bgzip", "2bit"])
def genome(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    plain = write_fasta(tmp_path / "g.fa")
    if request.param == "gzip":
        (tmp_path / "g.fa.gz").write_bytes(gzip.compress(plain.read_bytes()))
        return tmp_path / "g.fa.gz"
    if request.param == "bgzip":
        pysam = pytest.importorskip("pysam", reason="pysam reads bgzipped FASTA")
        pysam.tabix_compress(str(plain), str(tmp_path / "b.fa.gz"))
        return tmp_path / "b.fa.gz"
    if request.param == "2bit":
        pytest.importorskip("py2bit", reason="py2bit reads 2bit")
        return two_bit(tmp_path / "g.2bit", GENOME)
    return plain


def test_every_format_gives_the_same_bases(genome: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_genome(genome, scratch) as held:
        assert held.sizes == {name: len(bases) for name, bases in GENOME.items()}
        assert held.bases("chr1", 0, len(CHR1)) == CHR1
        assert held.bases("chr1", 495, 525) == CHR1[495:525]
        assert held.bases("chr2", -3, 5) == "NNN" + GENOME["chr2"][:5]
        assert held.bases("chr2", 70, 80) == GENOME["chr2"][70:] + "NNN"
        assert held.bases("chr2", 90, 95) == "NNNNN"
        assert held.bases("chr2", -9, -5) == "NNNN"
        assert held.find("1") == "chr1"
        assert held.find("chrX") is None


def test_an_index_may_lie_elsewhere(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda p, m: str(scratch) in str(p) and access(p, m))
    before = {path.name for path in tmp_path.iterdir()}
    with open_genome(genome, scratch) as held:
        assert held.bases("chr1", 3, 9) == CHR1[3:9]
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("g.fa", b"ACGT\n", "cannot be read as FASTA|holds no sequences"),
        ("g.fa", b"", "g.fa"),
        ("g.fa.gz", gzip.compress(b">a\nACGT\n" * 500, mtime=0)[:-20], "no gzip file, or damaged"),
        ("g.fa.gz", b"no such thing at all\n", "cannot be read as FASTA|holds no sequences"),
        ("g.2bit", b"no such thing at all", "cannot be read as 2bit"),
    ],
)
def test_files_that_are_no_genome(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith("2bit"):
        pytest.importorskip("py2bit", reason="py2bit reads 2bit")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_genome(tmp_path / name, tmp_path)


def test_plain_fasta_may_be_called_gz(tmp_path: Path) -> None:
    told: list[str] = []
    path = write_fasta(tmp_path / "g.fa.gz")
    with open_genome(path, tmp_path, told.append) as held:
        assert held.bases("chr1", 3, 9) == CHR1[3:9]
    assert not told


def test_a_genome_that_became_shorter_is_noticed(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "g.fa", {"chr1": CHR1})
    with open_genome(path, tmp_path) as held:
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(ValueError, match="cut short, or its index is out of date"):
            held.bases("chr1", 200, 900)


def test_names_and_digests(tmp_path: Path) -> None:
    assert [other_name(n) for n in ("chr1", "1", "chrM", "MT")] == ["1", "chr1", "MT", "chrM"]
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x").startswith("ba7816bf8f01cfea")
