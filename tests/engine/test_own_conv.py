"""Convolutions by our own op are torch's, and in float32 nearer to float64 than one long sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nucleoscope import ops
from nucleoscope.engine.values.own_conv import OwnConv, packed, takes


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("wide", "length", "taps", "stride", "pad", "dilation", "groups"),
    [
        (3, 700, 5, 1, 10, 5, 1), (3, 513, 3, 2, 0, 7, 1), (3, 256, 1, 1, 0, 1, 3), (3, 257, 4, 3, 2, 1, 1),
        (3, 40, 9, 1, 3, 2, 3), (64, 90, 3, 1, 4, 4, 1), (50, 61, 11, 1, 5, 1, 1),
    ],
)  # fmt: skip
def test_they_are_torch_s(
    wide: int, length: int, taps: int, stride: int, pad: int, dilation: int, groups: int, bias: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, wide * groups, length).double().relu()
    w = torch.randn((wide + 1) * groups, wide, taps).double()
    b = torch.randn(len(w)).double() if bias else None
    given, conv = ([stride], [pad], [dilation], groups), OwnConv()
    wanted = F.conv1d(x, w, b, *given)
    for _ in range(2):  # packed, and found packed
        torch.testing.assert_close(conv(x, w, b, *given), wanted)
    torch.testing.assert_close(conv(x, 2 * w, None, *given), F.conv1d(x, 2 * w, None, *given))


def test_only_convolutions_of_some_channels_are_taken() -> None:
    conv = torch.ops.aten.conv1d.default
    x, w = torch.zeros(1, 32, 60).double(), torch.zeros(32, 32, 11).double()
    both = (torch.float32, torch.float64)
    assert takes(conv, (x, w), both)
    assert takes(conv, (x, w, None, [1], [5], [1], 1), both)
    assert takes(conv, (x.float(), w.float()), both)
    assert not takes(conv, (x.float(), w.float()), both[1:])
    assert not takes(conv, (x[0], w), both)
    assert not takes(conv, (x, w[:3]), both)
    assert not takes(torch.ops.aten.relu.default, (x,), both)


def test_short_sums_of_float32_lose_less_than_one_long_sum_does() -> None:
    """Less than half of it tap by tap; some of that is given back where four outputs are made at once."""
    torch.manual_seed(0)
    x, w = torch.randn(2, 300, 80).relu(), torch.randn(60, 300, 11)
    exact = F.conv1d(x.double(), w.double())
    one_by_one = torch.zeros_like(exact, dtype=torch.float32)
    for channel in range(300):
        for tap in range(11):
            one_by_one += x[:, channel, None, tap : tap - 10 or None] * w[:, channel, tap, None]
    by_tap, _ = ops.conv(x.mT, packed(w)[0], channels=60, length=70)
    own = OwnConv()(x, w)
    assert not torch.equal(own, by_tap.mT)
    long, short, at_once = (
        float((made - exact).pow(2).mean().sqrt()) for made in (one_by_one, by_tap.mT, own)
    )
    assert short < long / 2
    assert at_once < long
