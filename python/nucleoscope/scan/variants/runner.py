"""Variants on a worker: what the models make of both alleles on the strands asked, and the scores of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.scan import rejects
from nucleoscope.scan.genome.genome import Genome
from nucleoscope.scan.rejects import Refused, apart
from nucleoscope.scan.shards.job import Arrays
from nucleoscope.scan.variants.alleles import Allele
from nucleoscope.scan.variants.scores import Floats, stacked
from nucleoscope.scan.variants.strand import Strand

if TYPE_CHECKING:
    from nucleoscope.scan.variants.job import VariantJob

AT_ONCE = 1 << 25  # bytes of windows in one call
SPAN = 1 << 15  # bases over which variants share one sequence
VERIFIED = 1e-4  # of the output: by how much a float32 model's own answers may differ
Numbered = tuple[int, Allele]  # by its line in the shard


@dataclass
class Opened:
    """A job made ready: its models on the strands asked, and the genome."""

    job: VariantJob
    genome: Genome
    strands: list[Strand]

    def run(self, lines: Sequence[str]) -> Arrays:
        """The arrays that `VariantJob.open` speaks of."""
        numbered = list(enumerate(map(Allele.read, lines)))
        size = max(AT_ONCE // (16 * self.job.lay.length), 1)
        if self.job.shares:
            size = len(numbered)
        which: list[int] = []
        scores, refused = [], []
        for at in range(0, len(numbered), size):
            found, others = apart(numbered[at : at + size], self._found, lambda one: str(one[1]))
            refused += others
            for chosen, outputs in found:
                rows = list(zip(chosen, np.moveaxis(outputs, 1, 0), strict=True))
                made, others = apart(rows, self._scores, lambda row: str(row[0][1]))
                refused += others
                for done, values in made:
                    which += [number for (number, _), _ in done]
                    scores.append(values)
        return {
            "which": np.array(which, np.int64),
            "scores": np.concatenate(scores or [np.zeros((0, 1, 1))]).astype(np.float32),
            "refused": rejects.kept(refused),
        }

    def _found(self, numbered: Sequence[Numbered]) -> Floats:
        """REF's output and its change, [2, M, T, W] where they are looked at, or for genes [2, M, T, P]."""
        alleles = [allele for _, allele in numbered]
        if self.job.genes:
            return np.stack([self._by_the_models(allele) for allele in alleles], 1)
        return self._near(alleles)

    def _scores(self, rows: Sequence[tuple[Numbered, Floats]]) -> Floats:
        """[M, columns, T] of alleles, each with what `_found` has of it. Raises Refused."""
        job, alleles = self.job, [allele for (_, allele), _ in rows]
        found = np.stack([outputs for _, outputs in rows], 1)
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
            raise Refused(
                "beyond the output",
                f"{alleles[int(cut.argmax())]}: the output ends within the {self.job.scoring.around} bases "
                "looked at",
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
