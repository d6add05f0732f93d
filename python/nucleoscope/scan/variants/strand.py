"""One model asked about variants on one strand; what it gives is told along the genome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.steady import takes_one
from nucleoscope.engine.prepare import Asked, ask
from nucleoscope.engine.tracing.cache import doubled
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.profiles import profiles
from nucleoscope.methods.edits.variants import read_variants
from nucleoscope.naive.methods.full_float32 import full_float32
from nucleoscope.scan.genome.genome import Genome
from nucleoscope.scan.letters import one_hot, reverse_complement
from nucleoscope.scan.variants.alleles import Allele
from nucleoscope.scan.variants.scores import Floats

if TYPE_CHECKING:
    from nucleoscope.scan.variants.job import VariantJob

TOGETHER = 1 << 20  # bases in one batch of the model itself


@dataclass(frozen=True)
class Strand:
    """A model, and whether it is shown the reverse complement."""

    job: VariantJob
    genome: Genome
    model: nn.Module
    mirrored: bool
    held: list[tuple[nn.Module, Asked, bool]] = field(default_factory=list, compare=False)

    def own_windows(self, alleles: list[Allele]) -> Floats:
        """REF's output and its change, [2, M, T, W], of alleles that shift nothing, by deltas in windows of
        their own, which alleles of one place share."""
        import nucleoscope

        job = self.job
        places = {(a.chromosome, a.start, len(a.ref)): a for a in alleles}
        rows = {place: row for row, place in enumerate(places)}
        found = nucleoscope.variant_effect(
            self.model, self._hot([job.window(self.genome, a) for a in places.values()]),
            [rows[a.chromosome, a.start, len(a.ref)] for a in alleles],
            [self._turned(job.centre, len(a.ref), job.lay.length) for a in alleles],
            *self._letters(alleles), **{**self._given(), "target": self._near_targets()},
        )  # fmt: skip
        return self._both(found.before.expand_as(found.changes), found.changes)

    def one_sequence(self, alleles: list[Allele], span: int, double: bool) -> Floats:
        """The same of any alleles in one sequence for all, always of one length, so that it is traced once;
        with `double` the original in float64."""
        job = self.job
        assert job.scoring.around is not None
        low = alleles[0].start - job.centre
        wide = job.lay.length + span
        bases = self.genome.bases(alleles[0].chromosome, low, low + wide)
        options = Options(**{**self._given(), "target": self._targets, "verify": 0})
        variants = read_variants(
            [0] * len(alleles), [self._turned(a.start - low, len(a.ref), wide) for a in alleles],
            *self._letters(alleles), options.alphabet,
        )  # fmt: skip
        found = profiles(
            self.model,
            self._hot([bases]),
            None,
            variants,
            job.scoring.around,
            options,
            double=double,
        )
        both = self._both(found.before, found.changes)
        return (
            both[..., ::-1] if self.mirrored else both
        )  # of single bases there, as `VariantJob.shareable` has it

    def answers(self, windows: list[str]) -> Iterator[Floats]:
        """What the model makes of each window: [T, 1], or [T, P] at all positions along the genome."""
        job = self.job
        read = Read(self._targets, job.parameters.get("func"))
        if not self.held:
            self.held.append(self._ready(windows[0], Read(None) if job.lay.positions else read))
        net, asked, single = self.held[0]
        size = 1 if single else max(TOGETHER // job.lay.length, 1)
        for at in range(0, len(windows), size):
            X = self._hot(windows[at : at + size]).to(asked.home, asked.dtype)
            with torch.no_grad(), full_float32({X.device}):
                if not job.lay.positions:
                    made = read(net(X))[..., None]
                else:
                    picked = np.stack([track(t, job.shape) for t in self._targets])
                    made = net(X).flatten(1)[:, torch.from_numpy(picked)]
            values = made.double().cpu().numpy()
            yield from values[..., ::-1] if self.mirrored and job.lay.positions else values

    def _ready(self, window: str, read: Read) -> tuple[nn.Module, Asked, bool]:
        """The model, checked, in the number type asked for; and whether it takes one sequence at a time only."""
        given = self.job.parameters
        asked = ask(
            self.model, self._hot([window]), None, start=0, end=None, layout=given.get("layout", "NCL"),
            alphabet=given.get("alphabet", "ACGT"), precision=given.get("precision", "fp32"), memory=None,
            device=None,
        )  # fmt: skip
        with full_float32({asked.home}):
            single = takes_one(asked.model, asked.inputs, read)
        return doubled(asked.model) if asked.dtype != asked.native else asked.model, asked, single

    @property
    def _targets(self) -> list[Any]:
        return self.job.reverse_targets if self.mirrored else self.job.targets

    def _given(self) -> Mapping[str, Any]:
        return self.job.parameters

    def _near_targets(self) -> list[Any]:
        """Position by position, where they are looked at; or as they are."""
        job = self.job
        if not job.lay.positions:
            return self._targets
        near = job.lay.positions - 1 - job.near if self.mirrored else job.near
        picked = [track(target, job.shape)[near] for target in self._targets]
        return [at for row in picked for at in indices(row, job.shape)]

    def _letters(self, alleles: list[Allele]) -> tuple[list[str], list[str]]:
        turned = reverse_complement if self.mirrored else str
        return [turned(a.ref) for a in alleles], [turned(a.alt) for a in alleles]

    def _turned(self, start: int, wide: int, length: int) -> int:
        """Where bases [start, start + wide) of the genome begin in a sequence of `length` as it is shown."""
        return length - start - wide if self.mirrored else start

    def _hot(self, windows: list[str]) -> Tensor:
        given = self.job.parameters
        shown = [reverse_complement(w) for w in windows] if self.mirrored else windows
        axes, names = (given.get("alphabet", "ACGT"), given.get("layout", "NCL")), ["the window"]
        return one_hot(shown, *axes, names * len(shown))

    def _both(self, before: Tensor, change: Tensor) -> Floats:
        shape = (2, len(change), len(self._targets), -1)
        return torch.stack([before, change]).double().reshape(shape).numpy()


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


def indices(flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Flat numbers of an output as tuples that index it."""
    return [tuple(map(int, at)) for at in np.transpose(np.unravel_index(flat, shape))]
