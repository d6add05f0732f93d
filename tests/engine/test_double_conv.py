"""Float64 convolutions by our own op are torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nucleoscope.engine.double_conv import DoubleConv, takes


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("length", "taps", "stride", "pad", "dilation", "groups"),
    [
        (700, 5, 1, 10, 5, 1), (513, 3, 2, 0, 7, 1), (256, 1, 1, 0, 1, 3), (257, 4, 3, 2, 1, 1),
        (40, 9, 1, 3, 2, 3),
    ],
)  # fmt: skip
def test_they_are_torch_s(
    length: int, taps: int, stride: int, pad: int, dilation: int, groups: int, bias: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3 * groups, length).double().relu()
    w = torch.randn(4 * groups, 3, taps).double()
    b = torch.randn(4 * groups).double() if bias else None
    given, conv = ([stride], [pad], [dilation], groups), DoubleConv()
    wanted = F.conv1d(x, w, b, *given)
    for _ in range(2):  # packed, and found packed
        torch.testing.assert_close(conv(x, w, b, *given), wanted)
    torch.testing.assert_close(conv(x, 2 * w, None, *given), F.conv1d(x, 2 * w, None, *given))


def test_only_float64_convolutions_of_some_channels_are_taken() -> None:
    conv = torch.ops.aten.conv1d.default
    x, w = torch.zeros(1, 32, 60).double(), torch.zeros(32, 32, 11).double()
    assert takes(conv, (x, w))
    assert takes(conv, (x, w, None, [1], [5], [1], 1))
    assert not takes(conv, (x.float(), w.float()))
    assert not takes(conv, (x[0], w))
    assert not takes(conv, (x, w[:3]))
    assert not takes(torch.ops.aten.relu.default, (x,))
