"""Variants at base resolution: what each does to the outputs around it, all of one sequence at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.prepare import ask
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.one_by_one import one_by_one
from nucleoscope.methods.edits.profiles import profiles
from nucleoscope.methods.edits.several import SETTINGS, Models, check_shifts
from nucleoscope.methods.edits.variants import read_variants
from nucleoscope.methods.ensemble import View, members, reverse_read, together, views, ways
from nucleoscope.methods.running import read_verify


def profile_effect(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    sequence: Any,  # [M] which sequence of X each variant lies in
    position: Any,  # [M] where its first letter lies there, from 0
    ref: Sequence[str],  # [M] what stands there
    alt: Sequence[str],  # [M] what is put there
    args: tuple[Tensor, ...] | None = None,
    *,
    around: int,
    target: Any = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    device: str | torch.device | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    shifts: Sequence[int] = (0,),
) -> Effects:  # changes [M, T, 2 * around + 1]
    """What each variant does to every output from `around` bases before it to `around` behind.

    For models that give numbers at every base and go position by position (convolutions without stride,
    such as SpliceAI's), whose output lies in the middle of the sequence. Many variants share one long
    sequence: its original is made once, and of each variant's change only what reaches the outputs that
    are looked at. Insertions and deletions, which move what follows, are made anew where outputs are looked at
    (``facts["shifted"]`` counts them), at the length of X, and laid beside the original's positions as SpliceAI
    does: deleted positions are 0 in the alternative, inserted ones count as one with the base before them, by
    their maximum. A target names tracks, all but the axis of positions: ``1`` of an output [3, P]. Outputs
    beyond the ends are NaN. ``facts["reads"]`` says which bases around a variant decide what is looked at.
    On the other strand outputs are laid out along the first again, from `reverse_target`'s tracks where a
    strand has its own; where a view lacks an output, as at the ends of shifted sequences, the mean is NaN.
    The other arguments are those of `variant_effect`.

    Raises
    ------
    NotNear
        A ValueError: for a model with strides, pools or flips, or a target that is no whole track.
    Untraceable
        Where the model cannot be traced; ValueError where its locality ends before the output.
    TypeError, ValueError, IndexError
        For an allele without a base, and for what `variant_effect` refuses.
    Disagreement
        If the verification fails.

    Equivalent to (alleles of one length)::

        change = model(edited)[:, target] - model(X[n])[:, target]       # [T, P]
        first = position - around - (L - P) // 2
        change[:, first : first + 2 * around + 1]
    """
    alphabet = alphabet_of(model, alphabet)
    if isinstance(around, bool) or not isinstance(around, int) or around < 0:
        raise ValueError(f"around={around!r}: a number of bases, 0 or more")
    options = Options(target, None, layout, alphabet, precision, memory, verify, False, device)
    read = Read(target)
    reverse = reverse_read(read, reverse_target, reverse_complement).target
    seen = views(1, reverse_complement, shifts, alphabet)
    variants = read_variants(sequence, position, ref, alt, alphabet)
    settings = {name: getattr(options, name) for name in SETTINGS}

    def in_view(one: Any, view: View) -> Effects:
        asked = replace(options, target=reverse) if view.mirrored else options
        there, own = X, variants
        if not view.plain:
            there = view.of(X, layout, alphabet)
            own = variants.seen(view, there.shape[2 if layout == "NCL" else 1], alphabet)
        return profiles(
            one, there, args, own, around, asked, double=not read_verify(verify), mirrored=view.mirrored
        )  # fmt: skip

    def explain(one: Any) -> Effects:
        if seen != [View()]:
            letters = ask(one, X, args, start=0, end=None, **settings).sequences.letters
            variants.check(letters, alphabet)
            check_shifts(seen, variants.span, letters.shape[1])
        return _mean(seen, [in_view(one, view) for view in seen])

    return one_by_one(members(model), X, args, read, settings, explain)


def _mean(views: Sequence[View], found: Sequence[Effects]) -> Effects:
    """Of one model's views."""
    if len(found) == 1:
        return found[0]
    changes, before = (
        torch.stack([getattr(each, name) for each in found]).mean(0)
        for name in ("changes", "before")
    )
    first = found[0].facts
    facts = first | together([{"engine": each.facts["engine"]} for each in found]) | ways(views)
    pairs = zip(views, found, strict=True)
    checks = tuple(check for view, each in pairs for check in view.checks(each.checks, 1))
    return Effects(changes, before, found[0].axes, facts, checks)
