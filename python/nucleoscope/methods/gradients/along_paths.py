"""Integrals along the paths of one view of a request: blocks of sequences, checks, what a result keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.integral import Integral, Paths, relative
from nucleoscope.methods.gradients.baselines import Baselines
from nucleoscope.methods.gradients.differentiating import Opened
from nucleoscope.result import Attribution, Check

Take = Callable[[Backward, Paths, Callable[[int], object]], Integral]

# A map whose error may be a fifth of itself fails its check, and scores whose sum is off by a twentieth of
# what they add up to regardless of sign.
POOR, MISSED = 0.2, 0.05


@dataclass(frozen=True)
class Walk:
    """What one view gives, a row a sequence."""

    raw: Tensor  # what each letter would count if it stood there, [N, T, A, L]
    original: Tensor  # [N, T], as all that follows
    change: Tensor  # of the target, from the baseline to the sequence
    total: Tensor  # what the attribution adds up to
    absolute: Tensor  # and regardless of signs
    error: Tensor  # the error bar, in the units of
    size: Tensor  # how large the attribution is
    nodes: Tensor  # [N]: gradients that were computed

    @property
    def gap(self) -> Tensor:
        """What the attribution's sum misses of the change."""
        return self.total - self.change

    @property
    def bar(self) -> Tensor:
        """The error bar relative to the attribution."""
        return relative(self.error, self.size)

    @property
    def checks(self) -> tuple[Check, ...]:
        """How exact it is, and whether it adds up."""
        bar = self.bar.double()
        said = (
            f"the map is off by {_percent(bar.median())} of its size, at most {_percent(bar.max())}"
        )
        exact = Check("error bar", bool(bar.max() <= POOR), said)
        close = bool((self.gap.abs() <= MISSED * self.absolute + 1e-6 * self.original.abs()).all())
        return (exact, Check("completeness", close, self._gap()))

    def _gap(self) -> str:
        gap, change = self.gap.abs(), self.change.abs()
        moved = change > 0
        said = f"sums miss the change of the target by {float(gap.max()):.1e} at most"
        if moved.any():
            said += f", {_percent((gap / change)[moved].median())} of it in the median"
        if not moved.all():
            said += (
                f"; {int((~moved).sum())} of {moved.numel()} targets are the same at the baseline, of which a "
                "relative gap is undefined"
            )
        return said

    @property
    def facts(self) -> dict[str, Any]:
        """How many nodes it took."""
        least, most = int(self.nodes.min()), int(self.nodes.max())
        return {"n_steps": str(least) if least == most else f"{least} to {most}"}


def walk(opened: Opened, starts: Baselines, take: Take, nodes: int, progress: bool) -> Walk:
    """Integrate from each sequence's baseline to it; about `nodes` gradients each."""
    parts = []
    with tqdm(
        total=len(opened) * nodes, unit=" gradients", disable=not progress, unit_scale=True
    ) as bar:
        for rows, inputs in opened.blocks():
            start = opened.as_given(starts.of(rows)[:, 0])
            paths = Paths((start,), inputs[:1], inputs[1:])
            parts.append(_one_block(opened, paths, take, bar.update))
    return Walk(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _one_block(
    opened: Opened, paths: Paths, take: Take, update: Callable[[int], object]
) -> tuple[Tensor, ...]:
    begin = tuple(t.expand(len(paths), *t.shape[1:]) for t in paths.start)
    before, after = (
        opened.backward.values((*ends, *paths.rest)).cpu() for ends in (begin, paths.end)
    )
    made = take(opened.backward, replace(paths, values=(before, after)), update)
    along = paths.along(made.mean)
    G, b = (
        opened.columns(made.mean[0]),
        opened.columns(paths.start[0])[:, None].to(made.mean[0].device),
    )
    raw = G - (b * G).sum(2, keepdim=True)
    return (
        raw, after, after - before, along.sum(2), along.abs().sum(2), made.error, made.size,
        made.nodes,
    )  # fmt: skip


def with_errors(made: Attribution, walks: list[Walk]) -> Attribution:
    """The attribution with its error bar and gap, averaged over what was asked."""
    error, size, gap = (
        torch.stack([getattr(each, name) for each in walks]).mean(0)
        for name in ("error", "size", "gap")
    )
    return replace(made, error_bar=relative(error, size), gap=gap)


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.2g} %"
