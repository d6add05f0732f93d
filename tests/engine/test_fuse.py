"""A ReLU that a max-pool alone reads is the pool's, and its output is not kept of the original."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.rules.pool import MaxPool
from nucleoscope.engine.tracing.fuse import fuse
from nucleoscope.engine.tracing.trace import trace
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from tests.parts import sequences

X = sequences(2, 61)


class Net(nn.Module):
    """conv -> ReLU -> pool, where `other` may read the ReLU, too."""

    def __init__(self, other: bool, residual: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, 8, 3, padding=1)
        self.head = nn.Conv1d(8, 3, 1)
        self.other, self.residual = other, residual

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = (self.second(h) + h).relu() if self.residual else self.second(h.tanh()).relu()
        pooled = nn.functional.max_pool1d(h, 3)
        more = h[:, :, : 3 * pooled.shape[2]].unflatten(2, (-1, 3)).mean(3) if self.other else 0.0
        return self.head(pooled + more).mean(2)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_the_relu_is_the_pool_s_where_nothing_else_reads_it(other: bool, residual: bool) -> None:
    model = Net(other, residual).eval()
    graph = fuse(trace(model, X, ()))
    (pool,) = (n.rule for n in graph.nodes.values() if isinstance(n.rule, MaxPool))
    before = graph.nodes[pool.inputs[0]].rule
    assert pool.relu is not other
    assert isinstance(before, Conv)
    assert bool(before.reads) is other
    got = nucleoscope.saturation_mutagenesis(
        model, X, target=1, center="none", hypothetical=True, precision="fp64"
    )
    every = range(X.shape[2])
    wanted = naive(model.double(), X.double(), sites=every, read=lambda y: y[:, 1:2])[:, 0]
    torch.testing.assert_close(got.scores.to(wanted), wanted, rtol=1e-9, atol=1e-12)
