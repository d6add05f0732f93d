"""One allele of a variant: where it stands, what it is replaced by, and the same allele in normal form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

STEP = 64  # bases that are looked at a time


@dataclass(frozen=True)
class Allele:
    """Bases `ref` of a chromosome from `start` on, counted from 0, become `alt`."""

    record: int  # of the VCF, from 0
    number: int  # of its alternatives, from 0
    chromosome: str
    start: int
    ref: str
    alt: str

    @property
    def end(self) -> int:
        """Behind its last base in the genome."""
        return self.start + len(self.ref)

    @property
    def same_length(self) -> bool:
        """Whether bases are replaced and none is shifted."""
        return len(self.ref) == len(self.alt)

    @staticmethod
    def read(line: str) -> Allele:
        """From a line of `items.tsv`."""
        record, number, start, ref, alt, chromosome = line.split("\t", 5)
        return Allele(int(record), int(number), chromosome, int(start), ref, alt)

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.start + 1} {self.ref}>{self.alt}"

    def line(self) -> str:
        """As a line of `items.tsv`."""
        parts = (self.record, self.number, self.start, self.ref, self.alt, self.chromosome)
        return "\t".join(map(str, parts))

    def normal(self, bases: Callable[[int, int], str]) -> Allele:
        """Trimmed to what changes, and as far to the left as it can be written.

        An insertion or deletion keeps one base before it (behind it at the chromosome's first base), as
        VCF has it; `bases` gives those of [start, end) of its chromosome. Source: Tan, Abecasis & Kang
        2015, Unified representation of genetic variants.
        """
        if self.same_length:
            return self._trimmed()
        start, ref, alt, before = self.start, self.ref, self.alt, ""
        while True:
            if ref and alt and ref[-1] == alt[-1]:
                ref, alt = ref[:-1], alt[:-1]
            elif ref and alt:
                break
            elif start > 0:
                if not before:
                    before = bases(max(start - STEP, 0), start).upper()
                start, before, base = start - 1, before[:-1], before[-1]
                ref, alt = base + ref, base + alt
            else:  # nothing is left of it: the base behind stands in
                base = bases(start + len(ref), start + len(ref) + 1).upper()
                ref, alt = ref + base, alt + base
                break
        while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
            start, ref, alt = start + 1, ref[1:], alt[1:]
        return replace(self, start=start, ref=ref, alt=alt)

    def _trimmed(self) -> Allele:
        differ = [at for at, (r, a) in enumerate(zip(self.ref, self.alt, strict=True)) if r != a]
        first, last = (differ[0], differ[-1] + 1) if differ else (0, len(self.ref))
        start = self.start + first
        return replace(self, start=start, ref=self.ref[first:last], alt=self.alt[first:last])
