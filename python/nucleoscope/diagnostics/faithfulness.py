"""Faithfulness: whether scores have anything to do with what the model answers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.asking import asking, judge
from nucleoscope.diagnostics.compared import AGREES, Compared, Pairs, compared
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.diagnostics.pairs import Question, joint, rounding, single
from nucleoscope.engine.answers.read import Func

QUESTION = "faithfulness"
TURNED = (
    " The scores are large where a letter lowers the answer: if one above 0 is to say that it raises the answer, "
    "their sign is turned around."
)


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
    and which way an effect goes is not asked. Sizes of a model whose effects are all below 0 are the same numbers
    as its true scores turned around, so they accuse nothing; the sentence tells that they would be turned.

    What edits do is told from rounding where it is 8 times as large: as answers in the model's own numbers are
    off from those of a copy in float64, in 8 sets, or as those numbers round. Where single positions or sets do
    nothing that is, all is asked of that copy, so that neither an offset makes effects nothing nor noise accuses.
    A model whose forward fixes the type of its numbers has no such copy, and only their own rounding is known.

    values: single and joint, each with r, low, high, n, constant; signed; turned, where sizes with a sign would
    be; rounding, of an effect in the model's own numbers; dtype, in which was asked.

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
    there = (X[:, :, start : start + held.shape[1]].amax(1) == 1).cpu()
    ask = Question(asked, held if signed else held.abs(), there, start, n)
    double = None if asked.X.dtype == torch.float64 else judge(asked)
    rounded = 0.0
    if double is not None:
        rounded = rounding(ask, double, torch.Generator().manual_seed(random_state))
    pairs, found = _answered(replace(ask, rounding=rounded), signed, random_state)
    if None in found and double is not None:
        ask = replace(ask, asked=double)
        pairs, found = _answered(ask, signed, random_state)
    values: dict[str, Any] = {
        **{name: asdict(each) for name, each in zip(("single", "joint"), found, strict=True) if each},
        "signed": signed, "rounding": rounded, "dtype": str(ask.asked.X.dtype).removeprefix("torch."),
    }  # fmt: skip
    there_are = [each for each in found if each is not None]
    if not there_are:
        said = "no edit of these sequences changes the answer, so there is nothing to agree with."
        return Finding(QUESTION, False, said, values, applies=False)
    fires = any(each.below for each in there_are) and not any(each.agrees for each in there_are)
    said = _sentence(found[0], found[1], signed, bool((held >= 0).all()), fires)
    if not signed:
        values["turned"] = _turned(pairs)
        said += TURNED if values["turned"] and not fires else ""
    return Finding(QUESTION, fires, said, values, {"r": AGREES})


def _answered(
    ask: Question, signed: bool, seed: int
) -> tuple[list[Pairs | None], list[Compared | None]]:
    """Positions, then sets, and what their comparison comes to."""
    draws = torch.Generator().manual_seed(seed)
    pairs = [single(ask, draws), joint(ask, draws)]
    return pairs, [None if each is None else compared(each, signed) for each in pairs]


def _turned(pairs: list[Pairs | None]) -> bool:
    """Whether sizes, were they scores with a sign, would say the opposite of what edits do."""
    found = [made for each in pairs if each and (made := compared(each, True))]
    return any(each.high < 0 for each in found) and not any(each.agrees for each in found)


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
