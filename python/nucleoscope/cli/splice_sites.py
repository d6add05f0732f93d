"""Splice sites read off an attribution: where the strongest pairs of bases stand."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from nucleoscope import Attribution
from nucleoscope.files import whole_file
from nucleoscope.scan.letters import reverse_complement

KINDS = ("acceptor", "donor")  # the targets of SpliceSiteCount, in their order
SIGNAL = {"acceptor": "AG", "donor": "GT"}  # the intron's last and first two bases
APART = 50  # sites; a peak nearer to a higher one belongs to it, as branch points do
NEAR = 4  # sites between a peak and the edge of its exon
EDGE = 100  # sites at either end whose surroundings, as far as the net sees, are cut off
BESIDE = 10  # bases of context on either side of the pair
COLUMNS = ("rank", "kind", "chromosome", "position", "strand", "score", "signal", "context")


@dataclass(frozen=True)
class Stretch:
    """The explained DNA: a chromosome's bases from `start` on, counted from 0, forward strand."""

    chromosome: str
    start: int
    bases: str

    def strand(self, sign: str) -> str:
        """The bases of a strand in its own direction."""
        return self.bases if sign == "+" else reverse_complement(self.bases)

    def region(self, sign: str) -> dict[str, str | int]:
        """Where a strand lies, as an attribution tells it: from 0, half open, on the chromosome."""
        end = self.start + len(self.bases)
        return {"chromosome": self.chromosome, "start": self.start, "end": end, "strand": sign}

    def axis(self, sign: str) -> tuple[int, int]:
        """(1-based position of a strand's first base, step to its next)."""
        return (self.start + 1, 1) if sign == "+" else (self.start + len(self.bases), -1)


@dataclass(frozen=True)
class SpliceSite:
    """Two neighbouring bases of a strand that its acceptors or donors stand on."""

    kind: str
    pair: int  # site of the first of the two in the strand as it was explained
    strongest: int  # the site of the stronger of the two
    score: float  # its score
    strand: str
    chromosome: str
    position: int  # 1-based: the exon's first base (acceptor) or last (donor)
    signal: str
    context: str  # exon in capitals, the pair in brackets


def strongest_sites(
    attribution: Attribution, predicted: Tensor, sequence: int, strand: str, stretch: Stretch,
    count: int,
) -> list[SpliceSite]:  # fmt: skip
    """The `count` strongest sites of each kind on a strand, strongest first.

    A site is where two neighbouring bases add most to the expected number of acceptors or donors;
    `predicted` [kind, site], what the net gives each base, then says at which base near them the
    exon begins or ends.
    """
    bases = stretch.strand(strand)
    origin, step = stretch.axis(strand)
    found = []
    for target, kind in enumerate(KINDS):
        scores = attribution.scores[sequence, target].sum(0).double().numpy()  # [site]
        for peak in _peaks(scores, count):
            edge = _likeliest(predicted[target], peak + attribution.start)
            pair = edge - 2 if kind == "acceptor" else edge + 1
            held = scores[pair - attribution.start : pair - attribution.start + 2]
            site = SpliceSite(
                kind, pair, pair + int(held.argmax()), float(held.max()), strand,
                stretch.chromosome, origin + step * edge, bases[pair : pair + 2],
                _context(bases, pair, kind),
            )  # fmt: skip
            found.append(site)
    return sorted(found, key=lambda each: -each.score)


def _likeliest(predicted: Tensor, peak: int) -> int:
    """Where the net sees the edge of the exon that bases near `peak` belong to."""
    first = peak - NEAR
    return first + int(predicted[first : peak + NEAR + 2].argmax())


def _peaks(scores: np.ndarray[tuple[int], np.dtype[np.float64]], count: int) -> list[int]:
    """Where the pairs with the largest positive sums begin, `APART` from each other."""
    sums = scores[:-1] + scores[1:]
    sums[:EDGE] = sums[-EDGE:] = 0
    peaks: list[int] = []
    for at in map(int, np.argsort(-sums)):
        if len(peaks) == count or sums[at] <= 0:
            break
        if all(abs(at - other) >= APART for other in peaks):
            peaks.append(at)
    return peaks


def _context(bases: str, pair: int, kind: str) -> str:
    before, signal, after = (
        bases[max(pair - BESIDE, 0) : pair],
        bases[pair : pair + 2],
        bases[pair + 2 : pair + 2 + BESIDE],
    )
    exon_first = kind == "donor"
    before, after = (before, after.lower()) if exon_first else (before.lower(), after)
    return f"{before:>{BESIDE}}[{signal}]{after:<{BESIDE}}"


def rows(sites: list[SpliceSite]) -> list[tuple[str, ...]]:
    """The sites as a table, without its head."""
    return [
        (
            str(rank), s.kind, s.chromosome, str(s.position), s.strand, f"{s.score:.3f}", s.signal,
            s.context.strip(),
        )
        for rank, s in enumerate(sites, start=1)
    ]  # fmt: skip


def write_tsv(sites: list[SpliceSite], path: Path) -> Path:
    """All sites as tab-separated columns; the file appears complete or not at all."""
    with whole_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows(sites))
    return path


def as_table(sites: list[SpliceSite]) -> str:
    """The sites for people: aligned columns, positions with thousands set apart."""
    shown = [
        (f"{rank}", s.kind, f"{s.chromosome}:{s.position:,}", s.strand, f"{s.score:.3f}", s.context)
        for rank, s in enumerate(sites, start=1)
    ]
    head = ("#", "kind", "exon's edge", "strand", "score", "context (EXON, [signal], intron)")
    table = [head, *shown]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    right = {0, 4}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
