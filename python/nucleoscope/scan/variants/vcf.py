"""The alleles of a VCF file, one by one: those that can be scored, and rejects with their reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from nucleoscope.scan.genome.genome import Genome
from nucleoscope.scan.genome.lines import lines, position
from nucleoscope.scan.rejects import Reject
from nucleoscope.scan.variants.alleles import Allele

COLUMNS = 8  # CHROM POS ID REF ALT QUAL FILTER INFO
REMEMBERED = 100_000  # alleles among which a duplicate is known
BASES = re.compile(r"[ACGT]+")
CONTIG = re.compile(r"##contig=<(.*)>\s*")
VALUE = re.compile(
    r'(?:^|,)\s*(\w+)=("(?:[^"\\]|\\.)*"|[^,]*)'
)  # a key, and its value with or without quotes


@dataclass(frozen=True)
class Record:
    """A line of a VCF below its header, in columns."""

    number: int  # from 0
    line: int  # of the file, from 1
    columns: list[str]


def header(path: Path) -> list[str]:
    """The lines of the header, without line ends. Raises ValueError for a file that has none."""
    found = []
    for _, line in _lines(path):
        if not line.startswith(b"#"):
            break
        found.append(line.decode("utf-8", "replace"))
        if line.startswith(b"#CHROM"):
            break
    if not found or not found[0].startswith("##fileformat=VCF"):
        raise ValueError(f"{path} is no VCF: its first line must be ##fileformat=VCFv4.x")
    if not found[-1].startswith("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"):
        raise ValueError(
            f"{path} is no VCF: its header must end with #CHROM, POS, ID, REF, ALT, QUAL, FILTER, INFO, "
            "with tabs between"
        )
    return found


def other_sizes(head: list[str], genome: Genome) -> list[tuple[str, int, int]]:
    """(name, bases by the header's contig lines, bases of the genome) of the chromosomes whose sizes differ: the
    VCF is then of another assembly."""
    found = []
    for line in filter(None, map(CONTIG.fullmatch, head)):
        told = dict(VALUE.findall(line[1]))  # in any order
        name, size = told.get("ID", ""), position(told.get("length", ""))
        own = genome.find(name)
        if own is not None and size is not None and genome.sizes[own] != size:
            found.append((name, size, genome.sizes[own]))
    return found


def records(path: Path) -> Iterator[Record | Reject]:
    """Line by line in flat memory, from VCF plain, gzipped or bgzipped, or BCF.

    Lines are taken apart here and not by htslib, which ends at the first that it cannot read.
    """
    number = 0
    for at, line in _lines(path):
        if line.startswith(b"#") or not line.strip():
            continue
        where = f"{path.name} line {at}"
        number += 1
        try:
            columns = line.decode().split("\t")
        except UnicodeDecodeError:
            yield Reject(where, "not UTF-8", "a VCF line is text in UTF-8")
            continue
        if len(columns) < COLUMNS or not position(columns[1]):
            yield Reject(
                where, "not a VCF line",
                f"it has at least {COLUMNS} columns between tabs, and POS is a whole number from 1",
            )  # fmt: skip
            continue
        yield Record(number - 1, at, columns)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    if path.suffix == ".bcf":
        return enumerate(_of_bcf(path), start=1)
    return lines(path, "VCF")


def _of_bcf(path: Path) -> Iterator[bytes]:
    try:
        import pysam
    except ImportError as error:
        raise ImportError(f"{path} needs pysam: pip install 'nucleoscope[scan]'") from error
    try:
        with pysam.VariantFile(str(path)) as file:
            yield from str(file.header).encode().splitlines()
            for record in file:
                yield str(record).rstrip("\n").encode()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no BCF file, or cut short: {error}") from error


@dataclass
class VariantSieve:
    """Lets through the alleles that a genome has, in normal form, each once."""

    genome: Genome
    longest: int  # bases that an allele may have
    moved: int = 0  # alleles that were not in normal form
    seen: dict[Allele, None] = field(default_factory=dict)

    def items(self, path: Path) -> Iterator[tuple[str, int] | Reject]:
        """Lines of items.tsv, each of weight 1."""
        for record in records(path):
            if isinstance(record, Reject):
                yield record
                continue
            name, start, ref = record.columns[0], int(record.columns[1]) - 1, record.columns[3]
            origin = f"{path.name} line {record.line}"
            reason = self._refused(name, start, ref.upper())
            if reason is not None:
                yield Reject(origin, *reason)
                continue
            own = self.genome.find(name)
            assert own is not None
            for number, alt in enumerate(record.columns[4].split(",")):
                allele = Allele(record.number, number, own, start, ref.upper(), alt.upper())
                fit = self._fit(allele)
                if isinstance(fit, Allele):
                    yield fit.line(), 1
                else:
                    yield Reject(origin, *fit)

    def _refused(self, name: str, start: int, ref: str) -> tuple[str, str] | None:
        """Why no allele of this line can be scored, in a few words and in detail."""
        own = self.genome.find(name)
        if own is None:
            return "no such chromosome", f"{self.genome.path.name} has no sequence {name!r}"
        size = self.genome.sizes[own]
        if start + len(ref) > size:
            return "beyond the end", f"REF ends beyond {own}, which has {size:,} bases"
        if len(ref) > self.longest:
            return (
                "too long",
                f"REF has {len(ref):,} bases; the window has room for {self.longest:,}",
            )
        held = self.genome.bases(own, start, start + len(ref)).upper()
        if ref != held:
            there = f"{self.genome.path.name} has {_short(held)} at {own}:{start + 1:,}"
            detail = f"REF is {_short(ref)} where {there}: another assembly, or another strand?"
            return "REF is not the genome's", detail
        if not BASES.fullmatch(ref):
            return "unknown bases", f"REF is {_short(ref)}: only A, C, G and T can be changed"
        return None

    def _fit(self, allele: Allele) -> Allele | tuple[str, str]:
        alt = allele.alt
        if alt in (".", ""):
            return "no alternative", "ALT is '.'"
        if alt.startswith("<") or alt == "*" or set(alt) & set("[]."):
            return "symbolic allele", f"ALT is {_short(alt)}: its bases are not given"
        if not BASES.fullmatch(alt):
            return "unknown bases", f"ALT is {_short(alt)}: only A, C, G and T can be put in"
        if alt == allele.ref:
            return "no change", f"ALT and REF are both {_short(alt)}"
        normal = allele.normal(lambda start, end: self.genome.bases(allele.chromosome, start, end))
        self.moved += (normal.start, normal.ref) != (allele.start, allele.ref)
        if len(normal.alt) > self.longest:
            return (
                "too long",
                f"ALT has {len(alt):,} bases; the window has room for {self.longest:,}",
            )
        return self._once(normal)

    def _once(self, allele: Allele) -> Allele | tuple[str, str]:
        key = replace(allele, record=0, number=0)
        if key in self.seen:
            change = f"{_short(allele.ref)}>{_short(allele.alt)}"
            where = f"{allele.chromosome}:{allele.start + 1:,} {change}"
            return "duplicate", f"{where}, in normal form, stands above already"
        self.seen[key] = None
        if len(self.seen) > REMEMBERED:
            del self.seen[next(iter(self.seen))]
        return allele


def _short(bases: str) -> str:
    return repr(bases if len(bases) <= 20 else f"{bases[:17]}...")
