"""Alleles of VCF files: the normal form against every way of writing a variant, and every reject."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleoscope.scan.genome.genome import open_genome
from nucleoscope.scan.rejects import Reject
from nucleoscope.scan.variants.alleles import Allele
from nucleoscope.scan.variants.vcf import VariantSieve, header, other_sizes, records
from tests.scan.genomes import CHR1, write_fasta

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def edited(bases: str, allele: Allele) -> str:
    assert bases[allele.start : allele.end] == allele.ref
    return bases[: allele.start] + allele.alt + bases[allele.end :]


@given(st.text("AC", min_size=3, max_size=12), st.data())
def test_the_normal_form_is_one_for_all_ways_of_writing(bases: str, data: st.DataObject) -> None:
    """Small alphabets are full of repeats. The leftmost, shortest way is found by trying all."""
    start = data.draw(st.integers(0, len(bases) - 1))
    end = data.draw(st.integers(start + 1, len(bases)))
    alt = data.draw(st.text("AC", min_size=1, max_size=6))
    given = Allele(0, 0, "c", start, bases[start:end], alt)
    wanted = edited(bases, given)
    if wanted == bases:
        return
    normal = given.normal(lambda lo, hi: bases[lo:hi])
    assert edited(bases, normal) == wanted
    assert normal.ref
    assert normal.alt
    ways = [
        (end - start, start)
        for start in range(len(bases))
        for end in range(start + 1, len(bases) + 1)
        if wanted.startswith(bases[:start])
        and wanted.endswith(bases[end:])
        and start + len(bases) - end < len(wanted)
    ]
    assert (len(normal.ref), normal.start) == min(ways)


def test_lines_come_back() -> None:
    allele = Allele(3, 1, "chr 1\tx", 17, "A", "ACGT")
    assert Allele.read(allele.line()) == allele
    assert (allele.end, allele.same_length) == (18, False)


def test_left_alignment_passes_blocks_of_the_genome() -> None:
    """However far: a repeat of 3,000 bases, as microsatellites and satellites have it."""
    bases = "G" + "CA" * 1500 + "T"
    late = Allele(0, 0, "c", 3000, "A", "ACA")
    normal = late.normal(lambda lo, hi: bases[lo:hi])
    assert (normal.start, normal.ref, normal.alt) == (0, "G", "GCA")


def write(path: Path, *rows: str, end: str = "\n") -> Path:
    text = HEAD + "".join(f"{row}\t.\t.\t.{end}" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def sieved(tmp_path: Path, *rows: str, longest: int = 20) -> tuple[list[Allele], list[Reject]]:
    vcf = write(tmp_path / "v.vcf.gz", *rows)
    with open_genome(write_fasta(tmp_path / "g.fa"), tmp_path) as genome:
        items = list(VariantSieve(genome, longest).items(vcf))
    good = [Allele.read(item[0]) for item in items if isinstance(item, tuple)]
    return good, [item for item in items if isinstance(item, Reject)]


def test_alleles_are_checked_against_the_genome(tmp_path: Path) -> None:
    r, other = CHR1[9], "ACGT"["ACGT".index(CHR1[9]) - 1]
    good, bad = sieved(
        tmp_path,
        f"1\t10\t.\t{r}\t{other}",
        f"chr1\t10\t.\t{r.lower()}\t{other.lower()},{r}T,<DEL>,*,N,{r}",
        f"chr1\t10\t.\t{other}\t{r}",
        "chr9\t10\t.\tA\tC",
        "chr1\t1003\t.\tAA\tC",
        "chr1\t505\t.\tN\tC",
        f"chr1\t10\t.\t{r}\t.",
        f"chr1\t10\t.\t{r}\t{'A' * 30}",
        f"chr1\t1\t.\t{CHR1[:30]}\tA",
        f"chr1\t10\t.\t{r}\tG]chr2:5]",
        "chr1\tten\t.\tA\tC",
        "chr1\t0\t.\tA\tC",
    )
    assert [a.record for a in good] == [0, 1]
    assert (good[0].start, good[0].ref, good[0].alt) == (9, r, other)
    assert [reject.kind for reject in bad] == [
        "duplicate", "symbolic allele", "symbolic allele", "unknown bases", "no change",
        "REF is not the genome's", "no such chromosome", "beyond the end", "unknown bases",
        "no alternative", "too long", "too long", "symbolic allele", "not a VCF line",
        "not a VCF line",
    ]  # fmt: skip
    assert "v.vcf.gz line 5: REF is" in str(bad[5])


def test_duplicates_are_known_in_any_writing(tmp_path: Path) -> None:
    run = next(at for at in range(1, 400) if CHR1[at] == CHR1[at + 1] != CHR1[at - 1])
    base = CHR1[run]
    good, bad = sieved(
        tmp_path, f"1\t{run + 1}\t.\t{base}\t{base}{base}", f"1\t{run + 2}\t.\t{base}\t{base}{base}"
    )
    assert (len(good), [reject.kind for reject in bad]) == (1, ["duplicate"])
    assert (good[0].start, good[0].alt) == (run - 1, CHR1[run - 1] + base)


def test_lines_that_cannot_be_read_do_not_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "v.vcf"
    path.write_bytes(
        HEAD.encode() + b"1\t5\t\xff\tA\tC\t.\t.\t.\nx\n\n1\t7\t.\tA\tC\t.\t.\tX=1\tGT\r\n"
    )
    found = list(records(path))
    assert [r.kind for r in found if isinstance(r, Reject)] == ["not UTF-8", "not a VCF line"]
    last = found[-1]
    assert not isinstance(last, Reject)
    assert (last.number, last.line, last.columns[7:]) == (2, 6, ["X=1", "GT"])


@pytest.mark.parametrize("text", ["", "chr1\t5\t6\n", "##fileformat=VCFv4.2\n1\t2\n", HEAD[21:]])
def test_what_is_no_vcf_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "v.vcf"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no VCF"):
        header(path)


def test_sizes_of_another_assembly_are_found(tmp_path: Path) -> None:
    head = [
        "##contig=<ID=1,length=1004>", "##contig=<ID=chr1,length=1003>", "##contig=<ID=chr9,length=7>",
        "##contig=<assembly=b,ID=2,md5=x,length=78,species=s>", "##contig=<ID=chr2>", "##contig=<length=5>",
        "##contig=<length=131,assembly=\"a,ID=1,length=3\",ID=../up>",
    ]  # fmt: skip
    with open_genome(write_fasta(tmp_path / "g.fa"), tmp_path) as genome:
        assert other_sizes(head, genome) == [("1", 1004, 1003), ("2", 78, 77), ("../up", 131, 130)]


def test_gzip_that_is_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path / "v.vcf.gz", *["1\t5\t.\tA\tC"] * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cut short"):
        list(records(path))


def test_bcf(tmp_path: Path) -> None:
    pysam = pytest.importorskip("pysam", reason="pysam reads BCF")
    plain = write(tmp_path / "v.vcf", "chr1\t5\trs1\tA\tC,G")
    text = plain.read_text().replace("#CHROM", "##contig=<ID=chr1,length=1003>\n#CHROM", 1)
    plain.write_text(text)
    with (
        pysam.VariantFile(str(plain)) as source,
        pysam.VariantFile(str(tmp_path / "v.bcf"), "wb", header=source.header) as out,
    ):
        for record in source:
            out.write(record)
    (found,) = records(tmp_path / "v.bcf")
    assert not isinstance(found, Reject)
    assert found.columns[:5] == ["chr1", "5", "rs1", "A", "C,G"]
    assert header(tmp_path / "v.bcf")[-1].startswith("#CHROM")
    (tmp_path / "w.bcf").write_bytes((tmp_path / "v.bcf").read_bytes()[:60])
    with pytest.raises(ValueError, match="cut short"):
        header(tmp_path / "w.bcf")
