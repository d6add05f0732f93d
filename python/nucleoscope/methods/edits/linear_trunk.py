"""A linear trunk: what lies behind the seam to first order, screened, rerun exactly, and its error measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits.changes import Between, Changes, by_deltas
from nucleoscope.engine.prepare import Asked, forward, make_plan
from nucleoscope.result import Check

Mask = npt.NDArray[np.bool_]
ENGINE = "delta, then the trunk's gradient; marked sites by the model's own tail"
RANKS = 0.9  # correlation below which the screen is said to have failed
SLOPES = 0.5, 2.0  # and slopes outside which it has


@dataclass(frozen=True)
class LinearTrunk:
    """How much of ``trunk="linear"`` is made exactly.

    rerun: the share of all sites, the strongest by the approximation, that the model's own tail is run
    for. sample: sites drawn at random beforehand, of which the error is measured. level: the share of
    approximate sites whose error the certificate bounds. seed: of the draw.
    """

    rerun: float = 0.1
    sample: int = 64
    level: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.rerun, Real) or not 0 <= self.rerun <= 1:
            raise ValueError(f"rerun={self.rerun!r}: a share of the sites, from 0 to 1")
        whole = isinstance(self.sample, Integral) and not isinstance(self.sample, bool)
        if not whole or self.sample < 2:
            raise ValueError(
                f"sample={self.sample!r}: a number of sites, 2 or more; without an exact sample nothing "
                "is known of the error"
            )
        if not isinstance(self.level, Real) or not 0 < self.level < 1:
            raise ValueError(f"level={self.level!r}: a share between 0 and 1")
        whole = isinstance(self.seed, Integral) and not isinstance(self.seed, bool)
        if not whole or self.seed < 0:
            raise ValueError(f"seed={self.seed!r}: a whole number, 0 or more")


def read_trunk(trunk: Any) -> LinearTrunk | None:
    """The settings of a linear trunk; None where it is exact."""
    if isinstance(trunk, LinearTrunk):
        return trunk
    if trunk not in ("exact", "linear"):
        raise ValueError(f"trunk={trunk!r}: use 'exact', 'linear', or a LinearTrunk")
    return LinearTrunk() if trunk == "linear" else None


class Screen:
    """All substitutions by the linear trunk; the strongest sites and a random sample by the model's own.

    ``exact`` [N, sites] marks the sites whose changes are exact, ``facts`` say what the others are off by.
    """

    def __init__(self, how: LinearTrunk) -> None:
        self.how = how

    def changes(self, asked: Asked, read: Read, between: Between) -> Changes:
        """The changes, exact where `exact` marks them; sets what this screen has to say.

        Raises ValueError where there is no trunk, or the trace does not reach the target.
        """
        seen = self._seen(asked, read)
        linear = by_deltas(replace(asked, linear=True), read, between)
        sample = self._drawn(linear.raw, seen)
        strongest = self._strongest(linear.raw)
        unseen = np.ones_like(sample)  # what the target cannot see changes nothing, exactly
        unseen[:, seen] = False
        self.exact: Mask = sample | strongest
        found = replace(linear, raw=linear.raw.clone())
        found = by_deltas(asked, read, between, found, self.exact)
        self.exact |= unseen
        there = asked.sequences.letters[:, asked.start : asked.end]
        edits = there[:, None] != np.arange(found.raw.shape[2])[:, None]  # [N, A, sites]
        errors = [
            measured(
                linear.raw[:, t].numpy(), found.raw[:, t].numpy(), edits, sample, ~strongest, self.how.level
            )
            for t in range(found.raw.shape[1])
        ]  # fmt: skip
        self.facts: dict[str, Any] = {
            "approximation": "linear", "rerun": self.how.rerun, "sample": int(sample.sum()),
            "seed": self.how.seed, "exact_sites": int(self.exact.sum()), "targets": errors,
        }  # fmt: skip
        self.check = _check(errors, self.exact)
        return found

    def _seen(self, asked: Asked, read: Read) -> slice:
        """The asked sites that the target can see."""
        held = forward(asked, read)
        plan = make_plan(asked, held)
        if held.untraced:
            raise ValueError(
                f"trunk='linear': func cannot be traced, so no gradient passes it: {held.untraced}"
            )
        if plan.local:
            raise ValueError(
                "trunk='linear': this model has no trunk: deltas go all the way to its output, exactly. "
                "Leave trunk out"
            )
        if not any(asked.start <= s < asked.end for s in range(*plan.seen)):
            raise ValueError("start, end: the target sees none of these sites")
        return slice(plan.seen[0] - asked.start, plan.seen[1] - asked.start)

    def _drawn(self, raw: Tensor, seen: slice) -> Mask:
        """A uniform sample of the sites that are seen."""
        drawn = np.zeros((raw.shape[0], raw.shape[3]), dtype=np.bool_)
        wide = seen.stop - seen.start
        chosen = np.random.default_rng(self.how.seed).permutation(len(raw) * wide)
        n, site = np.divmod(chosen[: self.how.sample], wide)
        drawn[n, site + seen.start] = True
        return drawn

    def _strongest(self, raw: Tensor) -> Mask:
        """The sites of the largest change of any target, each against that target's largest."""
        size = raw.abs().amax(2)  # [N, T, sites]
        least = torch.finfo(size.dtype).tiny  # a target that nothing changes has no strongest site
        size = (size / size.amax((0, 2), keepdim=True).clamp_min(least)).amax(1)
        count = ceil(self.how.rerun * size.numel())
        chosen = torch.zeros(size.numel(), dtype=torch.bool)
        chosen[size.flatten().topk(count).indices] = True
        made: Mask = chosen.view(size.shape).numpy()
        return made


def measured(
    linear: npt.NDArray[Any],  # [N, A, sites]
    exact: npt.NDArray[Any],  # [N, A, sites], right at the sample
    edits: Mask,  # [N, A, sites] which of them change a letter
    sample: Mask,  # [N, sites]
    approximate: Mask,  # [N, sites] that are not rerun for their strength
    level: float,
) -> dict[str, float]:
    """What a sample says of one target's approximation.

    r and slope (exact over approximate, through 0: below 1 it is too large) over all sampled edits, the
    median and 90th percentile of the relative error, and of the sign the share that is wrong.
    ``certificate``: the split-conformal quantile. Of the sites that stay approximate, a share `level` or
    more is off by no more than this, in each of its changes and in the output's units, on average over
    draws of the sample (Vovk et al. 2005); infinite where the sample is too small to say so.
    """
    at = edits & sample[:, None]
    a, e = linear[at].astype(np.float64), exact[at].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(a - e) / np.abs(e)
        r = float(np.corrcoef(a, e)[0, 1]) if a.std() and e.std() else float("nan")
        slope = float((a * e).sum() / (a * a).sum())
    off = off[np.isfinite(off)]
    p50, p90 = np.quantile(off, [0.5, 0.9]).tolist() if off.size else (inf, inf)
    errors = np.abs(linear.astype(np.float64) - exact).max(1)[sample & approximate]
    return {
        "r": r, "slope": slope, "p50_error": p50, "p90_error": p90,
        "wrong_sign": float((a * e < 0).mean()), "edits": len(a),
        "certificate": conformal(errors, level), "level": level, "sites": len(errors),
    }  # fmt: skip


def conformal(errors: npt.NDArray[Any], level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n errors; infinite where there are too few.

    A further error, exchangeable with these, is no larger with a probability of `level` or more.
    """
    rank = ceil((len(errors) + 1) * level)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else inf


def _check(errors: list[dict[str, float]], exact: Mask) -> Check:
    """Whether the sample says that the approximation ranks and measures."""
    passed = all(e["r"] >= RANKS and SLOPES[0] <= e["slope"] <= SLOPES[1] for e in errors)
    worst = min(errors, key=lambda e: e["r"] if isfinite(e["r"]) else -1.0)
    which = "" if len(errors) == 1 else f" at the worst of {len(errors)} targets"
    bound = max(e["certificate"] for e in errors)
    said = (
        f"APPROXIMATE but for {exact.mean():.1%} of the sites; {worst['edits']} exact edits: r {worst['r']:.3f}, "
        f"slope {worst['slope']:.2f}, p90 error {worst['p90_error']:.0%}, wrong sign "
        f"{worst['wrong_sign']:.1%}{which}; {worst['level']:.0%} of the approximate sites are off by {bound:.1e} "
        "or less"
    )
    return Check("linear trunk", passed, said)
