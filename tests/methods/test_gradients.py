"""Saliency and input times gradient against their definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import nucleoscope
from nucleoscope.naive.methods import input_x_gradient as naive_product
from nucleoscope.naive.methods.saliency import saliency as naive_saliency
from tests.nets import ZOO, build, channels_last, controlled
from tests.parts import Net, conv, lively, sequences
from tests.truth import reading

METHODS = [nucleoscope.saliency, nucleoscope.input_x_gradient]
X = sequences(2, 21)


def fold(seed: int) -> Net:
    torch.manual_seed(seed)
    return Net(
        lambda net, x: net.last(torch.relu(net.first(x)).mean(2)), first=conv(4, 5), last=nn.Linear(5, 2)
    )  # fmt: skip


FOLDS = [fold(seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name: str) -> None:
    _, length, target, _ = ZOO[name]
    model, given = build(name), sequences(3, length)
    want = naive_saliency(model, given, read=reading(target))
    product = naive_product.input_x_gradient(model, given, read=reading(target))
    if not isinstance(target, list):
        want, product = want[:, 0], product[:, 0]
    got = nucleoscope.saliency(model, given, target=target, hypothetical=True)
    torch.testing.assert_close(got.scores, want, rtol=1e-4, atol=1e-6 * float(want.abs().max()))
    with torch.no_grad():
        torch.testing.assert_close(got.original, reading(target)(model(given)))
    got = nucleoscope.input_x_gradient(model, given, target=target, memory=1 << 20)
    torch.testing.assert_close(got.scores, product, rtol=1e-4, atol=1e-6 * float(want.abs().max()))
    assert got.facts["method"] == "input_x_gradient"


def test_in_float64() -> None:
    model = build("bpnet")
    want = naive_saliency(model.double(), X.double(), read=reading(1))[:, 0]
    got = nucleoscope.saliency(model.float(), X, target=1, hypothetical=True, precision="fp64")
    assert got.scores.dtype == torch.float64
    torch.testing.assert_close(got.scores, want, rtol=1e-9, atol=1e-14)
    assert next(model.parameters()).dtype == torch.float32


def test_projection_centring_and_magnitude() -> None:
    run = nucleoscope.saliency
    plain = run(FOLDS[0], X, target=0, hypothetical=True, center="none").scores
    both = run(FOLDS[0], X, target=0, hypothetical=True).scores
    torch.testing.assert_close(both, plain - plain.mean(1, keepdim=True))
    torch.testing.assert_close(run(FOLDS[0], X, target=0).scores, both * X)
    torch.testing.assert_close(run(FOLDS[0], X, target=0, magnitude=True).scores, both.abs() * X)
    product = nucleoscope.input_x_gradient(FOLDS[0], X, target=0).scores
    torch.testing.assert_close(product, plain * X)


def test_letters_last_and_another_alphabet() -> None:
    model = lively(channels_last(21))
    given = X.transpose(1, 2)[:, :, [3, 2, 1, 0]].contiguous()
    want = naive_saliency(
        lambda x: model(x.transpose(1, 2)), given.transpose(1, 2), read=reading(0)
    )
    got = nucleoscope.saliency(
        model, given, target=0, layout="NLC", alphabet="TGCA", hypothetical=True
    )
    torch.testing.assert_close(got.scores, want[:, 0])


def test_further_inputs_and_func() -> None:
    model, control = lively(controlled(21)), torch.rand(2, 2, 21)
    read = reading(0)
    want = naive_saliency(model, X, (control,), read=lambda out: read(out) ** 2)[:, 0]
    got = nucleoscope.saliency(
        model, X, (control,), func=lambda out: out[:, 0] ** 2, hypothetical=True
    )
    torch.testing.assert_close(got.scores, want)


def test_models_strands_and_shifts_are_averaged() -> None:
    run: Any = nucleoscope.saliency
    each = torch.stack([run(m, X, target=1).scores for m in FOLDS])
    got = run(FOLDS, X, target=1)
    torch.testing.assert_close(got.scores, each.mean(0))
    torch.testing.assert_close(got.spread, each.std(0))
    flipped = run(FOLDS[0], X.flip(1, 2), target=1, hypothetical=True).scores.flip(1, 2)
    want = (run(FOLDS[0], X, target=1, hypothetical=True).scores + flipped) / 2
    got = run(FOLDS[0], X, target=1, hypothetical=True, reverse_complement=True)
    torch.testing.assert_close(got.scores, want)
    moved = torch.cat([torch.zeros(2, 4, 2), X[:, :, :-2]], 2)
    there = run(FOLDS[0], moved, target=1, hypothetical=True).scores[:, :, 2:]
    want = run(FOLDS[0], X, target=1, hypothetical=True).scores
    want[:, :, :-2] = (want[:, :, :-2] + there) / 2
    got = run(FOLDS[0], X, target=1, hypothetical=True, shifts=(0, 2))
    torch.testing.assert_close(got.scores, want)


def test_weights_in_half_precision_are_computed_with_in_float32() -> None:
    model = fold(1).bfloat16()
    got = nucleoscope.saliency(model, X, target=0)
    assert got.scores.dtype == torch.float32
    assert [c.name for c in got.checks] == ["half precision"]


def test_one_sequence_at_a_time() -> None:
    inner = fold(1)
    model = Net(lambda _, x: inner(x.view(1, 4, 21)))
    got = nucleoscope.saliency(model, X, target=0)
    torch.testing.assert_close(got.scores, nucleoscope.saliency(inner, X, target=0).scores)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"target": 2}, IndexError, "target=2 does not index"),
        ({"target": []}, IndexError, "name at least one target"),
        ({"target": "counts"}, IndexError, "it has no names"),
        (
            {"center": "alternatives"},
            ValueError,
            "center='alternatives': use one of 'mean', 'none'",
        ),
        ({"precision": "fp8"}, ValueError, "precision='fp8': gradients are computed in"),
        ({"layout": "LNC"}, ValueError, "layout='LNC'"),
        ({"alphabet": "ACG"}, ValueError, "the 3 letters of alphabet"),
        ({"func": 3}, TypeError, "func=3"),
        ({"args": (1,)}, TypeError, "args"),
        ({"args": (torch.zeros(2, 1),)}, TypeError, "refused"),
        ({"memory": 5}, ValueError, "memory=5"),
        ({"shifts": (1, 1)}, ValueError, "each shift once"),
        ({"reverse_complement": 1}, TypeError, "reverse_complement=1"),
        ({"X": X[:, :, :0]}, ValueError, "holds nothing"),
        ({"X": X * 0.7}, ValueError, "neither one letter"),
        ({"X": X[0]}, ValueError, "expected 3 dimensions"),
        ({"model": 3}, TypeError, "model: expected a torch.nn.Module"),
        ({"model": []}, ValueError, "the list is empty"),
    ],
)
def test_bad_input_is_named(method: Any, change: dict[str, Any], error: type, said: str) -> None:
    request: dict[str, Any] = {"model": FOLDS[0], "X": X, "target": 0, **change}
    with pytest.raises(error, match=said):
        method(**request)
