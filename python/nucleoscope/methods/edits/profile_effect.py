"""Variants at base resolution: what each does to the outputs around it, all of one sequence at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.edited import Edited, edited
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.edits.verify import Disagreement, verify_effects
from nucleoscope.engine.planning.near import Near, NotNear
from nucleoscope.engine.prepare import Asked, forward, make_plan
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Options, request
from nucleoscope.methods.edits.one_by_one import one_by_one
from nucleoscope.methods.edits.several import SETTINGS, Models
from nucleoscope.methods.edits.shifted_profiles import alternatives, hold
from nucleoscope.methods.edits.variant_effect import nothing
from nucleoscope.methods.edits.variants import Variants, read_variants
from nucleoscope.methods.ensemble import members
from nucleoscope.methods.running import facts_of, read_verify, versions
from nucleoscope.result import Check


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
    options = Options(target, None, layout, alphabet, precision, memory, verify, False, device)
    variants = read_variants(sequence, position, ref, alt, alphabet)
    settings = {name: getattr(options, name) for name in SETTINGS}

    def explain(one: Any) -> Effects:
        return profiles(one, X, args, variants, around, options, double=not read_verify(verify))

    return one_by_one(members(model), X, args, Read(target), settings, explain)


def profiles(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None, variants: Variants, around: int,
    options: Options, *, double: bool,
) -> Effects:  # fmt: skip
    """`profile_effect`, with originals in float64, or without `double` in float32 where edits are few.

    Then somebody must verify: float32 is not enough for every model.
    """
    if isinstance(around, bool) or not isinstance(around, int) or around < 0:
        raise ValueError(f"around={around!r}: a number of bases, 0 or more")
    with request(model, X, args, options) as asked:
        variants.check(asked.letters, options.alphabet)
        same, shifting = np.flatnonzero(variants.same), np.flatnonzero(~variants.same)
        _check_anchors(variants, shifting)
        tracks = _tracks(asked.asked, asked.read, around)
        kept, shifted = variants.some(same), variants.some(shifting)
        table = kept.table(np.arange(len(kept))) if len(kept) else nothing(asked.letters)
        spans = int(table.position.min()), int(table.position.max()) + 1
        placed = replace(asked.asked, start=spans[0], end=spans[1], near=tracks.near)
        count = read_verify(options.verify)
        found, checks = _by_deltas(placed, asked.read, tracks, table, kept, count, double)
        before = tracks.before(found, variants)
        changes = torch.zeros_like(before)
        if len(kept):
            changes[torch.from_numpy(same)] = tracks.changes(found, kept)
        if len(shifted):
            after = alternatives(placed, asked.read, tracks.near, shifted)
            changes[torch.from_numpy(shifting)] = after.to(before) - before[shifting]
            if count:
                one = hold(placed, tracks.near, shifted.part(0), after[:1], tracks.picks)
                checks += (Check("verification", True, one),)
        facts = {
            "method": "profile_effect", "target": str(asked.read), "edits": len(variants),
            "shifted": len(shifted), "around": around, "reads": tracks.reads,
            "positions": tracks.picks.shape[1], **facts_of(placed, asked.read, found, "delta"), **versions(),
        }  # fmt: skip
    axes: tuple[str, ...] = ("variant", "target", "position")
    if not asked.many:
        changes, before, axes = changes[:, 0], before[:, 0], (axes[0], axes[2])
    return Effects(changes, before, axes, facts, checks)


def _check_anchors(variants: Variants, shifting: Ints) -> None:
    for at in shifting:
        if not len(variants.ref[at]) or not len(variants.alt[at]):
            raise ValueError(
                f"ref[{at}] and alt[{at}]: one is empty; give both the base before them, as VCF does"
            )


@dataclass(frozen=True)
class _Tracks:
    """The channels that are asked for, and where their positions lie."""

    near: Near
    picks: Ints  # [T, P] numbers of one output
    shape: tuple[int, ...]  # of one output
    reads: tuple[int, int]  # the bases that they depend on, counted from a variant's first

    def positions(self, variants: Variants) -> Ints:
        """The output's positions that are looked at, [M, W]; some may lie beyond its ends."""
        near = self.near
        steps = np.arange(near.width) - near.around - near.offset
        found: Ints = variants.position[:, None] + steps
        return found

    def _inside(self, variants: Variants) -> Tensor:
        positions = self.positions(variants)
        return torch.from_numpy((positions >= 0) & (positions < self.picks.shape[1]))

    def before(self, found: Edited, variants: Variants) -> Tensor:
        """The unedited outputs that are looked at, [M, T, W]."""
        tracks, size = self.picks.shape
        held = found.original.view(len(found.original), tracks, size)
        at = torch.from_numpy(np.clip(self.positions(variants), 0, size - 1))[:, None]
        own = held[torch.from_numpy(variants.sequence)]
        values = own.gather(2, at.expand(-1, tracks, -1))
        return values.masked_fill(~self._inside(variants)[:, None], torch.nan)

    def changes(self, found: Edited, variants: Variants) -> Tensor:
        """What the edits change of them, [M, T, W]."""
        values = found.raw.view(len(found.raw), len(self.picks), self.near.width)
        return values.masked_fill(~self._inside(variants)[:, None], torch.nan)


def _tracks(asked: Asked, read: Read, around: int) -> _Tracks:
    held = forward(asked, read)
    plan = make_plan(asked, held)
    if not plan.local or plan.target is None:
        reasons = "; ".join(f"{n.reason} ({n.source})" for n in plan.traced.seams)
        raise NotNear(f"locality ends before the output: {reasons}")
    axes, length = plan.output_axes, asked.sequences.letters.shape[1]
    channels = []
    for pick in plan.target.picks:
        positions, channel = plan.target.places(pick, axes)
        if len(set(channel)) > 1 or not np.array_equal(positions, np.arange(axes.length)):
            raise NotNear(
                f"target={read}: it must name one channel at all {axes.length:,} positions of the output, "
                f"whose shape for one sequence is {axes.shape}"
            )
        channels.append(int(channel[0]))
    near = Near(tuple(channels), around, (length - axes.length) // 2)
    cones = near.cones(plan.graph, plan.order, plan.graph.resolve(plan.graph.output))
    picks = np.stack([pick.numpy() for pick in plan.target.picks])
    return _Tracks(near, picks, axes.shape, cones[plan.graph.edited])


def _by_deltas(
    asked: Asked, read: Read, tracks: _Tracks, table: Table, kept: Variants, count: int, double: bool
) -> tuple[Edited, tuple[Check, ...]]:  # fmt: skip
    """What the edits do, verified; with originals in float64 where float32 is not enough."""
    for finer in (True,) if double else (False, True):
        found = edited(asked, read, table, lambda _edits: None, finer)
        if not torch.isfinite(found.raw).all():
            raise ValueError("model: some variants make its output NaN or infinite")
        try:
            return found, _verified(asked, tracks, found, table, kept, count if len(kept) else 0)
        except Disagreement:
            if not found.brief:
                raise
    raise AssertionError("originals in float64 are not brief")


def _verified(
    asked: Asked, tracks: _Tracks, found: Edited, table: Table, variants: Variants, count: int
) -> tuple[Check, ...]:
    """The strongest variant and random ones through the model itself, at all outputs looked at."""
    if not count:
        return ()
    strongest = int(found.raw.abs().amax(1).argmax())
    random = np.random.default_rng(0).permutation(len(table))[:count].tolist()
    positions, said = tracks.positions(variants), []
    for at in list(dict.fromkeys([strongest, *random]))[:count]:
        seen = np.flatnonzero((positions[at] >= 0) & (positions[at] < tracks.picks.shape[1]))
        if not len(seen):
            continue
        numbers = tracks.picks[:, positions[at][seen]].ravel()
        read = Read([tuple(map(int, each)) for each in _places(numbers, tracks.shape)])
        raw = found.raw[at].view(len(tracks.picks), -1)[:, torch.from_numpy(seen)].reshape(1, -1)
        own = tracks.before(found, variants.part(at))[0, :, torch.from_numpy(seen)].reshape(1, -1)
        one = table.part(np.arange(len(table)) == at)
        claim = replace(found, raw=raw, original=own.expand(len(found.original), -1))
        said.append(str(verify_effects(asked, claim, one, read, 1, seed=0)))
    return tuple(Check("verification", True, each) for each in said)


def _places(numbers: Ints, shape: tuple[int, ...]) -> Ints:
    found: Ints = np.transpose(np.unravel_index(numbers, shape))
    return found
