"""Scores paired with what edits do: of single positions, of random sets; and how far answers are rounded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nucleoscope.diagnostics.asking import Asking
from nucleoscope.diagnostics.compared import Pairs
from nucleoscope.methods.edits.substitution_effect import substitution_effect

POOL = 256  # positions of a sequence that sets are drawn from
SHARES = (0.125, 0.5)  # of the pool, in one set
BATCH = 64
SOME = 8  # edits that are asked in float64 too
LOUD = 8  # times the rounding of effects: what is told from it
NOTHING = 1e-12  # of the answer: what float64 itself may round


@dataclass(frozen=True, eq=False)
class Question:
    """Which scores are held against which edits."""

    asked: Asking
    scores: Tensor  # [N, sites]
    there: Tensor  # bool [N, sites], known letters
    start: int  # of the first site
    n: int  # positions, and sets, over all sequences
    rounding: float = 0.0  # of an effect

    def least(self, size: Tensor) -> Tensor:
        """What effects must reach, where the answers are of these sizes."""
        eps = torch.finfo(self.asked.X.dtype).eps
        return torch.maximum(size * max(LOUD * eps, NOTHING), torch.tensor(LOUD * self.rounding))


def single(ask: Question, draws: torch.Generator) -> Pairs | None:
    """Positions with the mean effect of their three other letters, by the delta engine. None without any."""
    asked, each = ask.asked, max(2, ask.n // len(ask.scores))
    places = [_chosen(s, t, each, draws) for s, t in zip(ask.scores, ask.there, strict=True)]
    which = torch.cat([torch.full((len(p),), i) for i, p in enumerate(places)])
    position, edit = torch.cat(places), torch.arange(3 * sum(map(len, places)))
    sequence, site = which.repeat_interleave(3), ask.start + position.repeat_interleave(3)
    letter = (asked.X.argmax(1).cpu()[sequence, site] + 1 + edit % 3) % 4
    if not len(edit):
        return None
    found = substitution_effect(
        asked.model, asked.X, torch.stack([edit, site, letter], 1), asked.args, sequence=sequence,
        target=asked.read.target, func=asked.read.func, verify=0,
        precision="fp64" if asked.X.dtype == torch.float64 else "fp32",
    )  # fmt: skip
    effects = -found.changes.double().cpu().view(-1, 3).mean(1)
    least = ask.least(found.before.double().cpu().abs()[::3])
    return Pairs(ask.scores[which, position], effects, least, which, which, len(which))


def joint(ask: Question, draws: torch.Generator) -> Pairs | None:
    """Sums over random sets with the effect of editing all of a set. None where no set can be drawn."""
    each = max(3, ask.n // (len(ask.scores) * len(SHARES)))
    before = _answers(ask.asked, ask.asked.X, ask.asked.args)
    said, effects, sequence, group, places = [], [], [], [], 0
    for i, (row, known) in enumerate(zip(ask.scores, ask.there, strict=True)):
        pool = _chosen(row, known, POOL, draws)
        places += len(pool)
        for share in sorted({round(share * len(pool)) for share in SHARES} - {0, len(pool)}):
            order = torch.rand(each, len(pool), generator=draws).argsort(1)
            taken = pool[order[:, :share]]  # [each, share]
            said.append(row[taken].sum(1))
            effects.append(before[i] - _after(ask.asked, i, ask.start + taken, draws))
            sequence += [i] * each
            group += [len(said)] * each
    if not said:
        return None
    of = torch.tensor(sequence)
    least = ask.least(before.abs()[of])
    return Pairs(torch.cat(said), torch.cat(effects), least, torch.tensor(group), of, places)


def rounding(ask: Question, double: Asking, draws: torch.Generator) -> float:
    """How far effects of sets by subtraction are from those of a copy in float64, root mean square."""
    off = []
    for k in range(SOME):
        i = k % len(ask.scores)
        known = ask.there[i].nonzero()[:, 0]
        half = known[torch.randperm(len(known), generator=draws)[: (len(known) + 1) // 2]]
        same = draws.get_state()
        effects = []
        for asked in (ask.asked, double):
            draws.set_state(same)  # the same letters
            args = tuple(a[i : i + 1] for a in asked.args)
            after = _after(asked, i, ask.start + half[None], draws)
            effects.append(after - _answers(asked, asked.X[i : i + 1], args))
        off.append(effects[0] - effects[1])
    return float(torch.cat(off).square().mean().sqrt())


def _chosen(scores: Tensor, there: Tensor, most: int, draws: torch.Generator) -> Tensor:
    """Known positions [K] of one sequence: all, or the largest scores and as many of the rest."""
    known = there.nonzero()[:, 0]
    known = known[torch.randperm(len(known), generator=draws)]  # so that ties are no order
    if len(known) <= most:
        return known
    order = scores[known].abs().argsort(descending=True, stable=True)
    rest = order[most // 2 :]
    drawn = rest[torch.randperm(len(rest), generator=draws)[: most - most // 2]]
    return known[torch.cat([order[: most // 2], drawn])]


def _after(asked: Asking, i: int, taken: Tensor, draws: torch.Generator) -> Tensor:  # [K, S] -> [K]
    """What the model itself says of a sequence with other letters at all of each row's positions."""
    x, args = asked.X[i], tuple(a[i : i + 1] for a in asked.args)
    letter = (x.argmax(0).cpu()[taken] + torch.randint(1, 4, taken.shape, generator=draws)) % 4
    columns = torch.eye(4).to(x)[letter.to(x.device)].transpose(1, 2)  # [K, 4, S]
    found = []
    for at, place in enumerate(taken.to(x.device).split(BATCH)):
        made, put = x.repeat(len(place), 1, 1), columns[at * BATCH : at * BATCH + BATCH]
        made.scatter_(2, place[:, None].expand(-1, 4, -1), put)
        found.append(_answers(asked, made, tuple(a.expand(len(place), *a.shape[1:]) for a in args)))
    return torch.cat(found)


def _answers(asked: Asking, X: Tensor, args: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return asked.value(X.clone(), args).double().cpu()
