"""Small genomic nets of many shapes, a few thousand parameters each: what the field builds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.parts import AttentionPool, Lambda, Net, Residual, conv, lively


def bpnet(length: int) -> nn.Module:
    """Dilated residual tower, a profile and a counts head in one output."""
    del length
    tower = [Residual(conv(12, 12, 3, dilation=2**i), nn.ReLU()) for i in range(1, 5)]

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.tower(torch.relu(net.first(x)))
        return torch.cat([net.profile(h).mean(2), net.counts(h.mean(2))], 1)

    return Net(
        forward,
        first=conv(4, 12, 9),
        tower=nn.Sequential(*tower),
        profile=conv(12, 2, 7),
        counts=nn.Linear(12, 2),
    )


def bpnet_valid(length: int) -> nn.Module:
    """The same without padding: the residual is cropped, the profile shorter than the input."""
    del length
    tower = [Residual(nn.Conv1d(8, 8, 3, dilation=2**i), nn.ReLU()) for i in range(3)]
    return nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), *tower, nn.Conv1d(8, 2, 5))


def basset(length: int) -> nn.Module:
    """Convolution, BatchNorm, ReLU, max-pool, three times; then fully connected layers."""
    left = ((length // 3) // 2) // 2
    return nn.Sequential(
        conv(4, 10, 9), nn.BatchNorm1d(10), nn.ReLU(), nn.MaxPool1d(3),
        conv(10, 12, 5), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(2),
        conv(12, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
        nn.Linear(8 * left, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3),
        nn.Sigmoid(),
    )  # fmt: skip


def splice(length: int) -> nn.Module:
    """Pre-activation residual blocks, a crop, a softmax over the channels."""
    del length

    def block(dilation: int) -> nn.Module:
        layer = [nn.BatchNorm1d(8), nn.ReLU(), conv(8, 8, 5, dilation=dilation)]
        return Residual(*layer, nn.BatchNorm1d(8), nn.ReLU(), conv(8, 8, 5, dilation=dilation))

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.stem(x)
        h = net.blocks(h) + net.skip(h)
        return torch.softmax(net.head(h[:, :, 5:-5]), 1)

    parts = {"stem": nn.Conv1d(4, 8, 1), "skip": nn.Conv1d(8, 8, 1), "head": nn.Conv1d(8, 3, 1)}
    return Net(forward, blocks=nn.Sequential(block(1), block(3)), **parts)


def conv_next(length: int, permute: bool = True) -> nn.Module:
    """Depthwise convolution, LayerNorm over channels, 1x1 with GELU; channels moved two ways."""
    del length
    swap = (lambda x: x.permute(0, 2, 1)) if permute else (lambda x: x.transpose(-1, -2))
    tail = [nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)]
    block = Residual(conv(8, 8, 7, groups=8), Lambda(swap), *tail, Lambda(swap))
    return nn.Sequential(
        conv(4, 8, 5), block, Lambda(lambda h: h.mean(-1)), nn.LayerNorm(8), nn.Linear(8, 2)
    )


def attention_pools(length: int) -> nn.Module:
    """Enformer's stem and a block of its tower: BatchNorm, GELU, convolution; attention pools."""
    del length

    def block(channels: int, made: int, taps: int) -> nn.Sequential:
        return nn.Sequential(nn.BatchNorm1d(channels), nn.GELU(), conv(channels, made, taps))

    return nn.Sequential(
        conv(4, 8, 7), Residual(block(8, 8, 1)), AttentionPool(8),
        block(8, 12, 5), Residual(block(12, 12, 1)), AttentionPool(12, 3), conv(12, 2, 3),
    )  # fmt: skip


def strands(length: int) -> nn.Module:
    """One tower on both strands, flipped back, side by side and summed."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        forth, back = net.tower(x), net.tower(x.flip(1, 2)).flip(2)
        both = torch.relu(net.mix(torch.cat([forth, back], 1))) + forth + back
        return net.head(both.mean(2))

    tower = nn.Sequential(conv(4, 8, 7), nn.ReLU(), conv(8, 8, 3), nn.ReLU())
    return Net(forward, tower=tower, mix=conv(16, 8, 3), head=nn.Linear(8, 2))


def image(length: int, order: str = "rows") -> nn.Module:
    """2-d convolutions: the letters as rows, or a dummy axis before or behind the length."""
    del length
    relu = nn.ReLU()
    if order == "rows":
        layers = [Lambda(lambda x: x.unsqueeze(1)), nn.Conv2d(1, 8, (4, 7), padding=(0, 3)), relu]
        layers += [
            nn.Conv2d(8, 6, (1, 3), padding=(0, 1)),
            relu,
            nn.MaxPool2d((1, 2)),
            Lambda(lambda h: h.squeeze(2)),
        ]
    elif order == "before":
        layers = [Lambda(lambda x: x.unsqueeze(2)), nn.Conv2d(4, 8, (1, 7), padding=(0, 3)), relu]
        layers += [
            nn.Conv2d(8, 6, (1, 3)),
            relu,
            nn.AvgPool2d((1, 2)),
            Lambda(lambda h: h.squeeze(2)),
        ]
    else:
        layers = [Lambda(lambda x: x.unsqueeze(3)), nn.Conv2d(4, 8, (7, 1), padding=(3, 0)), relu]
        layers += [
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 6, (3, 1)),
            nn.MaxPool2d((2, 1)),
            Lambda(lambda h: h.squeeze(-1)),
        ]
    return nn.Sequential(*layers, conv(6, 2, 3))


def odd_steps(length: int) -> nn.Module:
    """Strides, one-sided padding, TensorFlow's "same" max-pool, ceil mode."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.a(F.pad(x, (3, 1))))
        h = F.max_pool1d(F.pad(h, (0, 1), value=float("-inf")), 2, 2)
        h = torch.relu(net.b(F.pad(h, (1, 2))))
        return net.c(F.max_pool1d(h, 3, 2, padding=1, ceil_mode=True)).mean(2)

    a = nn.Conv1d(4, 8, 6, stride=2)
    return Net(forward, a=a, b=nn.Conv1d(8, 8, 4, dilation=2, padding=1), c=conv(8, 2, 3))


def gated(length: int) -> nn.Module:
    """A convolution times the sigmoid of another."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.a(x) * torch.sigmoid(net.b(x))
        h = torch.tanh(net.c(h)) * torch.sigmoid(net.d(h)) + h
        return net.head(h.mean(2))

    taps = {
        "a": conv(4, 8, 5),
        "b": conv(4, 8, 9),
        "c": conv(8, 8, 3, dilation=4),
        "d": conv(8, 8, 3),
    }
    return Net(forward, head=nn.Linear(8, 2), **taps)


def separable(length: int) -> nn.Module:
    """Depthwise and grouped convolutions, one with a multiplier."""
    del length
    return nn.Sequential(
        conv(4, 8, 5, groups=4), nn.ReLU(), conv(8, 12, 1), conv(12, 12, 5, groups=12), nn.ReLU(),
        conv(12, 6, 3, groups=3, stride=2), nn.SiLU(), conv(6, 2, 3),
    )  # fmt: skip


def shared(length: int) -> nn.Module:
    """One module used twice, one weight in two places, and a weight made by weight_norm."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.first(x))
        h = torch.relu(net.twice(torch.relu(net.twice(h))))
        return F.linear(h.mean(2), net.head.weight).relu() @ net.head.weight

    normed = nn.utils.parametrizations.weight_norm(conv(4, 8, 5))
    return Net(forward, first=normed, twice=conv(8, 8, 3), head=nn.Linear(8, 8))


def squeeze_excite(length: int) -> nn.Module:
    """Channels weighed by their mean over the whole length: locality ends."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.a(x))
        h = h * torch.sigmoid(net.gate(h.mean(2)))[:, :, None]
        return net.head(torch.relu(net.b(h)).mean(2))

    return Net(
        forward, a=conv(4, 8, 7), b=conv(8, 8, 3), gate=nn.Linear(8, 8), head=nn.Linear(8, 2)
    )


def attention(length: int) -> nn.Module:
    """A convolutional trunk, positions, self-attention, a mean."""
    left = length // 2

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.pool(torch.relu(net.stem(x))).transpose(1, 2) + net.places
        h = h + net.mix(*[net.norm(h)] * 3, need_weights=False)[0]
        return net.head(h.mean(1))

    places, mix = (
        nn.Parameter(torch.randn(1, left, 8)),
        nn.MultiheadAttention(8, 2, batch_first=True),
    )
    parts = {"pool": nn.MaxPool1d(2), "norm": nn.LayerNorm(8), "head": nn.Linear(8, 2)}
    return Net(forward, stem=conv(4, 8, 7), places=places, mix=mix, **parts)


def recurrent(length: int) -> nn.Module:
    """DanQ: convolution, pool, a bidirectional LSTM, a linear layer."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = F.max_pool1d(torch.relu(net.stem(x)), 3)
        return net.head(net.run(h.transpose(1, 2))[0].mean(1))

    run = nn.LSTM(8, 5, batch_first=True, bidirectional=True)
    return Net(forward, stem=conv(4, 8, 7), run=run, head=nn.Linear(10, 2))


def u_net(length: int) -> nn.Module:
    """Down and up again with a skip, a profile of the input's length (even lengths)."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        fine = torch.relu(net.a(x))
        coarse = torch.relu(net.b(F.max_pool1d(fine, 2)))
        return net.c(torch.cat([fine, F.interpolate(coarse, scale_factor=2.0)], 1))

    return Net(forward, a=conv(4, 8, 5), b=conv(8, 8, 3), c=conv(16, 2, 3))


def channels_last(length: int) -> nn.Module:
    """Takes [N, L, 4]: a linear embedding of the letters, then convolutions."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = F.gelu(net.embed(x)).transpose(1, 2)
        return net.b(torch.relu(net.a(h))).mean(2)

    return Net(forward, embed=nn.Linear(4, 8), a=conv(8, 8, 5), b=conv(8, 2, 3))


def controlled(length: int, how: str = "concat") -> nn.Module:
    """A control track [N, 2, L], put beside the sequence, or added or multiplied to a layer."""
    del length

    def forward(net: Net, x: Tensor, control: Tensor) -> Tensor:
        if how == "concat":
            h = torch.relu(net.wide(torch.cat([x, control], 1)))
        else:
            h, extra = net.narrow(x), net.control(control)
            h = torch.relu(h + extra) if how == "add" else torch.relu(h * extra)
        return net.b(h).mean(2)

    parts = {
        "wide": conv(6, 8, 5),
        "narrow": conv(4, 8, 5),
        "control": conv(2, 8, 1),
        "b": conv(8, 2, 3),
    }
    return Net(forward, **parts)


# name -> (builder, length, target, whether deltas must reach the output)
ZOO: dict[str, tuple[Callable[[int], nn.Module], int, Any, bool]] = {
    "bpnet": (bpnet, 60, None, True),
    "bpnet_valid": (bpnet_valid, 50, [(0, 11), (slice(None), slice(3, 20))], True),
    "basset": (basset, 61, [0, 2], True),
    "splice": (splice, 47, [(1, 18), (slice(1, 3), slice(10, 12))], True),
    "conv_next_permute": (conv_next, 40, 1, True),
    "conv_next_transpose": (lambda length: conv_next(length, permute=False), 40, 1, True),
    "attention_pools": (attention_pools, 48, [(0, 3), (1, slice(2, 6))], True),
    "strands": (strands, 45, None, True),
    "image_rows": (lambda length: image(length, "rows"), 40, (0, 7), True),
    "image_before": (lambda length: image(length, "before"), 41, None, True),
    "image_behind": (lambda length: image(length, "behind"), 42, (1, slice(2, 5)), True),
    "odd_steps": (odd_steps, 53, [0, 1], True),
    "gated": (gated, 40, None, True),
    "separable": (separable, 37, (0, 9), True),
    "shared": (shared, 40, None, True),
    "squeeze_excite": (squeeze_excite, 40, 0, False),
    "attention": (attention, 36, 1, False),
    "recurrent": (recurrent, 36, None, False),
    "u_net": (u_net, 32, (0, 9), True),
}


def build(name: str) -> nn.Module:
    """A net of the zoo, its weights drawn from a fixed seed."""
    torch.manual_seed(0)
    maker, length, _, _ = ZOO[name]
    return lively(maker(length))


@functools.cache
def kept(name: str) -> nn.Module:
    """The same, one net for all tests that change nothing of it: it is traced once."""
    return build(name)
