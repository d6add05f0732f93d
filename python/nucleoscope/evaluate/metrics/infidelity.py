"""Do the scores foretell what edits do, up to one scale?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import HELD, Background, replaced
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.change import enough
from nucleoscope.evaluate.metrics.metric import at_least


@dataclass(frozen=True)
class _Edits:
    """Blocks of random place and width, replaced by the background; the same blocks for all sequences."""

    edits: int = 64
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        at_least("edits", self.edits, 2)

    def foretold(self, case: Case) -> tuple[Tensor, Tensor]:
        """⟨x - x̃, Φ⟩ and f(x) - f(x̃) of every edit, both [N, edits]."""
        X, drawn = case.data.X, self.background.of(case)
        blocks = self.blocks(case)
        which = torch.arange(len(blocks)) % drawn.shape[1]
        step = max(1, HELD // X.numel())
        said, asked = [], []
        for begin in range(0, len(blocks), step):
            some = slice(begin, begin + step)
            edited = replaced(X[:, None], drawn[:, which[some]], blocks[some])
            said.append(_said(case, X[:, None].double() - edited.double()))
            asked.append(case.ask(edited.flatten(0, 1)).view(len(X), -1))
        return torch.cat(said, 1), case.value[:, None] - torch.cat(asked, 1)

    def blocks(self, case: Case) -> Tensor:  # [edits, L]
        """Widths from 1 to a quarter of the length, evenly in their logarithm."""
        length, draws = case.data.length, case.draws()
        most = max(1, length // 4)
        width = (most ** torch.rand(self.edits, generator=draws)).round().clamp(1, most)
        begin = (torch.rand(self.edits, generator=draws) * (length - width + 1)).floor()
        at = torch.arange(length)
        return (at >= begin[:, None]) & (at < (begin + width)[:, None])


def _said(case: Case, edit: Tensor) -> Tensor:  # [N, M, 4, L] -> [N, M]
    """What the scores say of edits; where only positions have scores, of the positions that change."""
    letters = case.explained.letters
    if letters is not None:
        return torch.einsum("nmal,nal->nm", edit.cpu().double(), letters)
    changed = (edit != 0).any(2).cpu().double()
    return torch.einsum("nml,nl->nm", changed, case.scores)


def scaled(said: Tensor, effects: Tensor) -> Tensor:  # [N, M] -> [N]
    """The mean square of what the best single scale of the scores leaves."""
    size = said.square().mean(1)
    beta = torch.where(size > 0, (said * effects).mean(1) / size, 0.0)
    return (beta[:, None] * said - effects).square().mean(1)


@dataclass(frozen=True)
class Infidelity(_Edits):
    """The mean square of f(x) - f(x̃) that β⟨x - x̃, Φ⟩ leaves, with the best β; in squared units of the output.

    x̃ is a sequence: blocks are replaced by letters of a background, not by noise. edits: how many. Scores of
    positions alone count where the edit changes the letter. Not comparable between models: see `InfidelityR2`.

    Source: Yeh et al. 2019 (NeurIPS, arXiv 1901.09392).
    """

    name: ClassVar[str] = "infidelity"
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, case: Case) -> Tensor:
        """[N], 0 where the scores foretell every edit."""
        return scaled(*self.foretold(case))


@dataclass(frozen=True)
class InfidelityR2(_Edits):
    """How much of the spread of effects the best scale of the scores foretells: 1 - infidelity / Var Δ.

    1 is all of it, 0 as good as to know the effects' mean and no more, and below 0 worse than that; a map that
    says nothing has the least there is, 1 - E[Δ²] / Var Δ. centred: with False it is 1 - infidelity / E[Δ²], which
    is from 0 to 1, but also credits a map for effects having a mean, as a map has that is the same everywhere. NaN
    where effects spread by less than a twentieth of how far the answers reach, or, not centred, where none is
    beyond rounding. edits, background: as of `Infidelity`.
    """

    centred: bool = True
    category: ClassVar[str] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "the edits' effects hardly differ, or there are none"

    @property
    def name(self) -> str:
        """With what it is measured from."""
        return "infidelity R2" if self.centred else "infidelity R2 (uncentred)"

    def __call__(self, case: Case) -> Tensor:
        """[N], 1 where the scores foretell every edit."""
        said, effects = self.foretold(case)
        if self.centred:
            size = effects.var(1, correction=0)
            there = enough(case, size.sqrt(), self.background.kind)
        else:
            size = effects.square().mean(1)
            there = size.sqrt() > case.rounding * case.value.abs()
        return torch.where(there, 1 - scaled(said, effects) / size, torch.nan)
