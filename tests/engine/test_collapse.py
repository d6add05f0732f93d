"""LayerNorm where an edit turns all units of a position off: float32 engine = float64 naive."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.rules import norm
from tests.parts import AttentionPool, Net, conv, sequences
from tests.truth import assert_close, engine, is_local, largest, truth

Between = Callable[[Net, Tensor], Tensor]
X = sequences(2, 30)
EPS = 1e-12

BEFORE: dict[str, Between] = {  # all of them flat, in the model exactly, where every unit is off
    "relu": lambda _, h: torch.relu(h),
    "shifted": lambda _, h: torch.relu(h) + 1.0,
    "scaled": lambda _, h: 3.0 - 0.7 * torch.relu(h),
    "max pool": lambda _, h: F.max_pool1d(torch.relu(h), 3),
    "average pool": lambda _, h: F.avg_pool1d(torch.relu(h), 3),
    "residual": lambda net, h: torch.relu(h) + torch.relu(net.other(h)),
    "sigmoid": lambda _, h: torch.sigmoid(h),
    "clamp": lambda _, h: torch.clamp(h, -1.0, 300.0),
}
BEHIND: dict[str, Between] = {  # what an edit's NaN must pass on its way
    "relu": lambda _, h: torch.relu(h - 0.2),
    "clamp": lambda _, h: torch.clamp(h, -0.3, 0.3),
    "gelu": lambda _, h: F.gelu(h),
    "convolution": lambda net, h: torch.relu(net.same(h)),
    "max pool": lambda _, h: F.max_pool1d(h, 3),
    "attention pool": lambda net, h: net.pool(h),
    "softmax": lambda _, h: torch.softmax(h, 1),
    "product": lambda _, h: h * torch.sigmoid(h.flip(1)),
    "concat": lambda _, h: torch.cat([h, h.flip(2)], 1)[:, 4:12],
    "a seam that swallows it": lambda _, h: torch.nan_to_num(h.roll(1, 2).cumsum(2)),
    "comparison": lambda _, h: (h > 0.1).float() * h,
}


def normed(h: Tensor, eps: float) -> Tensor:
    return F.layer_norm(h.mT, h.shape[1:2], eps=eps).mT


def net(before: Between, behind: Between, eps: float, bias: float = -100.0) -> nn.Module:
    torch.manual_seed(3)
    made = Net(
        lambda self, x: F.conv1d(
            behind(self, normed(before(self, self.first(x)), eps)), self.last
        ).mean(2),
        first=conv(4, 8, 3), other=conv(8, 8, 1), same=conv(8, 8, 3), pool=AttentionPool(8),
        last=nn.Parameter(torch.randn(2, 8, 1)),
    )  # fmt: skip
    with torch.no_grad():
        made.first.weight.mul_(300.0)
        made.first.bias.fill_(bias)
        made.other.bias.fill_(bias)
    return made.eval()


def assert_near(model: nn.Module, **settings: object) -> Tensor:
    """Within 1e-5 of the largest effect."""
    want = truth(model, X, target=[0, 1])
    assert (largest(want) > 1e-3).all()
    assert_close(engine(model, X, target=[0, 1], **settings), want, 1e-5 * largest(want))
    return want


@pytest.mark.parametrize("eps", [1e-3, pytest.param(1e-5, marks=pytest.mark.slow), EPS])
@pytest.mark.parametrize("name", BEFORE)
def test_all_units_of_a_position_off(name: str, eps: float) -> None:
    model = net(BEFORE[name], lambda _, h: h, eps)
    assert is_local(model, X, target=[0, 1])
    assert_near(model)


@pytest.mark.parametrize("name", BEHIND)
def test_what_is_lost_is_found_again_behind_every_layer(name: str) -> None:
    assert_near(net(BEFORE["shifted"], BEHIND[name], EPS))


def test_without_the_limit_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm, "LIMIT", dict.fromkeys(norm.LIMIT, torch.inf))
    model = net(BEFORE["shifted"], lambda _, h: h, EPS)
    want = truth(model, X, target=[0, 1])
    off = largest(engine(model, X, target=[0, 1]).double() - want)
    assert (off > 1e-3 * largest(want)).all()


def test_originals_that_hardly_vary() -> None:
    model = net(lambda _, h: h * 1e-4 + 100.0, lambda _, h: h, 1e-5)
    assert_near(model)


def test_func_and_whole_outputs() -> None:
    model = net(BEFORE["shifted"], lambda _, h: h, EPS)
    want = truth(model, X, target=0)
    got = nucleoscope.saturation_mutagenesis(
        model, X, func=lambda out: torch.nan_to_num(out[:, :1], nan=7.0), target=0,
        hypothetical=True, center="none",
    )  # fmt: skip
    assert_close(got.scores[:, None], want, 1e-5 * largest(want))


def test_the_result_says_how_many_were_made_again() -> None:
    def repeated(model: nn.Module, **settings: str) -> int:
        facts = nucleoscope.saturation_mutagenesis(model, X, target=0, **settings).facts
        return int(facts["repeated_in_float64"])

    collapses = net(BEFORE["shifted"], lambda _, h: h, EPS)
    assert 0 < repeated(collapses) <= 2 * 30 * 3
    assert repeated(collapses, precision="fp64") == 0
    assert repeated(net(lambda _, h: h, lambda _, h: h, 1e-5)) == 0
