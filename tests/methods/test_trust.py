"""What must neither be refused without cause nor answered wrongly: casts, masks, settings, the plain loop."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import nucleoscope
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 20)


def test_a_model_that_ends_in_a_cast_is_not_refused() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return (torch.relu(net.first(x)).mean(2) + 1000.0).float()

    result = nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)).eval(), X)
    assert result.checks[0].passed


def test_a_mask_of_minus_infinity_is_no_broken_weight() -> None:
    model = Net(
        lambda net, x: torch.softmax(net.first(x) + net.mask, 1)[:, :2].mean(2), first=conv(4, 3)
    ).eval()
    model.register_buffer("mask", torch.tensor([[0.0], [0.0], [-torch.inf]]))
    want = truth(model, X, target=0)
    assert_close(engine(model, X, target=0), want, 1e-5 * largest(want))


def test_changed_fields_of_a_settings_object_are_seen() -> None:
    model = Net(lambda net, x: net.first(x).mean(2) * net.settings.scale, first=conv(4, 3)).eval()
    model.settings = SimpleNamespace(scale=1.0)
    before = nucleoscope.saturation_mutagenesis(model, X).scores
    model.settings.scale = 2.0
    after = nucleoscope.saturation_mutagenesis(model, X).scores
    torch.testing.assert_close(after, 2.0 * before)


def test_the_plain_loop_does_not_return_nan() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.first(x).mean(2)
        return h if float(h.sum()) > 1e9 else torch.log(x[:, :1, 5] + 0.0 * h)

    given = X.clone()
    given[:, :, 5] = torch.tensor([1.0, 0.0, 0.0, 0.0])  # every edit of this site makes log(0)
    with (
        pytest.warns(nucleoscope.NaiveFallback),
        pytest.raises(ValueError, match="NaN or infinite"),
    ):
        nucleoscope.saturation_mutagenesis(Net(forward, first=conv(4, 3)).eval(), given)
