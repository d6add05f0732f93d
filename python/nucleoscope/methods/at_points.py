"""The mean gradient over a sequence's own column, or over noisy copies of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor
from tqdm import tqdm

from nucleoscope.engine.path import Points, sums
from nucleoscope.methods.gradients import Opened


def mean_over(
    opened: Opened, progress: bool, many: int = 1, copies: Callable[[Points], Tensor] | None = None
) -> tuple[Tensor, Tensor]:  # [N, T, A, L], [N, T]
    """The mean gradient over `many` copies of each sequence, and the targets of the sequences themselves."""
    X, *rest = opened.inputs

    def place(points: Points) -> tuple[Tensor, ...]:
        row = points.row.to(X.device)
        return (X[row] if copies is None else copies(points), *(t[row] for t in rest))

    with tqdm(total=len(X) * many, unit=" gradients", disable=not progress, unit_scale=True) as bar:
        (total,) = sums(opened.backward, place, len(X), np.full((1, many), 1 / many), bar.update)
    return opened.columns(total[0]), opened.backward.values(opened.inputs).cpu()
