"""Faithfulness: whether scores have anything to do with what the model answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.asking import Asking, asking
from nucleoscope.diagnostics.compared import AGREES, Compared, compared
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.engine.read import Func
from nucleoscope.methods.substitution_effect import substitution_effect

POOL = 256  # positions of a sequence that sets are drawn from
SHARES = (0.125, 0.5)  # of the pool, in one set
BATCH = 64
QUESTION = "faithfulness"


def faithfulness(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    scores: Tensor,  # [N, sites], what each position counts
    args: tuple[Tensor, ...] | None = None,
    *,
    start: int = 0,
    signed: bool = True,
    n: int = 512,
    random_state: int = 0,
    target: Any = None,
    func: Func | None = None,
) -> Finding:
    """Whether scores go with what edits do to the model's answer; noise, zeros and turned signs do not.

    Two comparisons, since either alone misleads. **Single**: a position's score with f(x) - mean f(x with one
    of its other letters), which is mutagenesis; where motifs stand in for each other it sees nothing.
    **Joint** (sensitivity-n): for random sets S, ``sum_S scores`` with ``f(x) - f(x edited at all of S)``, each
    position given another letter at random. If f is additive, ``f(x) = sum w_i(x_i)``, and a score is ``w_i``
    less its mean over letters, the first correlation is exactly 1, and in the second all that is missing is
    the draw of letters. Both are within sequences (and within sizes of sets): scores and effects are centred
    there, and scaled to one spread, so that no sequence and no size outweighs another.

    Asked about are `n` positions and `n` sets over all sequences together. Of a sequence with more known
    letters than its share, half are those with the largest scores and half are drawn from the rest: in a long
    one random positions would all be silent. Sets are an eighth and a half of up to 256 positions that are
    chosen alike.

    The 95 % interval is the wider of a bootstrap's, over sequences and pairs, and Fisher's of as many pairs as
    there are positions, so that a few positions accuse nothing, in however many sets.

    Fires where an interval lies below 0.3, or all scores are the same
    where effects are not, and the other comparison does not come to 0.3 or is not above chance. A map of
    another target, of another model, or with its sign turned around fires too. Agreement is no proof: these
    are two questions of many, and 0.3 is far from good.

    signed=False: the sizes of scores are compared by rank with the sizes of effects (attention, magnitudes),
    and which way an effect goes is not asked.

    values: single and joint, each with r, low, high, n, constant; signed.

    Raises TypeError or ValueError for a model, X, scores or target that cannot be meant. Source: Ancona et
    al. 2018 (ICLR, arXiv 1711.06104) for sets.

    Equivalent to::

        corrcoef(scores[n, i], f(x) - mean(f(x with letter a at i) for a in others))
        corrcoef(scores[n, S].sum(), f(x) - f(x with other letters at S))
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n={n!r}: a number of positions and of sets, 1 or more")
    asked = asking(model, X, args, target, func)
    held = _read(scores, X, start)
    draws = torch.Generator().manual_seed(random_state)
    there = (X[:, :, start : start + held.shape[1]].amax(1) == 1).cpu()
    single = _single(asked, held, there, start, signed, n, draws)
    joint = _joint(asked, held, there, start, signed, n, draws)
    found = [each for each in (single, joint) if each is not None]
    values = {
        **{name: asdict(each) for name, each in (("single", single), ("joint", joint)) if each},
        "signed": signed,
    }
    if not found:
        said = "no edit of these sequences changes the answer, so there is nothing to agree with."
        return Finding(QUESTION, False, said, values, applies=False)
    fires = any(each.below for each in found) and not any(each.agrees for each in found)
    return Finding(
        QUESTION,
        fires,
        _sentence(single, joint, signed, bool((held >= 0).all()), fires),
        values,
        {"r": AGREES},
    )


def _read(scores: Any, X: Tensor, start: int) -> Tensor:
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(X):
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"scores: one a position of each of {len(X)} sequences, got {shape}")
    if not 0 <= start <= X.shape[2] - scores.shape[1]:
        raise ValueError(
            f"start={start!r}: scores of {scores.shape[1]} positions must lie within {X.shape[2]}"
        )
    held = scores.detach().cpu().double()
    if not torch.isfinite(held).all():
        raise ValueError("scores: they hold NaN or infinite numbers")
    return held


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


def _single(
    asked: Asking, scores: Tensor, there: Tensor, start: int, signed: bool, n: int, draws: torch.Generator
) -> Compared | None:  # fmt: skip
    """Scores of positions with the mean effect of their three other letters, by the delta engine."""
    each = max(2, n // len(scores))
    places = [_chosen(s, t, each, draws) for s, t in zip(scores, there, strict=True)]
    which = torch.cat([torch.full((len(p),), i) for i, p in enumerate(places)])
    position, edit = torch.cat(places), torch.arange(3 * sum(map(len, places)))
    sequence, site = which.repeat_interleave(3), start + position.repeat_interleave(3)
    letter = (asked.X.argmax(1).cpu()[sequence, site] + 1 + edit % 3) % 4
    if not len(edit):
        return None
    found = substitution_effect(
        asked.model, asked.X, torch.stack([edit, site, letter], 1), asked.args, sequence=sequence,
        target=asked.read.target, func=asked.read.func, verify=0,
        precision="fp64" if asked.X.dtype == torch.float64 else "fp32",
    )  # fmt: skip
    effects = -found.changes.double().cpu().view(-1, 3).mean(1)
    size = found.before.double().cpu().abs()[::3]
    return compared(scores[which, position], effects, size, which, which, signed, len(which))


def _joint(
    asked: Asking, scores: Tensor, there: Tensor, start: int, signed: bool, n: int, draws: torch.Generator
) -> Compared | None:  # fmt: skip
    """Sums of scores over random sets with the effect of editing all of a set."""
    each = max(3, n // (len(scores) * len(SHARES)))
    weighed = scores if signed else scores.abs()
    before = _answers(asked, asked.X, asked.args)
    said, effects, sequence, group, places = [], [], [], [], 0
    for i, (row, known) in enumerate(zip(weighed, there, strict=True)):
        pool = _chosen(row, known, POOL, draws)
        places += len(pool)
        for share in sorted({round(share * len(pool)) for share in SHARES} - {0, len(pool)}):
            order = torch.rand(each, len(pool), generator=draws).argsort(1)
            taken = pool[order[:, :share]]  # [each, share]
            said.append(row[taken].sum(1))
            effects.append(before[i] - _after(asked, i, start + taken, draws))
            sequence += [i] * each
            group += [len(said)] * each
    if not said:
        return None
    of, groups = torch.tensor(sequence), torch.tensor(group)
    return compared(
        torch.cat(said), torch.cat(effects), before.abs()[of], groups, of, signed, places
    )


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


def _sizes(none_below: bool) -> str:
    why = "none is below 0, so their sign is not read" if none_below else "their sign is not read"
    return f"sizes of scores ({why}) and, by rank, sizes of effects"


def _sentence(
    single: Compared | None, joint: Compared | None, signed: bool, none_below: bool, fires: bool
) -> str:
    told = []
    if single:
        told.append(f"{single} over {single.n} single positions")
    if joint:
        told.append(f"{joint} over {joint.n} random sets of positions")
    found = [each for each in (single, joint) if each]
    what = "scores" if signed else _sizes(none_below)
    numbers = f"{what}: correlation with what edits do {' and '.join(told)}"
    if fires and all(each.constant for each in found):
        return "all scores are the same, while edits change the answer at some positions more than at others."
    if fires and any(each.high < 0 for each in found):
        return (
            f"{numbers}. They say the opposite of what the model does: is their sign turned around?"
        )
    if fires:
        return (
            f"{numbers}. They have nothing to do with what the model answers to: are they of another model, "
            "another target or other sequences, or noise?"
        )
    if any(each.agrees for each in found):
        return f"{numbers}."
    return f"{numbers}. That is too few to say whether they are of this model's answer."
