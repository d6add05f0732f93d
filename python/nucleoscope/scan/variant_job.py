"""Variants on a worker: their windows, what the model makes of both alleles, and the scores of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nucleoscope.engine.read import Read
from nucleoscope.naive.methods.full_float32 import full_float32
from nucleoscope.scan.aligned import aligned, stitched
from nucleoscope.scan.alleles import Allele
from nucleoscope.scan.genome import Genome, open_genome
from nucleoscope.scan.job import Arrays, Runner
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.scores import Floats, Scoring, stacked

AT_ONCE = 1 << 25  # bytes of windows in one call
TOGETHER = 1 << 20  # bases in one batch of the model itself
SPAN = 1 << 14  # bases over which variants share one sequence
VERIFIED = 1e-4  # of the output: by how much a float32 model's own answers may differ


@dataclass(frozen=True)
class Lay:
    """Where the output's positions lie over a window: in its middle, `bin` bases each."""

    length: int  # bases of a window
    positions: int
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
    """The model's output for both alleles of every variant, each in a window with the variant in its middle."""

    model: nn.Module
    genome: Path
    scratch: Path
    parameters: Mapping[str, Any]
    scoring: Scoring
    lay: Lay  # positions: 0 where targets are read as single numbers
    shape: tuple[int, ...]  # of the output of one window
    shares: bool  # whether variants that lie close may share a sequence
    threads: int

    @property
    def centre(self) -> int:
        """Where in its window a variant begins."""
        return self.lay.length // 2

    @property
    def near(self) -> npt.NDArray[np.int64]:
        """The positions that are looked at."""
        assert self.scoring.around is not None
        return self.lay.near(self.centre, self.scoring.around)

    @property
    def targets(self) -> list[Any]:
        """As given, one or several."""
        target = self.parameters.get("target")
        return target if isinstance(target, list) else [target]

    def open(self, held: ExitStack) -> Runner:
        """Opens the genome; the runner gives `scores` [variant, column, target] of all lines."""
        return _Opened(self, held.enter_context(open_genome(self.genome, self.scratch))).run


def track(target: Any, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The numbers of one sequence's output that a target selects, one a position.

    Raises ValueError where that leaves other than one axis.
    """
    numbers = torch.arange(int(np.prod(shape))).view(shape)
    picked = numbers if target is None else numbers[target]
    if picked.ndim != 1:
        raise ValueError(
            f"target={target!r}: around= looks at positions of the output, whose shape for one sequence is "
            f"{shape}; a target must name all but the axis of positions, such as 1 for shape (3, P) or "
            "(slice(None), 1) for (P, 3)"
        )
    return picked.numpy()


@dataclass
class _Opened:
    job: VariantJob
    genome: Genome

    def run(self, lines: Sequence[str]) -> Arrays:
        alleles = [Allele.read(line) for line in lines]
        size = max(AT_ONCE // (16 * self.job.lay.length), 1)
        kept = [self._scores(alleles[at : at + size]) for at in range(0, len(alleles), size)]
        return {"scores": np.concatenate(kept).astype(np.float32)}

    def _scores(self, alleles: list[Allele]) -> Floats:
        same = np.array([allele.same_length for allele in alleles])
        before, change = self._by_deltas([a for a in alleles if a.same_length])
        found = np.zeros((2, len(alleles), *before.shape[1:]))
        found[:, same] = before, change
        for at in np.flatnonzero(~same):
            found[:, at] = self._by_the_model(alleles[at])
        return stacked(self.job.scoring.of(found[0], found[1], self._offsets()))

    def _offsets(self) -> npt.NDArray[np.int64]:
        if self.job.scoring.around is None:
            return np.zeros(1, np.int64)
        return self.job.lay.starts[self.job.near] - self.job.centre

    def _window(self, allele: Allele, more: int = 0) -> str:
        """The bases of its window; behind it, or with a negative number before it, so many more."""
        start = allele.start - self.job.centre
        end = start + self.job.lay.length
        return self.genome.bases(allele.chromosome, start + min(more, 0), end + max(more, 0))

    def _hot(self, windows: list[str]) -> Tensor:
        given = self.job.parameters
        return one_hot(windows, given.get("alphabet", "ACGT"), given.get("layout", "NCL"))

    def _by_deltas(self, alleles: list[Allele]) -> tuple[Floats, Floats]:
        """REF's output and its change, [M, T, W], of alleles that shift nothing: many sites a call."""
        targets = self._asked()
        found = np.zeros(
            (2, len(alleles), len(self.job.targets), len(targets) // len(self.job.targets))
        )
        shared = self._shared(alleles)
        for group in shared:
            found[:, group] = self._in_one([alleles[at] for at in group])
        alone = np.setdiff1d(np.arange(len(alleles)), [at for group in shared for at in group])
        if self.job.shares:  # few that lie far apart: two runs are less than an original in float64
            for at in alone:
                found[:, at] = self._by_the_model(alleles[at])
        elif len(alone):
            found[:, alone] = self._each([alleles[at] for at in alone], targets)
        if shared:
            self._verify([alleles[at] for at in shared[0]], found[:, shared[0]])
        return found[0], found[1]

    def _asked(self) -> list[Any]:
        """The targets of a window with a variant in its middle: position by position, where they are looked at."""
        job = self.job
        if job.scoring.around is None:
            return job.targets
        picked = [track(target, job.shape)[job.near] for target in job.targets]
        return [at for row in picked for at in _indices(row, job.shape)]

    def _each(self, alleles: list[Allele], targets: list[Any]) -> Floats:
        """In windows of their own, which alleles of one place share: [2, M, T, W]."""
        import nucleoscope

        job = self.job
        places = {(a.chromosome, a.start): a for a in alleles}
        rows = {place: row for row, place in enumerate(places)}
        found = nucleoscope.variant_effect(
            job.model, self._hot([self._window(a) for a in places.values()]),
            [rows[a.chromosome, a.start] for a in alleles], [job.centre] * len(alleles),
            [a.ref for a in alleles], [a.alt for a in alleles], **{**job.parameters, "target": targets},
        )  # fmt: skip
        return self._both(found.before.expand_as(found.changes), found.changes)

    def _shared(self, alleles: list[Allele]) -> list[list[int]]:
        """Those that lie so close that one sequence for all is less work than a window each."""
        if not self.job.shares:
            return []
        order = sorted(
            range(len(alleles)), key=lambda at: (alleles[at].chromosome, alleles[at].start)
        )
        groups: list[list[int]] = []
        for at in order:
            first = alleles[groups[-1][0]] if groups else None
            near = first and first.chromosome == alleles[at].chromosome
            if first and near and alleles[at].end - first.start <= SPAN:
                groups[-1].append(at)
            else:
                groups.append([at])
        enough = 1.25 * (1 + SPAN / self.job.lay.length)
        return [g for g in groups if len({alleles[at].start for at in g}) > enough]

    def _in_one(self, alleles: list[Allele]) -> Floats:
        """In one sequence for all, always of one length, so that it is traced once: [2, M, T, W]."""
        import nucleoscope

        job = self.job
        assert job.scoring.around is not None
        low = alleles[0].start - job.centre
        high = low + job.lay.length + SPAN
        bases = self.genome.bases(alleles[0].chromosome, low, high)
        found = nucleoscope.profile_effect(
            job.model, self._hot([bases]), [0] * len(alleles), [a.start - low for a in alleles],
            [a.ref for a in alleles], [a.alt for a in alleles], around=job.scoring.around,
            **{**job.parameters, "target": job.targets, "verify": 0},
        )  # fmt: skip
        return self._both(found.before, found.changes)

    def _both(self, before: Tensor, change: Tensor) -> Floats:
        shape = (2, len(change), len(self.job.targets), -1)
        return torch.stack([before, change]).double().reshape(shape).numpy()

    def _verify(self, alleles: list[Allele], found: Floats) -> None:
        """Hold variants of a shared sequence to the model itself on windows of their own."""
        import nucleoscope

        count = min(self.job.parameters.get("verify", 2), len(alleles))
        strongest = int(np.abs(found[1]).max((1, 2)).argmax())
        others = (at for at in range(len(alleles)) if at != strongest)
        for at in islice(chain([strongest], others), count):
            held = self._window(alleles[at])
            middle, allele = self.job.centre, alleles[at]
            edited = held[:middle] + allele.alt + held[middle + len(allele.ref) :]
            answers = np.stack(list(self._answers([held, edited])))[..., self.job.near]
            off = np.abs(answers[1] - answers[0] - found[1, at]).max()
            allowed = VERIFIED * (np.abs(answers).max() + np.abs(found[1]).max())
            if not off <= allowed:
                raise nucleoscope.Disagreement(
                    f"the engine and the model disagree about {allele}: by {off:.1e}, allowed {allowed:.1e}"
                )

    def _by_the_model(self, allele: Allele) -> Floats:
        """REF's output and its change, [2, T, W], of an insertion or a deletion."""
        job, at = self.job, self.job.centre
        ref, alt = len(allele.ref), len(allele.alt)
        longer, length = max(ref - alt, 0), job.lay.length
        behind, before = self._window(allele, longer), self._window(allele, -longer)
        put = behind[:at] + allele.alt + behind[at + ref :]
        windows = [behind[:length], put[:length]]
        if job.lay.bin > 1 and job.scoring.around is not None:
            put = before[: longer + at] + allele.alt + before[longer + at + ref :]
            windows.append(put[-length:])
        answers = list(self._answers(windows))
        if job.scoring.around is None:
            return np.stack([answers[0], answers[1] - answers[0]])
        starts, site = job.lay.starts, at - int(job.lay.starts[0])
        if job.lay.bin == 1:
            there = aligned(answers[1], site, ref, alt)
        else:
            there = stitched(answers[1], answers[2], starts, job.lay.bin, at, ref, alt)
        both = np.stack([answers[0], there - answers[0]])[..., job.near]
        if np.isnan(both).any():
            raise ValueError(
                f"{allele}: the output ends within the {job.scoring.around} bases looked at"
            )
        return both

    def _answers(self, windows: list[str]) -> Iterator[Floats]:
        """What the model makes of each window: [T, 1], or [T, P] at all positions."""
        job = self.job
        target, func = job.parameters.get("target"), job.parameters.get("func")
        read = Read(target if isinstance(target, list) else [target], func)
        like = next((p for p in job.model.parameters() if p.is_floating_point()), torch.zeros(()))
        size = max(TOGETHER // job.lay.length, 1)
        for at in range(0, len(windows), size):
            X = self._hot(windows[at : at + size]).to(like)
            with torch.no_grad(), full_float32({X.device}):
                if job.scoring.around is None:
                    made = read(job.model(X))[..., None]
                else:
                    picked = np.stack([track(t, job.shape) for t in job.targets])
                    made = job.model(X).flatten(1)[:, torch.from_numpy(picked)]
            yield from made.double().cpu().numpy()


def _indices(flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Flat numbers of an output as tuples that index it."""
    return [tuple(map(int, at)) for at in np.transpose(np.unravel_index(flat, shape))]
