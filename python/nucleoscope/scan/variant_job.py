"""Variants on a worker: what the models make of both alleles on the strands asked, and the scores of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from nucleoscope.engine.aligned import aligned
from nucleoscope.engine.verify import Disagreement
from nucleoscope.scan.aligned import stitched
from nucleoscope.scan.alleles import Allele
from nucleoscope.scan.genes import Genes
from nucleoscope.scan.genome import Genome, open_genome
from nucleoscope.scan.job import Arrays, Runner
from nucleoscope.scan.scores import Floats, Scoring, stacked
from nucleoscope.scan.strand import Strand

AT_ONCE = 1 << 25  # bytes of windows in one call
SPAN = 1 << 15  # bases over which variants share one sequence
VERIFIED = 1e-4  # of the output: by how much a float32 model's own answers may differ


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
        """Opens the genome; the runner gives `scores` [variant, column, target] of all lines."""
        genome = held.enter_context(open_genome(self.genome, self.scratch, beside=False))
        strands = [
            Strand(self, genome, model, mirrored)
            for model in self.models
            for mirrored in ((False, True) if self.mirrored else (False,))
        ]
        return _Opened(self, genome, strands).run


def _listed(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]


@dataclass
class _Opened:
    job: VariantJob
    genome: Genome
    strands: list[Strand]

    def run(self, lines: Sequence[str]) -> Arrays:
        alleles = [Allele.read(line) for line in lines]
        size = max(AT_ONCE // (16 * self.job.lay.length), 1)
        if self.job.shares:
            size = len(alleles)
        kept = [self._scores(alleles[at : at + size]) for at in range(0, len(alleles), size)]
        return {"scores": np.concatenate(kept).astype(np.float32)}

    def _scores(self, alleles: list[Allele]) -> Floats:
        job = self.job
        if job.genes:
            found = np.stack([self._by_the_models(allele) for allele in alleles], 1)
        else:
            found = self._near(alleles)
        near, offsets = found, np.zeros(1, np.int64)
        if job.lay.positions:
            offsets = job.lay.starts[job.near] - job.centre
            near = found[..., job.near] if job.genes else found
            self._check_ends(alleles, near)
        made = job.scoring.of(near[0], near[1], offsets)
        if job.genes:
            begins = [a.start - job.centre + job.lay.starts for a in alleles]
            over = [
                list(job.genes.over(a.chromosome, b, job.lay.bin))
                for a, b in zip(alleles, begins, strict=True)
            ]
            made |= job.scoring.of_genes(found[0], found[1], over)
        return stacked(made)

    def _check_ends(self, alleles: list[Allele], near: Floats) -> None:
        cut = np.isnan(near).any((0, 2, 3))
        if cut.any():
            raise ValueError(
                f"{alleles[int(cut.argmax())]}: the output ends within the {self.job.scoring.around} bases "
                "looked at"
            )

    def _near(self, alleles: list[Allele]) -> Floats:
        """REF's output and its change where it is looked at, [2, M, T, W]."""
        try:  # verification tells whether originals in float32 are enough
            return self._verified(alleles, double=not self.job.parameters.get("verify", 2))
        except Disagreement:
            return self._verified(alleles, double=True)

    def _verified(self, alleles: list[Allele], double: bool) -> Floats:
        shared = self._shared(alleles)
        together = [at for group in shared for at in group]
        alone = np.setdiff1d(np.arange(len(alleles)), together)
        same = np.array([a.same_length for a in alleles])
        # A few that lie far apart: two runs are less than an original in float64.
        deltas = np.zeros(0, np.int64) if self.job.shares else alone[same[alone]]

        def in_one(group: list[int]) -> Floats:
            chosen = [alleles[at] for at in group]
            return self._mean(lambda strand: strand.one_sequence(chosen, SPAN, double))

        parts = [(group, in_one(group)) for group in shared]
        if len(deltas):
            own = [alleles[at] for at in deltas]
            parts.append((list(deltas), self._mean(lambda strand: strand.own_windows(own))))
        for at in np.setdiff1d(alone, deltas):
            parts.append(([int(at)], self._looked_at(self._by_the_models(alleles[at]))[:, None]))
        found = np.zeros((2, len(alleles), *parts[0][1].shape[2:]))
        for which, values in parts:
            found[:, which] = values
        if together:
            self._verify([alleles[at] for at in together], found[:, together])
        return found

    def _mean(self, asked: Callable[[Strand], Floats]) -> Floats:
        """Over all models and strands."""
        made: Floats = np.mean([asked(strand) for strand in self.strands], 0)
        return made

    def _by_the_models(self, allele: Allele) -> Floats:
        """REF's output and its change, [2, T, P] at all positions, by runs of the models themselves."""
        windows = self.job.windows(self.genome, allele)
        answers = self._mean(lambda strand: np.stack(list(strand.answers(windows))))
        return self.job.beside(allele, answers)

    def _looked_at(self, whole: Floats) -> Floats:
        return whole[..., self.job.near] if self.job.lay.positions else whole

    def _shared(self, alleles: list[Allele]) -> list[list[int]]:
        """Those that lie so close that one sequence for all is less work than a window each."""
        if not self.job.shares:
            return []
        order = sorted(
            (at for at in range(len(alleles)) if self.job.shareable(alleles[at])),
            key=lambda at: (alleles[at].chromosome, alleles[at].start),
        )
        groups: list[list[int]] = []
        for at in order:
            first, one = alleles[groups[-1][0]] if groups else None, alleles[at]
            reached = one.end + max(len(one.ref) - len(one.alt), 0)
            if first and first.chromosome == one.chromosome and reached - first.start <= SPAN:
                groups[-1].append(at)
            else:
                groups.append([at])
        enough = 1.25 * (1 + SPAN / self.job.lay.length)
        return [g for g in groups if len({alleles[at].start for at in g}) > enough]

    def _verify(self, alleles: list[Allele], found: Floats) -> None:
        """Hold variants of shared sequences to the model itself on windows of their own."""
        count = min(self.job.parameters.get("verify", 2), len(alleles))
        strongest = int(np.abs(found[1]).max((1, 2)).argmax())
        random = np.random.default_rng(0).permutation(len(alleles)).tolist()
        others = (at for at in random if at != strongest)
        for at in islice(chain([strongest], others), count):
            answers = self._looked_at(self._by_the_models(alleles[at]))
            off = np.abs(answers[1] - found[1, at]).max()
            allowed = VERIFIED * (np.abs(answers).max() + np.abs(found[1]).max())
            if not off <= allowed:
                raise Disagreement(
                    f"the engine and the model disagree about {alleles[at]}: by {off:.1e}, allowed {allowed:.1e}"
                )
