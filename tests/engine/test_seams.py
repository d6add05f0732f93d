"""Where locality ends, or a rule declines: the numbers are still the definition's."""

# ruff: noqa: ARG005 - every forward and every case is called alike, whatever it uses

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.values.forward import Forward
from tests.parts import AttentionPool, Net, conv, lively, sequences
from tests.truth import assert_close, assert_exact, engine, largest, truth

Between = Callable[[Net, Tensor], Tensor]

SEAMS: dict[str, Between] = {
    "a rolled sum": lambda net, h: h.roll(1, 2).cumsum(2),
    "after a constant": lambda net, h: (h + 0.3).roll(1, 2).cumsum(2),
    "softmax over the length": lambda net, h: torch.softmax(h, 2),
    "maximum over the length": lambda net, h: h.amax(2),
    "variance over the length": lambda net, h: h.var(2),
    "logsumexp over the length": lambda net, h: torch.logsumexp(h, 2),
    "instance norm": lambda net, h: F.instance_norm(h),
    "group norm": lambda net, h: F.group_norm(h, 2),
    "times its own mean": lambda net, h: h * h.mean(2, keepdim=True),
    "norm over flattened positions": lambda net, h: net.flat_norm(h.flatten(1)),
    "norm of positions": lambda net, h: net.places_norm(h.transpose(1, 2)).transpose(1, 2),
    "attention without weights": lambda net, h: (
        F.scaled_dot_product_attention(*[h.transpose(1, 2)[:, None]] * 3)[:, 0].mT
    ),
    "self-attention": lambda net, h: net.mix(*[h.transpose(1, 2)] * 3, need_weights=False)[
        0
    ].transpose(1, 2),
    "encoder layer": lambda net, h: net.layer(h.transpose(1, 2)).transpose(1, 2),
    "lstm": lambda net, h: net.lstm(h.transpose(1, 2))[0].transpose(1, 2),
    "lstm, last state": lambda net, h: net.lstm(h.transpose(1, 2))[1][0].transpose(0, 1).flatten(1),
    "gru": lambda net, h: net.gru(h.transpose(1, 2))[0].transpose(1, 2),
    "zeros of the batch's size": lambda net, h: (
        torch.cat([h, torch.zeros(h.shape[0], 2, h.shape[2]).to(h)], 1).roll(1, 2).cumsum(2)
    ),
    "upsampled": lambda net, h: F.interpolate(h, scale_factor=2.0),
    "transposed convolution": lambda net, h: net.up(h),
    "circular padding": lambda net, h: F.pad(h, (2, 2), mode="circular"),
    "mirrored padding": lambda net, h: F.pad(h, (2, 2), mode="reflect"),
    "rolled": lambda net, h: h.roll(3, 2),
    "end to end": lambda net, h: torch.cat([h, h], 2),
    "windows unfolded": lambda net, h: h.unfold(2, 3, 2).sum(-1),
    "repeated": lambda net, h: h.repeat_interleave(2, 2),
    "length in pairs": lambda net, h: h[:, :, :18].reshape(h.shape[0], 6, 9, 2).amax(3),
    "cells in pairs, weights read twice": lambda net, h: weighed(
        h, lambda c, w: (c * w).sum(-1) + w.square().sum(-1)
    ),
    "cells in pairs, averaged": lambda net, h: weighed(h, lambda c, w: (c * w).mean(-1)),
    "cells in pairs, not summed": lambda net, h: weighed(h, lambda c, w: (c * w).flatten(2)),
    "cells in pairs, summed over more": lambda net, h: weighed(h, lambda c, w: (c * w).sum((1, 3))),
    "cells in pairs, squared weights": lambda net, h: weighed(h, lambda c, w: (w * w).sum(-1)),
    "cells in pairs, of a constant": lambda net, h: weighed(
        h, lambda c, w: (w * net.wider[0, 0, :, None, :2]).sum(-1)
    ),
    "cells in pairs, of what comes later": lambda net, h: weighed(
        h, lambda c, w: (w * torch.tanh(c)).sum(-1)
    ),
    "cells in pairs, filled up": lambda net, h: net.pool(h),
    "pooled to four": lambda net, h: F.adaptive_avg_pool1d(h, 4).flatten(1),
    "max-pooled to one": lambda net, h: F.adaptive_max_pool1d(h, 1),
    "pooled over channels": lambda net, h: F.adaptive_avg_pool1d(h.transpose(1, 2), 1).transpose(
        1, 2
    ),
    "pooled across rows, max": lambda net, h: F.max_pool2d(
        h.reshape(h.shape[0], 3, 2, -1), (2, 3)
    ).squeeze(2),
    "pooled across rows, average": lambda net, h: F.avg_pool2d(
        h.reshape(h.shape[0], 3, 2, -1), (2, 3)
    ).squeeze(2),
    "lengths on two axes": lambda net, h: torch.cat([h[:, :, :6], h[:, :, :6].transpose(1, 2)], 1),
    "subtracted from something wider": lambda net, h: torch.rsub(h[:, None], net.wider).flatten(
        1, 2
    ),
    "sum over something wider": lambda net, h: (h[:, None] + net.wider).amax(1),
    "split": lambda net, h: torch.mul(*h.chunk(2, 1)),
    "glu": lambda net, h: F.glu(h, 1),
    "cube": lambda net, h: h**3,
    "mish": lambda net, h: F.mish(h),
    "prelu": lambda net, h: net.prelu(h),
    "where": lambda net, h: torch.where(h > 0, h, h.flip(1)),
    "matrix product": lambda net, h: (h.transpose(1, 2) @ net.square).transpose(1, 2),
    "einsum": lambda net, h: torch.einsum("ncl,cd->ndl", h, net.square),
    "root mean square": lambda net, h: h * torch.rsqrt(h.square().mean(1, keepdim=True) + 1e-3),
    "unit length": lambda net, h: F.normalize(h, dim=1),
    "sliding products": lambda net, h: h[:, :, 2:] * h[:, :, :-2],
    "outer map": lambda net, h: (h[:, :, :, None] + h[:, :, None, :]).amax(3),
    "by fourier transform": lambda net, h: torch.fft.irfft(torch.fft.rfft(h, n=20), n=20),
    "a relu of padding that is -inf": lambda net, h: torch.relu(
        F.max_pool1d(F.pad(h, (3, 3), value=-torch.inf), 3)
    ),
}
LENGTH = 19


def weighed(h: Tensor, body: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Cells of two positions and their softmax, read by the body."""
    cells = h[:, :, :18].unflatten(2, (9, 2))
    return body(cells, torch.softmax(cells * 2, -1))


def net(name: str) -> nn.Module:
    """conv -> tanh -> something -> conv, or the something itself if no length is left."""
    torch.manual_seed(1)

    def forward(self: Net, x: Tensor) -> Tensor:
        h = SEAMS[name](self, torch.tanh(self.first(x) * 2))
        return F.conv1d(h, self.last[:, : h.shape[1]]) if h.ndim == 3 else h

    parts: dict[str, Any] = {
        "first": conv(4, 6), "last": nn.Parameter(torch.randn(2, 16, 1)),
        "flat_norm": nn.BatchNorm1d(6 * LENGTH),
        "places_norm": nn.BatchNorm1d(LENGTH), "mix": nn.MultiheadAttention(6, 2, batch_first=True),
        "layer": nn.TransformerEncoderLayer(6, 2, 12, batch_first=True),
        "lstm": nn.LSTM(6, 3, 2, batch_first=True),
        "gru": nn.GRU(6, 3, batch_first=True, bidirectional=True),
        "up": nn.ConvTranspose1d(6, 4, 4, 2),
        "wider": nn.Parameter(torch.randn(1, 2, 6, LENGTH)), "prelu": nn.PReLU(6),
        "square": nn.Parameter(torch.randn(6, 6)), "pool": AttentionPool(6),
    }  # fmt: skip
    return lively(Net(forward, **parts))


# Ops without a rule all take one path, through the model's own tail: a few of them stand for the others.
MORE = {
    "windows unfolded", "repeated", "circular padding", "mirrored padding", "mish", "prelu", "cube",
    "where", "einsum", "rolled", "unit length", "max-pooled to one", "variance over the length",
    "instance norm", "lstm, last state", "gru", "encoder layer",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in MORE else []) for n in SEAMS]
)
def test_seam(name: str) -> None:
    assert_exact(net(name), sequences(2, LENGTH), target=[None, 0])


REASONS = {
    "cells in pairs, averaged": "a softmax over cells .* that is not only the weights of their sum",
    "cells in pairs, of a constant": "a softmax over cells .* that weighs something else",
    "instance norm": "a mean and a variance over the length",
    "lstm": "hands its state from each position to the next",
    "attention without weights": "attention looks at all positions",
    "where": "its answer jumps",
    "outer map": "a map of pairs",
    "by fourier transform": "the same filter as a conv1d would stay local",
    "times its own mean": "what stands for the whole length is spread over its positions",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_seam_says_why(name: str) -> None:
    seams = nucleoscope.plan(net(name), sequences(1, LENGTH)).graph.seams
    assert re.search(REASONS[name], seams[0].reason)


def pinned(self: Net, x: Tensor) -> Tensor:
    h = torch.relu(self.first(x).float())
    return (h + torch.zeros(h.shape[0], 1, 1, dtype=torch.float32)).roll(1, 2).cumsum(2)


def test_a_model_that_fixes_its_number_type() -> None:
    model, X = Net(pinned, first=conv(4, 3)), sequences(2, LENGTH)
    want = truth(model, X, dtype=torch.float32)
    assert_close(engine(model, X), want, 1e-5 * largest(want))
    try:
        got, refusal = engine(model, X, precision="fp64"), ""
    except ValueError as error:
        got, refusal = want, str(error)
    assert_close(got, want, 1e-4 * largest(want))
    assert not refusal or refusal.startswith(("precision", "model"))


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("head", ["profile", "mean", "flatten"])
def test_tiny_lengths(length: int, head: str) -> None:
    def forward(self: Net, x: Tensor) -> Tensor:
        h = torch.tanh(self.wide(torch.relu(self.first(x))))
        return {"profile": h, "mean": h.mean(2), "flatten": self.dense(h.flatten(1))}[head]

    parts = {
        "first": conv(4, 6, 5),
        "wide": conv(6, 4, 9, dilation=2),
        "dense": nn.Linear(4 * length, 2),
    }
    assert_exact(Net(forward, **parts), sequences(2, length))


@pytest.mark.parametrize("start", [0, 18])
def test_a_window_at_either_end(start: int) -> None:
    assert_exact(net("a rolled sum"), sequences(1, LENGTH), start=start, end=start + 1)


def test_a_kernel_longer_than_the_sequence() -> None:
    model = Net(
        lambda self, x: self.b(torch.relu(self.a(x))),
        a=nn.Conv1d(4, 5, 31, padding=20),
        b=conv(5, 2, 25),
    )
    assert_exact(model, sequences(2, 13), target=[(0, 3), None], local=True)


def test_values_outside_the_cone_do_no_harm() -> None:
    # Positions that the target does not read hold partial sums: their logarithm may not be finite.
    def forward(self: Net, x: Tensor) -> Tensor:
        h = F.avg_pool1d(self.first(x).square(), 9, 1, 4) + 0.2
        return torch.log(h) + 1 / h + h / h.square().clamp(min=0.2)

    model = Net(forward, first=conv(4, 3))
    for target in ((0, 9), [(0, 2), (1, 16)], (slice(None), slice(8, 11))):
        assert_exact(model, sequences(2, LENGTH), target=target, local=True)


def test_a_float64_seam_is_planned_and_printed() -> None:
    assert repr(
        nucleoscope.plan(net("lstm").double(), sequences(1, LENGTH).double(), precision="fp64")
    )


def test_the_tail_reads_values_laid_out_as_the_model_makes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Channels before positions: on other strides the tail's convolutions copy what they read."""
    seen: list[Tensor] = []
    tail = Forward.tail

    def watched(self: Forward, laid: dict[str, Tensor], batch: int) -> Tensor:
        seen.extend(laid.values())
        return tail(self, laid, batch)

    monkeypatch.setattr(Forward, "tail", watched)
    net = Net(
        lambda net, x: net.b(torch.relu(net.a(x)).roll(1, 2).cumsum(2)).mean(2),
        a=conv(4, 6, 5), b=conv(6, 2, 3),
    )  # fmt: skip
    X = sequences(2, 23)
    assert_exact(net.eval(), X, local=False)
    assert seen
    assert {value.shape[1:] for value in seen} == {(6, 23)}
    assert all(value.is_contiguous() for value in seen)
