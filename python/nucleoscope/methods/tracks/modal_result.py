"""What each input of a model adds, with the checks of whether that is all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.methods.edits.one_by_one import averaged, checks_of_all, facts_of_all
from nucleoscope.methods.gradients.adding_up import added_up
from nucleoscope.result import Check

MISSED = 0.05  # what scores may miss of the difference of outputs that they explain
ROUNDING = 64  # times a number type's precision: what rounding may leave, of what is added up


@dataclass(frozen=True, eq=False)
class ModalAttribution:
    """What each of a model's inputs adds; X first, then `args` in their order.

    `scores` are in the output's units and can be compared between inputs; `slopes` are the output's units by
    one unit of the input (a read of ATAC, a fold change): those of two inputs cannot.
    """

    scores: tuple[Tensor, ...]  # [N, *shape] each, or [N, T, *shape] for a list of targets
    slopes: tuple[Tensor, ...]  # the same shapes
    original: Tensor  # [N, T]
    baseline: Tensor | None  # the target's value at the baseline, [N, T]
    gap: Tensor | None  # what all scores' sum misses of original - baseline, [N, T]
    facts: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    spread: tuple[Tensor, ...] | None = None  # standard deviation of the scores over several models

    @property
    def shares(self) -> Tensor:
        """The sum of |score| of each input, of all inputs' together: [N, inputs], over all targets.

        NaN for a sequence all of whose scores are 0: nothing is shared out. The check "target" says so.
        """
        sizes = torch.stack([s.abs().flatten(1).sum(1) for s in self.scores], 1)
        made: Tensor = sizes / sizes.sum(1, keepdim=True)
        return made


def together(found: list[Any], read: Read, along: bool, facts: dict[str, Any]) -> ModalAttribution:
    """The sequences' parts as one result: of each inputs, their baselines, mean slopes, targets at both."""
    scores: list[list[Tensor]] = []
    slopes: list[list[Tensor]] = []
    for own, start, slope, _ in found:
        each = list(slope)
        if not along:  # off the simplex nothing is known of letters
            each[0] = each[0] - each[0].mean(1, keepdim=True)
        changes = [x - b if along else x for x, b in zip(own, start, strict=True)]
        scores.append([g * c for g, c in zip(each, changes, strict=True)])
        slopes.append(each)
    whole, steep = (
        [torch.stack(one).cpu() for one in zip(*parts, strict=True)] for parts in (scores, slopes)
    )  # [N, T, *shape] each
    original = torch.cat([ends[0] for *_, ends in found]).cpu()
    sizes = torch.stack([s.double().abs().flatten(2).sum(2) for s in whole]).sum(0)
    checks, baseline, gap = _moved(sizes, read), None, None
    if along:
        baseline = torch.cat([ends[1] for *_, ends in found]).cpu()
        sums = torch.stack([s.double().flatten(2).sum(2) for s in whole]).sum(0)
        change = original.double() - baseline
        gap = (sums - change).to(original.dtype)
        level = torch.stack([original.abs(), baseline.abs(), sizes]).amax(0)
        least = ROUNDING * torch.finfo(original.dtype).eps * level
        _, good, said = added_up(gap, change, least, MISSED, read)
        checks = (Check("completeness", good, said), *checks)
    which = slice(None) if isinstance(read.target, list) else 0
    made, inclines = (tuple(t[:, which] for t in parts) for parts in (whole, steep))
    return ModalAttribution(made, inclines, original, baseline, gap, facts, checks)


def _moved(sizes: Tensor, read: Read) -> tuple[Check, ...]:
    """A check that fails, where all scores of a sequence and target are 0: [N, T] sums of their sizes."""
    still = sizes == 0
    if not still.any():
        return ()
    n, t = still.nonzero()[0].tolist()
    each = read.target if isinstance(read.target, list) else [read.target]
    said = (
        f"the scores of all inputs are 0 for {int(still.sum())} of {still.numel()} pairs of sequence and target, "
        f"first of sequence {n}, target {Read(each[t])}: no input moves it. Where it is so of all targets, shares "
        "are NaN. Is it constant, as a softmax summed over all classes is, or saturated?"
    )
    return (Check("target", False, said),)


def averaged_over_models(found: list[ModalAttribution]) -> ModalAttribution:
    """The mean of what was found of each model, and the spread of the scores."""
    if len(found) == 1:
        return found[0]

    def inputs(name: str) -> list[tuple[Tensor, Tensor | None]]:
        return [averaged(each) for each in zip(*(getattr(f, name) for f in found), strict=True)]

    def mean(name: str) -> Tensor | None:
        held = [getattr(each, name) for each in found]
        return None if held[0] is None else averaged(held)[0]

    scores, slopes = inputs("scores"), inputs("slopes")
    original = mean("original")
    assert original is not None
    return ModalAttribution(
        tuple(m for m, _ in scores), tuple(m for m, _ in slopes), original, mean("baseline"), mean("gap"),
        facts_of_all(found), checks_of_all(found), tuple(s for _, s in scores if s is not None),
    )  # fmt: skip
