"""The ready-made targets against their definition in float64, and what they must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope import targets
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 29)


def profiles(last: Callable[[Tensor], Tensor] = lambda z: z) -> Net:
    torch.manual_seed(2)
    return Net(
        lambda net, x: last(net.last(torch.relu(net.first(x)))), first=conv(4, 6), last=conv(6, 3)
    )


def shape_of(y: Tensor) -> Tensor:
    z = y.flatten(1) - y.flatten(1).mean(1, keepdim=True)
    p = z.exp() / z.exp().sum(1, keepdim=True)
    return (p * z).sum(1)


CASES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Any]] = {
    "profile score": (targets.profile_score, shape_of, None),
    "of one track": (
        lambda y: targets.profile_score(y[:, 1]), lambda y: shape_of(y[:, 1]), None,
    ),
    "log counts": (targets.log_counts, lambda y: torch.log(1 + y.sum(2)), 1),
    "mean of bins": (targets.bins(slice(10, 20)), lambda y: y[:, :, 10:20].mean(2), 2),
    "sum of some bins": (
        targets.bins([4, 9, -2], how="sum"), lambda y: y[:, :, 4] + y[:, :, 9] + y[:, :, 27], 0,
    ),
    "tracks as bins": (
        targets.bins([0, 2], axis=1), lambda y: (y[:, 0] + y[:, 2]) / 2, slice(3, 7),
    ),
    "ratio": (
        targets.ratio(0, (1, slice(5, 9))),
        lambda y: y[:, 0].mean(1) / y[:, 1, 5:9].mean(1), None,
    ),
    "log ratio": (
        targets.ratio((0, 3), (2, 4), log=True), lambda y: (y[:, 0, 3] / y[:, 2, 4]).log(), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_against_the_definition(what: str) -> None:
    func, meant, target = CASES[what]
    model = profiles(lambda z: F.softplus(z) + 0.5)
    want = truth(Net(lambda net, x: meant(net.inner(x)), inner=model), X, target=target)
    got = engine(model, X, func=func, target=target, precision="fp64")
    assert_close(got, want, 1e-9 * largest(want))
    result = nucleoscope.saturation_mutagenesis(model, X, func=func, target=target, verify=3)
    assert result.checks[0].passed
    assert result.facts["func"] == "traced with the model"


def test_bins_keep_the_cone() -> None:
    plan = nucleoscope.plan(profiles(), X, func=targets.bins([20, 22]), target=0)
    assert plan.local
    assert plan.seen[0] >= 20 - 4


HEADS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "sigmoid": (torch.sigmoid, lambda z: z),
    "squeezed sigmoid": (lambda z: torch.sigmoid(z[:, :1]).squeeze(1), lambda z: z[:, 0]),
    "softmax": (
        lambda z: torch.softmax(z, 1),
        lambda z: torch.stack([z[:, c] - z[:, [i for i in range(3) if i != c]].logsumexp(1) for c in range(3)], 1),
    ),
    "softmax of two": (
        lambda z: torch.softmax(z[:, :2], 1)[:, 1], lambda z: z[:, 1] - z[:, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("level", [0.0, 60.0])
@pytest.mark.parametrize("head", HEADS)
def test_log_odds_of_heads_that_are_sure(head: str, level: float) -> None:
    saturate, meant = HEADS[head]
    shift = torch.tensor([level, -level, 0.0])[:, None]
    model = profiles(lambda z: saturate(z + shift.to(z)))
    flat = head in ("squeezed sigmoid", "softmax of two")
    target = slice(8, 11) if flat else (0, slice(8, 11))
    want = truth(profiles(lambda z: meant(z + shift.to(z))), X, target=target)
    got = nucleoscope.saturation_mutagenesis(
        model, X, func=targets.log_odds, target=target, hypothetical=True, center="none", verify=3
    )
    assert_close(got.scores[:, None], want, 1e-5 * largest(want))
    assert got.checks[0].passed
    assert got.facts["engine"] == "delta"


def test_log_odds_of_any_other_probability_is_the_logit() -> None:
    model = profiles(lambda z: z.abs() / (1 + z.abs()))
    want = truth(Net(lambda net, x: torch.logit(net.inner(x)), inner=model), X, target=1)
    got = engine(model, X, func=targets.log_odds, target=1, precision="fp64")
    assert_close(got, want, 1e-9 * largest(want))


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: targets.profile_score(torch.ones(3)), ValueError, "logits: a profile"),
        (lambda: targets.profile_score(torch.ones(3, 1)), ValueError, "logits: a profile"),
        (lambda: targets.log_counts(torch.ones(3)), ValueError, "profile: positions"),
        (lambda: targets.bins([]), ValueError, "where="),
        (lambda: targets.bins([1, 1]), ValueError, "where="),
        (lambda: targets.bins([0], how="max"), ValueError, "how='max'"),
        (lambda: targets.bins([0], axis=0), ValueError, "axis=0"),
        (lambda: targets.bins([9])(torch.ones(1, 2, 5)), IndexError, "bin 9 of an output that has 5"),
        (lambda: targets.bins(slice(9, 12))(torch.ones(1, 2, 5)), IndexError, "selects none"),
        (lambda: targets.ratio(5, 0)(torch.ones(1, 2)), IndexError, "index 5"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        call()


def test_weights_of_a_func_count() -> None:
    model, func = profiles(), nn.Sequential(nn.Flatten(), nn.Linear(3 * 29, 2)).eval()
    want = truth(Net(lambda net, x: net.func(net.inner(x)), inner=model, func=func), X)
    assert_close(engine(model, X, func=func), want, 1e-5 * largest(want))
