"""A job over variants: the windows in which alleles stand, and where the output's positions lie over these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from nucleoscope.engine.indels.aligned import aligned
from nucleoscope.scan.genome.genes import Genes
from nucleoscope.scan.genome.genome import Genome, open_genome
from nucleoscope.scan.shards.job import Runner
from nucleoscope.scan.variants.aligned import stitched
from nucleoscope.scan.variants.alleles import Allele
from nucleoscope.scan.variants.runner import Opened
from nucleoscope.scan.variants.scores import Floats, Scoring
from nucleoscope.scan.variants.strand import Strand


@dataclass(frozen=True)
class Lay:
    """Where the output's positions lie over a window: in its middle, `bin` bases each."""

    length: int  # bases of a window
    positions: int  # 0 where targets are read as single numbers
    bin: int

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first base of each position, counted from the window's."""
        first = (self.length - self.positions * self.bin) // 2
        return first + self.bin * np.arange(self.positions)

    def near(self, site: int, around: int) -> npt.NDArray[np.int64]:
        """The positions that hold a base of [site - around, site + around]."""
        starts = self.starts
        return np.flatnonzero((starts + self.bin > site - around) & (starts <= site + around))


@dataclass(frozen=True)
class VariantJob:
    """The mean of models' outputs for both alleles of every variant, each in a window with it in the middle."""

    models: Sequence[nn.Module]
    genome: Path
    scratch: Path
    parameters: Mapping[str, Any]
    scoring: Scoring
    lay: Lay
    shape: tuple[int, ...]  # of the output of one window
    spare: (
        int | None
    )  # bases that may be put in where variants share a sequence; None: they may not
    mirrored: bool  # whether the reverse complement is asked about too
    reverse_target: Any  # what target is there; None: the same
    genes: Genes | None
    threads: int

    @property
    def centre(self) -> int:
        """Where in its window a variant begins."""
        return self.lay.length // 2

    @property
    def shares(self) -> bool:
        """Whether variants that lie close may share a sequence."""
        return self.spare is not None

    @property
    def near(self) -> npt.NDArray[np.int64]:
        """The positions that are looked at."""
        assert self.scoring.around is not None
        return self.lay.near(self.centre, self.scoring.around)

    @property
    def targets(self) -> list[Any]:
        """As given, one or several."""
        return _listed(self.parameters.get("target"))

    @property
    def reverse_targets(self) -> list[Any]:
        """The same on the other strand."""
        return self.targets if self.reverse_target is None else _listed(self.reverse_target)

    def shareable(self, allele: Allele) -> bool:
        """Whether it may lie in a sequence with others: what it moves must stay in its window, its bases must
        be known, its first base must be the same on both strands, and what is moved is laid beside REF behind
        the mean of all models and strands."""
        more = len(allele.alt) - len(allele.ref)
        if self.spare is None or more > self.spare or set(allele.ref + allele.alt) - set("ACGT"):
            return False
        if len(self.models) > 1 or self.mirrored:
            return len(allele.alt) == len(allele.ref) and (
                not self.mirrored or len(allele.ref) == 1
            )
        return True

    def window(self, genome: Genome, allele: Allele, more: int = 0) -> str:
        """The bases of its window; behind it, or with a negative number before it, so many more."""
        start = allele.start - self.centre
        end = start + self.lay.length
        return genome.bases(allele.chromosome, start + min(more, 0), end + max(more, 0))

    def windows(self, genome: Genome, allele: Allele) -> list[str]:
        """REF's and ALT's, and where positions are several bases that of ALT which ends where REF's does."""
        ref, length, at = len(allele.ref), self.lay.length, self.centre
        longer = max(ref - len(allele.alt), 0)
        behind = self.window(genome, allele, longer)
        made = [behind[:length], (behind[:at] + allele.alt + behind[at + ref :])[:length]]
        if self.lay.positions and self.lay.bin > 1 and not allele.same_length:
            before, at = self.window(genome, allele, -longer), longer + at
            made.append((before[:at] + allele.alt + before[at + ref :])[-length:])
        return made

    def beside(self, allele: Allele, answers: Floats) -> Floats:
        """REF's output and its change, [2, T, P], from the outputs for `windows`."""
        if allele.same_length or not self.lay.positions:
            return np.stack([answers[0], answers[1] - answers[0]])
        ref, alt, starts = len(allele.ref), len(allele.alt), self.lay.starts
        if self.lay.bin == 1:
            there = aligned(answers[1], self.centre - int(starts[0]), ref, alt)
        else:
            there = stitched(answers[1], answers[2], starts, self.lay.bin, self.centre, ref, alt)
        return np.stack([answers[0], there - answers[0]])

    def open(self, held: ExitStack) -> Runner:
        """Opens the genome; the runner gives `scores` [variant, column, target], of `which` lines these are, and
        which of the others are `refused`."""
        genome = held.enter_context(open_genome(self.genome, self.scratch, beside=False))
        strands = [
            Strand(self, genome, model, mirrored)
            for model in self.models
            for mirrored in ((False, True) if self.mirrored else (False,))
        ]
        return Opened(self, genome, strands).run


def _listed(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]
