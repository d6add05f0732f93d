"""Layers that few models have: filters of hundreds of taps, state spaces, tables of letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.parts import Net, conv, sequences
from tests.truth import assert_exact

LENGTH = 23
WIDE = 640


@pytest.mark.parametrize("groups", [1, 3])
def test_a_filter_of_601_taps(groups: int) -> None:
    torch.manual_seed(0)
    long = conv(3, 3, 601, groups=groups)
    model = Net(lambda net, x: net.long(torch.relu(net.first(x))), first=conv(4, 3), long=long)
    X = sequences(1, WIDE)
    assert_exact(model, X, target=[(0, 320), (slice(None), 5), 1], start=300, end=306, local=True)


def by_loop(net: Net, x: Tensor) -> Tensor:
    """A diagonal state space, position by position: s_t = a s_(t-1) + b x_t."""
    h = torch.tanh(net.first(x))
    state, made = torch.zeros_like(h[:, :, 0]), []
    for t in range(h.shape[2]):
        state = net.decay * state + h[:, :, t]
        made.append(state)
    return net.last(torch.stack(made, 2).tanh())


def by_filter(net: Net, x: Tensor) -> Tensor:
    """The same as a causal convolution with the powers of a."""
    h = torch.tanh(net.first(x))
    powers = net.decay[:, None] ** torch.arange(h.shape[2] - 1, -1, -1)
    padded = F.pad(h, (h.shape[2] - 1, 0))
    return net.last(F.conv1d(padded, powers[:, None], groups=len(powers)).tanh())


def by_transform(net: Net, x: Tensor) -> Tensor:
    """The same by Fourier transforms."""
    h = torch.tanh(net.first(x))
    size, length = 2 * h.shape[2], h.shape[2]
    powers = net.decay[:, None] ** torch.arange(length)
    made = torch.fft.irfft(torch.fft.rfft(h, n=size) * torch.fft.rfft(powers, n=size), n=size)
    return net.last(made[:, :, :length].tanh())


def state_space(form: Callable[[Net, Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return Net(form, first=conv(4, 3), last=conv(3, 2), decay=nn.Parameter(torch.rand(3)))


def test_three_forms_of_a_state_space() -> None:
    X = sequences(2, LENGTH)
    made = [
        assert_exact(state_space(form), X, target=[None, (0, 20)], local=local)
        for form, local in ((by_loop, None), (by_filter, True), (by_transform, False))
    ]
    assert (made[0] - made[1]).abs().max() < 1e-6
    assert (made[0] - made[2]).abs().max() < 1e-6


def test_reverse_complement_by_tables() -> None:
    torch.manual_seed(0)
    swap = torch.tensor([3, 2, 1, 0])

    def forward(net: Net, x: Tensor) -> Tensor:
        other = net.tower(x[:, swap].flip(2)).flip(2)
        return net.tower(x) + torch.index_select(other, 1, torch.tensor([1, 0]))

    tower = nn.Sequential(conv(4, 6), nn.ReLU(), conv(6, 2))
    assert_exact(Net(forward, tower=tower), sequences(2, LENGTH), target=[0, (1, 4)], local=True)
