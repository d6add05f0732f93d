"""A job over regions, or over pieces of chromosomes: a method of the public face on each of their windows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nucleoscope.scan import rejects
from nucleoscope.scan.genome.genome import Genome, open_genome
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.regions.tiling import Tiling
from nucleoscope.scan.rejects import Refused, Reject
from nucleoscope.scan.shards.job import Arrays, Runner
from nucleoscope.scan.shards.shipping import listed
from nucleoscope.scan.trunk import Told, told

if TYPE_CHECKING:
    from nucleoscope import Attribution


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

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.start + 1}-{self.end}"


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
        """Opens the genome; the runner gives `scores`, their `axes`, and `which` lines they are of, and which of
        the others are `refused`; by a linear trunk also which sites are `exact`, and what each call says of the
        others (`trunk`)."""
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
        which, unscored, shown, refused = [], [], [], []
        for index, piece in enumerate(map(Piece.read, lines)):
            bases = self.genome.bases(piece.chromosome, piece.start, piece.end)
            try:
                shown.append(self._hot(bases, str(piece)))
            except Refused as why:
                refused.append(why.of(str(piece)))
            else:
                which.append(index)
                unscored.append(self._unscored(bases))
        scores = self._scores(torch.cat(shown)) if shown else np.zeros((0,), np.float32)
        for row, sites in enumerate(unscored):
            scores[row][..., sites] = np.nan
        made = self._made(which, scores, self.axes, refused)
        if shown and self.told:
            made |= {"exact": self.told.exact, "trunk": self.told.figures[None]}
        return made

    def tiles(self, lines: Sequence[str]) -> Arrays:
        """Piece by piece, each in its window: scores [..., site], one piece after the other."""
        found, which, exact, trunk, refused = [], [], [], [], []
        for index, piece in enumerate(map(Piece.read, lines)):
            try:
                scores = self._tile(piece)
            except Refused as why:
                refused.append(why.of(str(piece)))
                continue
            if scores is not None:
                found.append(scores)
                which.append(index)
                if self.told:
                    exact.append(self.told.exact[0])
                    trunk.append(self.told.figures)
        scores = np.concatenate(found, -1) if found else np.zeros((0,), np.float32)
        made = self._made(which, scores, self.axes[1:], refused)  # no axis of sequences
        if trunk:
            made |= {"exact": np.concatenate(exact), "trunk": np.stack(trunk)}
        return made

    def _made(
        self,
        which: list[int],
        scores: npt.NDArray[Any],
        axes: tuple[str, ...],
        refused: list[Reject],
    ) -> dict[str, npt.NDArray[Any]]:
        return {
            "which": np.array(which, np.int64), "scores": scores, "axes": np.array(axes, np.str_),
            "refused": rejects.kept(refused),
        }  # fmt: skip

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
        X = self._hot(bases, f"{name}:{lo + 1}-{hi}")
        try:
            found = self._scores(X, start=low, end=high)[0]
        except ValueError as error:
            if tiling.whole(lo, hi, self.genome.sizes[name]):
                raise Refused(
                    "too short",
                    f"the model does not take the {hi:,} bases that {name} has: {error}",
                ) from error
            raise
        scores: npt.NDArray[Any] = found[..., start - low : end - low]
        if tiling.joined:  # a mean over the window's positions, which are not the chromosome's
            scores *= np.float32(self._positions(bases))
        scores[..., unscored] = np.nan
        return scores

    def _hot(self, bases: str, name: str) -> Tensor:
        """One sequence as the model takes it. Raises Refused where it cannot be read."""
        given = self.job.parameters
        axes = given.get("alphabet", "ACGT"), given.get("layout", "NCL")
        return one_hot([bases], *axes, names=[name])

    def _scores(self, X: Tensor, **sites: int) -> npt.NDArray[Any]:
        import nucleoscope

        given = dict(self.job.parameters)
        method = getattr(nucleoscope, self.job.method)
        sited = "start" in inspect.signature(method).parameters
        result = method(self.job.model, X, **(sites if sited else {}), **given)
        self._check_sites(result, sites, X.shape[1 if given.get("layout") == "NLC" else 2])
        self.axes, self.told = result.axes, told(result)
        scores: npt.NDArray[Any] = result.scores.cpu().numpy().copy()
        return scores if sited else scores[..., slice(sites.get("start"), sites.get("end"))]

    def _check_sites(self, result: Attribution, sites: Mapping[str, int], length: int) -> None:
        """Raise ValueError where there is not a score a base: of tokens, or of blocks."""
        import nucleoscope

        method = getattr(nucleoscope, self.job.method)
        takes = inspect.signature(method).parameters
        wanted = sites["end"] - sites["start"] if sites and "start" in takes else length
        if result.scores.shape[-1] != wanted:
            spread = (
                "; per_base=True (on the command line: --set per_base=true) lays them over bases"
            )
            raise ValueError(
                f"{self.job.method} gives {result.scores.shape[-1]:,} scores, one a {result.axes[-1]}, for "
                f"{wanted:,} bases: a scan lays down a score a base"
                + spread
                * ("per_base" in takes)
            )

    def _positions(self, bases: str) -> int:
        """How many positions the output has for a window of this length."""
        if len(bases) not in self.positions:
            import nucleoscope

            asked = {k: v for k, v in self.job.parameters.items() if k in PLANNED}
            X = self._hot(bases, "the window")
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
