"""Exons of genes, and which positions of an output hold a base of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nucleoscope.scan.genome.genome import other_name

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Genes:
    """Exons by chromosome, sorted by start; several may be of one gene, and overlap."""

    names: Sequence[str]
    exons: dict[str, Ints]  # [exon, (start, end, gene)]

    @staticmethod
    def read(path: Path) -> Genes:
        """From a BED file whose fourth column is the gene's name, a line an exon.

        Raises ValueError for a line that is no exon, naming it, and for a file without any.
        """
        names: dict[str, int] = {}
        rows: dict[str, list[tuple[int, int, int]]] = {}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            columns = line.split("\t")
            if not line.strip() or columns[0].startswith(("#", "track", "browser")):
                continue
            whole = len(columns) > 3 and columns[1].isdecimal() and columns[2].isdecimal()
            if not whole or not int(columns[1]) < int(columns[2]) or not columns[3].strip():
                raise ValueError(
                    f"{path.name} line {number} is no exon: chromosome, start, end and the gene's name, with "
                    f"tabs between, not {line!r}"
                )
            name = columns[3].strip()
            if set(name) & set(" ;=,"):
                raise ValueError(f"{path.name} line {number}: {name!r} cannot stand in a VCF")
            gene = names.setdefault(name, len(names))
            rows.setdefault(columns[0], []).append((int(columns[1]), int(columns[2]), gene))
        if not rows:
            raise ValueError(f"{path.name} holds no exons")
        exons = {chromosome: np.array(sorted(held), np.int64) for chromosome, held in rows.items()}
        return Genes(list(names), exons)

    def over(
        self, chromosome: str, starts: Ints, wide: int
    ) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        """The genes that have a base in positions of `wide` bases from `starts` on, and in which, by name."""
        own_names = (chromosome, other_name(chromosome))
        held = [self.exons[name] for name in own_names if name in self.exons]
        if not held:
            return
        first, last = int(starts[0]), int(starts[-1]) + wide
        exons = np.concatenate(held)
        near = exons[(exons[:, 0] < last) & (exons[:, 1] > first)]
        for gene in np.unique(near[:, 2]):
            own = near[near[:, 2] == gene]
            yield (
                int(gene),
                ((starts[:, None] < own[:, 1]) & (starts[:, None] + wide > own[:, 0])).any(1),
            )
