"""What is read off a gated value by a mean or a maximum is local: the gate goes behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, conv, lively, sequences
from tests.truth import assert_exact

LENGTH = 23
Body = Callable[[Net, Tensor], Tensor]


def gate(net: Net, h: Tensor) -> Tensor:
    """A number for each channel [N, 5, 1], made of the whole length."""
    return torch.sigmoid(net.up(F.silu(net.down(h.mean(2)))))[:, :, None]


def twice(net: Net, h: Tensor) -> Tensor:
    """A gate made of what another has weighed."""
    h = h * gate(net, h)
    h = net.mix(h)
    return (h * torch.sigmoid(net.again(h.mean(2)))[:, :, None]).mean(2)


LOCAL: dict[str, Body] = {
    "mean": lambda net, h: (h * gate(net, h)).mean(2),
    "gate first, mean that keeps its axis": lambda net, h: (gate(net, h) * h).mean(
        -1, keepdim=True
    ),
    "sum": lambda net, h: (h * gate(net, h)).sum(2),
    "average pool of one": lambda net, h: F.adaptive_avg_pool1d(h * gate(net, h), 1).flatten(1),
    "maximum": lambda net, h: (h * gate(net, h)).amax(2),
    "max-pool of one, of a ReLU": lambda net, h: F.adaptive_max_pool1d(
        F.relu(h * gate(net, h)), 1
    ).flatten(1),
    "residual, projected, normed": lambda net, h: (
        h + net.norm(net.mix(h * gate(net, h) - 0.3))
    ).mean(2),
    "channels last": lambda net, h: net.again(
        h.transpose(1, 2) * gate(net, h).transpose(1, 2)
    ).mean(1),
    "a quotient": lambda net, h: (h / (gate(net, h) + 1.0)).mean(2),
    "less its own mean": lambda net, h: (
        ((h - h.mean(2, keepdim=True)) * gate(net, h)).mean(2) + h.mean(2)
    ),
    "beside what is the same for all sequences": lambda net, h: (
        h * gate(net, h) + net.places
    ).mean(2),
    "a gate of all channels": lambda net, h: (h * gate(net, h)[:, :1]).mean(2),
    "two gates": twice,
}
SEAMS: dict[str, Body] = {
    "ReLU of what a positive gate weighs": lambda net, h: F.relu(h * gate(net, h)).mean(2),
    "ReLU of weights of positions": lambda net, h: F.relu(net.places * gate(net, h)).mean(2),
    "behind a convolution": lambda net, h: net.wide(h * gate(net, h)).mean(2),
    "ReLU of what a gate turns around": lambda net, h: F.relu(h * (gate(net, h) - 0.5)).mean(2),
    "a maximum of what a gate turns around": lambda net, h: (h * (gate(net, h) - 0.5)).amax(2),
    "sigmoid": lambda net, h: torch.sigmoid(h * gate(net, h)).mean(2),
}


def net(bodies: list[Body]) -> nn.Module:
    """conv -> tanh -> bodies side by side, five numbers each -> tanh."""
    torch.manual_seed(3)

    def forward(self: Net, x: Tensor) -> Tensor:
        h = torch.tanh(2 * self.first(x))
        return torch.tanh(torch.cat([body(self, h).flatten(1) for body in bodies], 1))

    parts = {
        "first": conv(4, 5, 7), "down": nn.Linear(5, 3), "up": nn.Linear(3, 5), "mix": conv(5, 5, 1),
        "norm": nn.BatchNorm1d(5), "again": nn.Linear(5, 5), "wide": conv(5, 5, 3),
        "places": nn.Parameter(torch.randn(5, LENGTH)),
    }  # fmt: skip
    return lively(Net(forward, **parts))


def test_the_gate_goes_behind_the_mean() -> None:
    """One target is all numbers of one body: none may hide behind another's effects."""
    targets = [slice(5 * i, 5 * i + 5) for i in range(len(LOCAL))]
    assert_exact(net(list(LOCAL.values())), sequences(2, LENGTH), target=targets, local=True)


@pytest.mark.parametrize("name", SEAMS)
def test_elsewhere_it_is_a_seam(name: str) -> None:
    assert_exact(net([SEAMS[name]]), sequences(1, LENGTH), target=0, local=False)


@pytest.mark.parametrize("gated", [False, True])
def test_counts_and_masks_are_summed_as_they_are(gated: bool) -> None:
    """A mean of what is true or false has no number type."""

    def body(net: Net, h: Tensor) -> Tensor:
        weighed = (h > 0) * gate(net, h) if gated else h > 0
        return h.mean(2) * weighed.sum(2) / 9

    assert_exact(net([body]), sequences(1, LENGTH), target=0)


def test_a_mean_without_a_gate_stays_where_it_is() -> None:
    """Its layers are as the model has them."""
    model = net([lambda net, h: net.mix(h).mean(2)])
    ops = [str(n.target) for n in nucleoscope.plan(model, sequences(1, LENGTH)).graph.fx]
    assert ops.count("aten.mean.dim") == 1
    assert ops.index("aten.mean.dim") > max(i for i, op in enumerate(ops) if "conv1d" in op)
