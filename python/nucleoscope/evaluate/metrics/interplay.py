"""Does an explanation see that sites depend on each other, and does it give redundant ones their share?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, without
from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.data import Pair, Span
from nucleoscope.evaluate.metrics.change import TOO_LITTLE, enough


@dataclass(frozen=True)
class InteractionAUROC:
    """How often a pair of sites that interact is told from one that does not.

    A pair's evidence is how much the scores of one site change when the other is replaced by the background, the
    mean of both ways. A sequence's value is how often its interacting pairs are above those, of all sequences,
    that do not interact; ties count half, 0.5 is chance. NaN for sequences without interacting pairs.

    Source: deep feature interaction maps, Greenside et al. 2018 (Bioinformatics 34, i629).
    """

    background: Background = field(default_factory=Background)
    name: ClassVar[str] = "interaction AUROC"
    category: ClassVar[str] = "truth"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "no pair of the sequence is known to interact"

    def __call__(self, case: Case) -> Tensor:
        """[N], from 0 to 1."""
        made = torch.full((len(case.data),), torch.nan, dtype=torch.float64)
        pairs = tuple(case.data.pairs or ())
        if not pairs:
            return made
        evidence = self.evidence(case, pairs)
        kind = torch.tensor([bool(pair.interacts) for pair in pairs])
        of = torch.tensor([pair.sequence for pair in pairs])
        apart = evidence[:, None] - evidence[~kind]
        tied = apart.abs() <= case.rounding * case.scores.abs().amax()
        above = torch.where(tied, 0.0, apart.sign()).mean(1) / 2 + 0.5
        for n in of[kind].unique().tolist():
            made[n] = above[kind & (of == n)].mean()
        return made

    def evidence(self, case: Case, pairs: tuple[Pair, ...]) -> Tensor:
        """How much the scores of the sites of each pair depend on each other, [P], in the scores' units."""
        ways = [(p.sequence, p.first, p.second) for p in pairs]
        ways += [(p.sequence, p.second, p.first) for p in pairs]
        changed = self._changes(case, list(dict.fromkeys((n, gone) for n, gone, _ in ways)))
        moved = [changed[n, gone][slice(*seen)].sum() for n, gone, seen in ways]
        return torch.stack(moved).abs().view(2, -1).mean(0)

    def _changes(self, case: Case, sites: list[tuple[int, Span]]) -> dict[tuple[int, Span], Tensor]:
        """How the scores of a sequence change when a site of it is replaced, [L]; draws are averaged."""
        drawn = self.background.of(case)
        edited = []
        for n, (start, end) in sites:
            some = case.data.X[n].expand(drawn.shape[1], -1, -1).clone()
            some[:, :, start:end] = drawn[n, :, :, start:end]
            edited.append(some)
        found = case.again(torch.cat(edited)).positions.view(len(sites), drawn.shape[1], -1).mean(1)
        return {(n, site): case.scores[n] - found[i] for i, (n, site) in enumerate(sites)}


@dataclass(frozen=True)
class RedundancyBias:
    """What the scores of the planted positions miss of, or add to, what these do together: |Σφ / Δ - 1|.

    Δ is the effect of replacing all planted positions at once. Single mutations of two copies of which one would
    do say next to nothing: the bias is then 1. NaN where nothing is planted, or Δ is below a twentieth of how
    far the answers reach: there parts cancel, and a share of their sum is none of theirs.
    """

    background: Background = field(default_factory=Background)
    name: ClassVar[str] = "redundancy bias"
    category: ClassVar[str] = "truth"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[str] = f"nothing is planted, or {TOO_LITTLE}"

    def __call__(self, case: Case) -> Tensor:
        """[N], 0 where the planted positions have their share."""
        planted = case.data.planted
        if planted is None:
            return torch.full((len(case.data),), torch.nan, dtype=torch.float64)
        together = case.value - without(case, planted[:, None], self.background)[:, 0]
        said = (case.scores * planted.cpu()).sum(1)
        does = enough(case, together, self.background.kind)
        return torch.where(does, (said / together - 1).abs(), torch.nan)
