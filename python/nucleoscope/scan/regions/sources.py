"""What is asked for -> the pieces that can be done, and the rejects, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nucleoscope.scan.genome.genome import Genome
from nucleoscope.scan.genome.regions import Region, parse_region, stream_bed
from nucleoscope.scan.regions.job import Piece
from nucleoscope.scan.regions.tiling import Tiling
from nucleoscope.scan.rejects import Reject

Regions = Path | str | Iterable[str] | None


def asked(regions: Regions, genome: Genome) -> Iterator[Region | Reject]:
    """The regions of a BED file, typed ones, or with None all chromosomes of the genome."""
    if regions is None:
        for name, size in genome.sizes.items():
            if size:
                yield Region(name, 0, size, name)
            else:
                yield Reject(name, "zero length", f"{name} has no bases")
    elif isinstance(regions, Path | str):
        yield from stream_bed(Path(regions))
    else:
        yield from map(parse_region, regions)


@dataclass
class Sieve:
    """Lets through what a genome has, under the genome's own names."""

    genome: Genome
    length: int | None  # every region is brought to it
    tiling: Tiling | None
    rows: int = 0  # let through so far
    first: Region | None = None
    reached: dict[str, int] = field(default_factory=dict)  # end of the last region, by chromosome

    def items(self, found: Iterable[Region | Reject]) -> Iterator[tuple[str, int] | Reject]:
        """Lines of items.tsv with their bases."""
        for region in found:
            fit = region if isinstance(region, Reject) else self._fit(region)
            if isinstance(fit, Reject):
                yield fit
                continue
            cut = self.tiling.pieces(fit.start, fit.end) if self.tiling else [(fit.start, fit.end)]
            for start, end in cut:
                yield Piece(self.rows, fit.chromosome, start, end).line(), end - start
                self.rows += 1

    def _fit(self, region: Region) -> Region | Reject:
        name = self.genome.find(region.chromosome)
        if name is None:
            return Reject(
                region.origin, "no such chromosome",
                f"{self.genome.path.name} has no sequence {region.chromosome!r}",
            )  # fmt: skip
        size = self.genome.sizes[name]
        if region.end > size:
            return Reject(
                region.origin, "beyond the end",
                f"{region} ends beyond {name}, which has {size:,} bases",
            )  # fmt: skip
        own = Region(name, region.start, region.end, region.origin)
        return self._as_row(own) if self.tiling is None else self._in_order(own)

    def _as_row(self, region: Region) -> Region | Reject:
        """Rows are of one length."""
        if self.length is not None:
            return region.resized(self.length)
        self.first = self.first or region
        if len(region) != len(self.first):
            return Reject(
                region.origin, "another length",
                f"{region} has {len(region):,} bases where {self.first} at {self.first.origin} has "
                f"{len(self.first):,}; give a length to bring all to",
            )  # fmt: skip
        return region

    def _in_order(self, region: Region) -> Region | Reject:
        """A base of a chromosome has one score: no region may begin before the last one's end."""
        reached = self.reached.get(region.chromosome, 0)
        if region.start < reached:
            kind = "overlapping or unsorted"
            return Reject(
                region.origin, kind,
                f"{region} begins before base {reached:,}, the end of a region above it; sort and merge",
            )  # fmt: skip
        self.reached[region.chromosome] = region.end
        return region
