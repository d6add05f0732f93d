"""BatchNorm and max-pool on channels that lie side by side are torch's."""

from __future__ import annotations

import pytest
import torch

from nucleoscope.engine.values.channels_last import batch_norm, max_pool, reads

aten = torch.ops.aten
NORM, POOL = aten._native_batch_norm_legit_no_training.default, aten.max_pool1d.default


def beside(length: int = 23) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(3, length, 5, dtype=torch.float64).transpose(1, 2)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_torch_s(affine: bool) -> None:
    x, mean, variance = beside(), torch.randn(5).double(), torch.rand(5).double() + 0.1
    weight, bias = (torch.randn(5).double(), torch.randn(5).double()) if affine else (None, None)
    args = (x, weight, bias, mean, variance, 0.1, 1e-5)
    made = batch_norm(*args)[0]
    torch.testing.assert_close(made, NORM(*args)[0])
    assert made.stride()[1] == 1


@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(3, 3, 1), (4, 2, 2), (1, 2, 1), (2, 5, 3)]
)
def test_max_pool_is_torch_s(taps: int, stride: int, dilation: int) -> None:
    x = beside()
    x[1, 2, 7] = torch.nan
    made = max_pool(x, [taps], [stride], [0], [dilation])
    torch.testing.assert_close(made, torch.max_pool1d(x, taps, stride, 0, dilation), equal_nan=True)
    assert made.stride()[1] == 1
    torch.testing.assert_close(max_pool(x, [taps]), torch.max_pool1d(x, taps), equal_nan=True)


def test_other_values_and_other_ops_are_torch_s_own() -> None:
    x = beside()
    with torch.no_grad():
        assert reads(POOL, (x, [3]))
        assert reads(POOL, (x, [3], [3], [0], [1]))
        assert not reads(POOL, (x, [3], [3], [1]))
        assert not reads(POOL, (x, [3], [3], [0], [1], True))
        assert not reads(POOL, (x.contiguous(), [3]))
        assert not reads(aten.relu.default, (x,))
    assert not reads(POOL, (x, [3]))  # ties have another gradient there
