"""A job: a method over items. What a shard of it gives are named arrays, the same wherever it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nucleoscope.scan.genome import Genome, open_genome
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.shipping import listed
from nucleoscope.scan.tiling import Tiling
from nucleoscope.scan.trunk import Told, told

Arrays = Mapping[str, npt.NDArray[Any]]
Runner = Callable[[Sequence[str]], Arrays]  # the lines of a shard -> its arrays


class Job(Protocol):
    """What travels to every worker once; items travel as the lines of `items.tsv`."""

    @property
    def threads(self) -> int:
        """Of torch, for every shard alike: the number decides last bits."""
        ...

    def open(self, held: ExitStack) -> Runner:
        """Make ready on a worker; what is to be closed again goes into `held`."""
        ...


@dataclass(frozen=True)
class Piece:
    """Bases [start, end) of a chromosome whose scores one call gives."""

    row: int  # of the store, where regions are rows
    chromosome: str
    start: int
    end: int

    @staticmethod
    def read(line: str) -> Piece:
        """From a line of `items.tsv`."""
        row, start, end, chromosome = line.split("\t", 3)
        return Piece(int(row), chromosome, int(start), int(end))

    def line(self) -> str:
        """As a line of `items.tsv`."""
        return f"{self.row}\t{self.start}\t{self.end}\t{self.chromosome}"


@dataclass(frozen=True)
class RegionJob:
    """A method of the public face over regions, or over pieces of chromosomes by a tiling."""

    model: nn.Module | Sequence[nn.Module]
    genome: Path
    scratch: Path
    method: str
    parameters: Mapping[str, Any]
    tiling: Tiling | None  # None: every piece is a sequence of its own
    skip_masked: bool
    threads: int

    def open(self, held: ExitStack) -> Runner:
        """Opens the genome; the runner gives `scores`, their `axes`, and `which` lines they are of; by a linear
        trunk also which sites are `exact`, and what each call says of the others (`trunk`)."""
        genome = held.enter_context(open_genome(self.genome, self.scratch, beside=False))
        made = _Opened(self, genome)
        return made.rows if self.tiling is None else made.tiles


@dataclass
class _Opened:
    job: RegionJob
    genome: Genome
    positions: dict[int, int] = field(default_factory=dict)  # of the output, by length of window
    axes: tuple[str, ...] = ()  # of the method's scores
    told: Told | None = None  # of the last call, by a linear trunk

    def rows(self, lines: Sequence[str]) -> Arrays:
        """All pieces of one length in one call: scores [piece, ..., site]."""
        pieces = [Piece.read(line) for line in lines]
        bases = [self.genome.bases(p.chromosome, p.start, p.end) for p in pieces]
        scores = self._scores(bases, [f"{p.chromosome}:{p.start + 1}-{p.end}" for p in pieces])
        for row, sequence in enumerate(bases):
            scores[row][..., self._unscored(sequence)] = np.nan
        made = {"which": np.arange(len(pieces)), "scores": scores, "axes": np.array(self.axes)}
        if self.told:
            made |= {"exact": self.told.exact, "trunk": self.told.figures[None]}
        return made

    def tiles(self, lines: Sequence[str]) -> Arrays:
        """Piece by piece, each in its window: scores [..., site], one piece after the other."""
        found, which, exact, trunk = [], [], [], []
        for index, piece in enumerate(map(Piece.read, lines)):
            scores = self._tile(piece)
            if scores is not None:
                found.append(scores)
                which.append(index)
                if self.told:
                    exact.append(self.told.exact[0])
                    trunk.append(self.told.figures)
        scores = np.concatenate(found, -1) if found else np.zeros((0,), np.float32)
        axes = np.array(self.axes[1:])  # without that of sequences
        made = {"which": np.array(which, np.int64), "scores": scores, "axes": axes}
        if trunk:
            made |= {"exact": np.concatenate(exact), "trunk": np.stack(trunk)}
        return made

    def _tile(self, piece: Piece) -> npt.NDArray[Any] | None:
        assert self.job.tiling is not None
        tiling, name = self.job.tiling, piece.chromosome
        lo, hi = tiling.window(piece.start, self.genome.sizes[name])
        bases = self.genome.bases(name, lo, hi)
        start, end = piece.start - lo, piece.end - lo
        unscored = self._unscored(bases[start:end])
        if unscored.all():
            return None
        # A sequence that is moved needs more sites than it is moved by; those beside the piece are cut off.
        more = max((abs(each) for each in self.job.parameters.get("shifts", (0,))), default=0)
        low, high = max(start - more, 0), min(end + more, len(bases))
        found = self._scores([bases], [f"{name}:{lo + 1}-{hi}"], start=low, end=high)[0]
        scores: npt.NDArray[Any] = found[..., start - low : end - low]
        if tiling.joined:  # a mean over the window's positions, which are not the chromosome's
            scores *= np.float32(self._positions(bases))
        scores[..., unscored] = np.nan
        return scores

    def _scores(self, bases: list[str], names: list[str], **sites: int) -> npt.NDArray[Any]:
        import nucleoscope

        given = dict(self.job.parameters)
        axes = given.get("alphabet", "ACGT"), given.get("layout", "NCL")
        X = one_hot(bases, *axes, names=names)
        method = getattr(nucleoscope, self.job.method)
        sited = "start" in inspect.signature(method).parameters
        result = method(self.job.model, X, **(sites if sited else {}), **given)
        self.axes, self.told = result.axes, told(result)
        scores: npt.NDArray[Any] = result.scores.cpu().numpy().copy()
        return scores if sited else scores[..., slice(sites.get("start"), sites.get("end"))]

    def _positions(self, bases: str) -> int:
        """How many positions the output has for a window of this length."""
        if len(bases) not in self.positions:
            import nucleoscope

            asked = {k: v for k, v in self.job.parameters.items() if k in PLANNED}
            axes = asked.get("alphabet", "ACGT"), asked.get("layout", "NCL")
            X = one_hot([bases], *axes)
            plans = [nucleoscope.plan(model, X, **asked) for model in listed(self.job.model)]
            lengths = {plan.output_axes.length for plan in plans}
            if len(lengths) > 1:
                raise ValueError(
                    f"model: outputs of {sorted(lengths)} positions have no common sum; scan each by itself"
                )
            self.positions[len(bases)] = lengths.pop()
        return self.positions[len(bases)]

    def _unscored(self, bases: str) -> npt.NDArray[np.bool_]:
        """Where no base is known, or a masked one is to be left out."""
        codes = np.frombuffer(bases.encode("latin-1", "replace"), np.uint8)
        unknown: npt.NDArray[np.bool_] = (codes == ord("N")) | (codes == ord("n"))
        if self.job.skip_masked:
            unknown |= codes >= ord("a")
        return unknown


PLANNED = {"target", "func", "layout", "alphabet", "precision", "memory", "device"}


def run_with_threads(threads: int, runner: Runner, lines: Sequence[str]) -> Arrays:
    """Run a shard by so many of torch's threads; the number decides the last bits of a result."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return runner(lines)
    finally:
        torch.set_num_threads(before)
