"""Steep functions near their pole: exact as the loop, through the tail; off it, by their deltas."""

# ruff: noqa: ARG005 - every case is called alike, whatever it uses

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, conv, sequences
from tests.truth import assert_exact

Between = Callable[[Net, Tensor], Tensor]

NEAR: dict[str, Between] = {
    "root of a pool": lambda net, h: torch.sqrt(F.avg_pool1d(torch.relu(h), 4)),
    "power pool": lambda net, h: F.lp_pool1d(torch.relu(h), 2.0, 3),
    "length of a vector": lambda net, h: h * torch.sqrt(torch.relu(h).square().sum(1, True)),
    "root of a clamp": lambda net, h: torch.sqrt(torch.clamp(20 * h, 1e-8)),
    "root of a hinge": lambda net, h: torch.relu(h) ** 0.5,
    "log of a clamp": lambda net, h: torch.log(torch.clamp(8 * h, min=1e-6)),
    "log of a shifted hinge": lambda net, h: torch.log(torch.relu(4 * h) + 1e-6),
    "log of a hinge and a buffer": lambda net, h: torch.log(torch.relu(20 * h) + net.eps),
    "log of a maximum": lambda net, h: torch.log(F.max_pool1d(torch.relu(20 * h), 3) + 1e-5),
    "log of a sigmoid": lambda net, h: torch.log(torch.sigmoid(30 * h)),
    "log of its complement": lambda net, h: torch.log1p(-torch.sigmoid(5 * h)),
    "binary log": lambda net, h: torch.log2(torch.relu(20 * h) + 1e-4),
    "inverse root": lambda net, h: torch.rsqrt(torch.relu(20 * h) + 1e-4),
    "sigmoid by hand": lambda net, h: 1 / (1 + torch.exp(-30 * h)),
    "reciprocal": lambda net, h: 1 / torch.clamp(20 * h, 0.02),
    "quotient": lambda net, h: net.pair(h) / torch.clamp(20 * h, 0.02),
    "log beside large originals": lambda net, h: torch.log(torch.clamp(1e4 * h, 0.2, 2e3)),
    "reciprocal beside large originals": lambda net, h: 1 / torch.clamp(1e3 * h, 0.5, 1e3),
}
OFF: dict[str, Between] = {
    "log": lambda net, h: torch.log(torch.relu(20 * h) + 0.1),
    "log of a softmax": lambda net, h: torch.log(torch.softmax(20 * h, 1)),
    "log1p": lambda net, h: torch.log1p(F.softplus(20 * h)),
    "log1p of less than nothing": lambda net, h: torch.log1p(-0.8 * torch.sigmoid(h)),
    "root": lambda net, h: torch.sqrt(F.avg_pool1d(h.abs(), 4) + 0.1),
    "inverse of a root": lambda net, h: 1 / torch.sqrt(1 + h.square()),
    "reciprocal": lambda net, h: 1 / torch.clamp(20 * h, 0.1),
    "log beside large originals": lambda net, h: torch.log(torch.clamp(1e4 * h, 11.0, 2e3)),
    "quotient": lambda net, h: net.pair(h) / (1.5 - torch.tanh(20 * h)),
    "views": lambda net, h: torch.log(torch.cat([h.relu(), h.flip(1).abs()], 1)[:, ::2].mT + 1).mT,
}


def net(between: Between, seed: int) -> nn.Module:
    torch.manual_seed(seed)

    def forward(self: Net, x: Tensor) -> Tensor:
        h = between(self, self.first(x))
        return F.conv1d(h, self.last[:, : h.shape[1]]).mean(2)

    made = Net(
        forward, first=conv(4, 6, 5), pair=conv(6, 6, 3), last=nn.Parameter(torch.randn(2, 12, 1))
    )
    made.register_buffer("eps", torch.tensor(1e-5))
    return made.eval()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
@pytest.mark.parametrize("name", NEAR)
def test_near_a_pole(name: str, seed: int) -> None:
    assert_exact(net(NEAR[name], seed), sequences(1, 40, seed=seed), local=False)


@pytest.mark.parametrize("name", OFF)
def test_off_a_pole(name: str) -> None:
    assert_exact(net(OFF[name], 0), sequences(1, 40), local=True)


def test_the_seam_says_what_would_stay_local() -> None:
    told = repr(nucleoscope.plan(net(NEAR["log of a clamp"], 0), sequences(1, 40)))
    assert "what never falls below 0.1 would stay local" in " ".join(told.split())


def test_what_bounds_a_value_begins_the_tail() -> None:
    """The clamp itself: behind it, an edited value of 1e-6 is the original's rounding."""
    graph = nucleoscope.plan(net(NEAR["log of a clamp"], 0), sequences(1, 40)).graph
    assert [graph.nodes[n.name].role for n in graph.fx if "clamp" in n.name] == ["tail"]
