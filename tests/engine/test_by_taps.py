"""A judge whose convolutions go tap by tap gives what torch's own give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.by_taps import by_taps

LAYERS: dict[str, dict[str, Any]] = {
    "one tap": {"kernel_size": 1},
    "padded": {"kernel_size": 5, "padding": 2, "bias": False},
    "dilated": {"kernel_size": 4, "padding": 9, "dilation": 3},
    "same, taps even": {"kernel_size": 4, "padding": "same", "dilation": 3},
    "valid": {"kernel_size": 7, "padding": "valid", "dilation": 2},
    "zeros alone ahead": {"kernel_size": 3, "padding": 40, "dilation": 20},
    "a stride": {"kernel_size": 5, "stride": 2},
    "groups": {"kernel_size": 5, "groups": 4},
    "circular": {"kernel_size": 5, "padding": 2, "padding_mode": "circular"},
}


def both(layer: nn.Conv1d, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer gives before and after."""
    with torch.no_grad():
        before = layer(x)
        return before, by_taps(layer)(x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(1, 16, 31), (3, 20, 15)])
def test_the_same_numbers(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(shape[1], 12, **LAYERS[name]).double()
    before, after = both(layer, torch.randn(shape, dtype=torch.float64))
    torch.testing.assert_close(after, before, rtol=1e-13, atol=1e-13)


def test_rows_that_lie_apart() -> None:
    layer = nn.Conv1d(16, 8, 3, padding=1).double()
    x = torch.randn(2, 40, 16, dtype=torch.float64).mT[:, :, ::2]
    before, after = both(layer, x)
    torch.testing.assert_close(after, before, rtol=1e-13, atol=1e-13)


def test_one_sequence_without_a_batch() -> None:
    layer = nn.Conv1d(16, 8, 3).double()
    before, after = both(layer, torch.randn(16, 9, dtype=torch.float64))
    assert torch.equal(after, before)


def test_gradients_and_float32_are_torchs_own() -> None:
    layer = by_taps(nn.Conv1d(16, 8, 3))
    x = torch.randn(1, 16, 9, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer(x).dtype == torch.float32


def test_too_short_a_sequence_is_told_as_torch_tells_it() -> None:
    layer = by_taps(nn.Conv1d(16, 8, 9).double())
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"[Kk]ernel size"):
        layer(torch.randn(1, 16, 5, dtype=torch.float64))


def test_a_layer_of_the_users_own_is_left_alone() -> None:
    class Doubled(nn.Conv1d):
        def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return 2 * super()._conv_forward(x, weight, bias)

    layer = Doubled(16, 8, 3).double()
    before, after = both(layer, torch.randn(1, 16, 9, dtype=torch.float64))
    assert torch.equal(after, before)


def test_a_convolution_that_was_put_into_a_layer_stays() -> None:
    layer = nn.Conv1d(16, 8, 3).double()
    layer._conv_forward = lambda x, *_: 3 * x  # type: ignore[method-assign, assignment]
    x = torch.randn(1, 16, 9, dtype=torch.float64)
    before, after = both(layer, x)
    assert torch.equal(after, 3 * x)
    assert torch.equal(before, after)
