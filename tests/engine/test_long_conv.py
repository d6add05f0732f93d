"""Long float64 convolutions by blocks are torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nucleoscope.engine import long_conv as blocks


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("length", "taps", "stride", "pad", "dilation"),
    [(700, 5, 1, 10, 5), (513, 3, 2, 0, 7), (256, 1, 1, 0, 1), (257, 4, 3, 2, 1), (40, 9, 1, 3, 2)],
)
def test_blocks_are_torch_s(
    length: int, taps: int, stride: int, pad: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(2, 3, length).double(), torch.randn(4, 3, taps).double()
    b = torch.randn(4).double() if bias else None
    given = ([stride], [pad], [dilation])
    wanted = F.conv1d(x, w, b, *given)
    torch.testing.assert_close(blocks.long_conv(x, w, b, *given), wanted)


def test_only_large_float64_convolutions_are_taken() -> None:
    conv = torch.ops.aten.conv1d.default
    x, w = (
        torch.empty(1, 32, 26_000, dtype=torch.float64),
        torch.empty(32, 32, 11, dtype=torch.float64),
    )
    assert blocks.takes(conv, (x, w))
    assert blocks.takes(conv, (x, w, None, [1], [5], [1], 1))
    assert not blocks.takes(conv, (x, w, None, [1], [5], [1], 2))
    assert not blocks.takes(conv, (x.float(), w.float()))
    assert not blocks.takes(conv, (x[..., :2000], w))
    assert not blocks.takes(torch.ops.aten.relu.default, (x,))
