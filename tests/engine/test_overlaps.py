"""Pieces of a window never overlap, whatever order a flip brings them in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, sequences
from tests.truth import engine, largest, truth

PRE: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda h: h,
    "max-pool": lambda h: F.max_pool1d(h, 3, 1, 1),
    "average": lambda h: F.avg_pool1d(h, 3, 1, 1),
    "twice": lambda h: h.repeat_interleave(2, -1),
}


@pytest.mark.parametrize(
    "length", [13, 33, *(pytest.param(n, marks=pytest.mark.slow) for n in (16, 20))]
)
@pytest.mark.parametrize("dilation", [4, 5])
@pytest.mark.parametrize("pre", PRE)
def test_both_strands_behind_a_dilation(length: int, dilation: int, pre: str) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = PRE[pre](net.c(x))
        return h + 0.5 * h.flip(-1)

    torch.manual_seed(0)
    model = Net(forward, c=nn.Conv1d(4, 2, 3, dilation=dilation)).eval()
    X = sequences(2, length)
    want = truth(model, X, target=None)
    got = engine(model, X, target=None, precision="fp64")
    assert (got - want).abs().max() <= 1e-9 * largest(want)
    plan = nucleoscope.plan(model, X)
    sites = np.arange(length)
    for chunk in plan.chunks([(sites, sites + 1)], 3):
        for rows in chunk.rows.values():
            places = np.sort(rows.positions, 0)
            assert (np.diff(places, axis=0) > 0).all()
