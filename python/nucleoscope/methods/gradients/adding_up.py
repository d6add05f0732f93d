"""Whether scores add up to the change that they explain, of each sequence and target; the worst is named."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read


def added_up(
    gap: Tensor, change: Tensor, least: Tensor, relative: float, read: Read
) -> tuple[bool, bool, str]:
    """Whether each gap is within `relative` of its own change and `least`; whether that shows anything; words.

    All are [N, T]; `least` is what rounding may leave. A change of no more shows nothing: sums of zeros are zero,
    whatever made them.
    """
    off, size = gap.abs().double(), change.abs().double()
    moved = size > least
    excess = off / (relative * size + least).clamp(min=torch.finfo(torch.float64).tiny)
    within = bool((excess <= 1).all())
    n, t = divmod(int(excess.nan_to_num(nan=torch.inf).argmax()), gap.shape[1])
    said = []
    if moved.any() or not within:
        each: list[Any] = read.target if isinstance(read.target, list) else [read.target]
        share = f" ({float(off[n, t] / size[n, t]):.1e} of it)" if moved[n, t] else ""
        said.append(
            f"of a difference of outputs of {float(size[n, t]):.2g} scores miss {float(off[n, t]):.1e}{share} "
            f"at worst: sequence {n}, target {Read(each[t])}"
        )
    if not moved.all():
        said.append(
            f"{int((~moved).sum())} of {moved.numel()} differences are 0, or no more than rounding may leave, of "
            "which what is missed is an undefined share: that their scores add up proves nothing"
        )
    return within, within and bool(moved.any()), "; ".join(said)
