"""What variants do to the outputs around them, in one view of the sequences: a model, a strand, a shift."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.edited import Edited, edited
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.edits.verify import Disagreement, verify_effects
from nucleoscope.engine.planning.near import Near, NotNear
from nucleoscope.engine.prepare import Asked, forward, make_plan
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Options, request
from nucleoscope.methods.edits.shifted_profiles import Shifted
from nucleoscope.methods.edits.variant_effect import nothing
from nucleoscope.methods.edits.variants import Variants
from nucleoscope.methods.running import facts_of, read_verify, versions
from nucleoscope.result import Check


def profiles(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None, variants: Variants, around: int,
    options: Options, *, double: bool, mirrored: bool = False,
) -> Effects:  # fmt: skip
    """`profile_effect`, with originals in float64, or without `double` in float32 where edits are few.

    Then somebody must verify: float32 is not enough for every model. Where the view is `mirrored`, X and the
    variants are of the other strand, and what is found is laid out along the first.
    """
    with request(model, X, args, options) as asked:
        variants.check(asked.letters, options.alphabet)
        same, shifting = np.flatnonzero(variants.same), np.flatnonzero(~variants.same)
        _check_anchors(variants, shifting)
        beyond = max(len(each) for each in variants.ref) - 1 if mirrored else 0
        tracks = _tracks(asked.asked, asked.read, around, beyond, mirrored)
        kept, shifted = variants.some(same), variants.some(shifting)
        table = kept.table(np.arange(len(kept))) if len(kept) else nothing(asked.letters)
        spans = int(table.position.min()), int(table.position.max()) + 1
        placed = replace(asked.asked, start=spans[0], end=spans[1], near=tracks.near)
        count = read_verify(options.verify)
        found, checks = _by_deltas(placed, asked.read, tracks, table, kept, count, double)
        before = tracks.turned(tracks.before(found, variants), variants)
        changes = torch.zeros_like(before)
        if len(kept):
            changes[torch.from_numpy(same)] = tracks.turned(tracks.changes(found, kept), kept)
        if len(shifted):
            beside = Shifted(placed, tracks.near, around, tracks.picks, mirrored)
            after = beside.alternatives(asked.read, shifted)
            changes[torch.from_numpy(shifting)] = after.to(before) - before[shifting]
            if count:
                one = beside.hold(shifted.part(0), after[:1])
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

    near: Near  # on the other strand as much wider as alleles are longer than a base
    picks: Ints  # [T, P] numbers of one output
    shape: tuple[int, ...]  # of one output
    reads: tuple[int, int]  # the bases that they depend on, counted from a variant's first
    beyond: int  # how much wider
    mirrored: bool

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

    def turned(self, values: Tensor, variants: Variants) -> Tensor:
        """What lies around variants, [M, T, W], from the first base on as the first strand has it."""
        if not self.mirrored:
            return values
        first = self.beyond + np.array([len(each) for each in variants.ref]) - 1
        width = self.near.width - 2 * self.beyond
        steps = torch.from_numpy(first[:, None] + np.arange(width)[::-1])
        return values.gather(2, steps[:, None].expand(-1, values.shape[1], -1))


def _tracks(asked: Asked, read: Read, around: int, beyond: int, mirrored: bool) -> _Tracks:
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
    offset = (length - axes.length) // 2
    offset = length - axes.length - offset if mirrored else offset
    near = Near(tuple(channels), around + beyond, offset)
    cones = near.cones(plan.graph, plan.order, plan.graph.resolve(plan.graph.output))
    picks = np.stack([pick.numpy() for pick in plan.target.picks])
    reads = cones[plan.graph.edited]
    return _Tracks(near, picks, axes.shape, reads, beyond, mirrored)


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
