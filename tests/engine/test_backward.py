"""Gradients of a model as it is: what is kept for them, what forbids them, and where they stop being finite."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.naive.methods.gradients import gradients
from tests.nets import ZOO, build
from tests.parts import Net, conv, sequences

X = sequences(3, 21)


def net(forward: Callable[..., Tensor], **parts: Any) -> Net:
    torch.manual_seed(0)
    return Net(forward, first=conv(4, 5), last=nn.Linear(5, 2), **parts)


def plain(model: Net, x: Tensor) -> Tensor:
    return model.last(torch.tanh(model.first(x)).mean(2))


def backward(model: nn.Module, inputs: tuple[Tensor, ...] = (X,), **settings: Any) -> Backward:
    return Backward(model, model, inputs, **settings)


def test_values_and_gradients_of_several_targets() -> None:
    model = net(plain)
    made = backward(model)((X,))
    with torch.no_grad():
        torch.testing.assert_close(made.values, model(X))
    torch.testing.assert_close(made.of[0], gradients(model, X, read=lambda out: out))


def test_several_inputs() -> None:
    model = net(lambda m, x, c: m.last(torch.tanh(m.first(x) * c[:, :, None]).mean(2)))
    c = torch.rand(3, 5)
    made = backward(model, (X, c), wanted=2)((X, c))
    want = gradients(lambda c, x: model(x, c), c, (X,), read=lambda out: out)
    torch.testing.assert_close(made.of[1], want)
    assert made.of[0].shape == (3, 2, 4, 21)


@pytest.mark.parametrize("under", [torch.no_grad, torch.inference_mode])
def test_weights_take_no_gradient_and_are_left_as_they_were(under: Callable[[], Any]) -> None:
    model = net(plain)
    model.last.bias.requires_grad_(False)
    with under():
        made = backward(model)((X.clone(),))
    assert made.of[0].abs().sum() > 0
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, False]


def test_what_is_kept_decides_the_batch() -> None:
    wide = nn.Sequential(
        conv(4, 64), nn.GELU(), conv(64, 64), nn.GELU(), nn.Flatten(), nn.Linear(64 * 21, 1)
    )
    made = backward(wide.eval(), memory=1 << 20)
    kept = (4 * 21 + 3 * 64 * 21) * 4  # the input, what each GELU took, what the first one gave
    assert 2 * kept <= made.look.row <= 2.2 * kept
    assert made.rows == (1 << 20) // made.look.row
    assert backward(wide, single=True).rows == 1


def test_nothing_of_the_first_look_is_held() -> None:
    made: list[weakref.ref[Tensor]] = []

    def forward(model: Net, x: Tensor) -> Tensor:
        kept = torch.relu(model.first(x))  # its result is what its gradient needs
        made.append(weakref.ref(kept))
        return model.last(kept.mean(2))

    backward(net(forward))
    gc.collect()
    assert made
    assert all(each() is None for each in made)


@pytest.mark.parametrize("name", ZOO)
def test_kinks_are_seen(name: str) -> None:
    model = build(name)
    found = Backward(
        model, lambda x: model(x).flatten(1)[:, :1], (sequences(1, ZOO[name][1]),)
    ).look.kinks
    smooth = {"conv_next_permute", "conv_next_transpose", "attention_pools", "gated"}
    assert bool(found) == (name not in smooth)
    assert set(found) <= {"Relu", "MaxPool2DWithIndices"}


UNKNOWN = {
    "hard": F.hardswish, "elu": F.elu, "where": lambda h: torch.where(h > 0, h, 2 * h),
    "clamp": lambda h: h.clamp(min=0), "abs": torch.abs, "top": lambda h: h.topk(3, 2)[0],
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_to_be_smooth_counts_as_kinked(name: str) -> None:
    model = net(lambda m, x: m.last(UNKNOWN[name](m.first(x)).mean(2)))
    assert backward(model).look.kinks


class Frozen(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x * 1

    @staticmethod
    def backward(_ctx: Any, _g: Tensor) -> Any:
        return torch.full_like(_g, torch.inf)


NO_GRADIENT = {
    "argmax": (
        lambda m, x: F.one_hot(m.first(x).argmax(1), 5).float().mean(1),
        "torch.*argmax at .*py:",
    ),
    "detach": (lambda m, x: m.last(m.first(x).detach().mean(2)), "detach at .*test_backward.py:"),
    "data": (lambda m, x: m.last(m.first(x).data.mean(2)), r"Tensor\.data"),
    "numpy": (
        lambda m, x: m.last(torch.from_numpy(m.first(x.detach()).detach().numpy()).mean(2)),
        "detach at",
    ),
    "greater": (lambda m, x: (m.first(x) > 0).float().mean(2), "> at|__gt__|gt at"),
    "constant": (lambda _, x: torch.ones(len(x), 2), "no op of torch leads there"),
}


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_the_piece_without_a_gradient_is_named(name: str) -> None:
    forward, said = NO_GRADIENT[name]
    with pytest.raises(ValueError, match=f"has no gradient with respect to X: .*({said})"):
        nucleoscope.saliency(net(forward), X, target=0)


def test_no_grad_inside_forward_is_named() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = m.first(x)
        return m.last(h.mean(2))

    with pytest.raises(ValueError, match=r"under torch.no_grad at .*test_backward.py:"):
        nucleoscope.saliency(net(forward), X, target=0)


def test_pieces_that_part_of_the_gradient_does_not_pass_are_told() -> None:
    model = net(lambda m, x: m.last((torch.tanh(m.first(x)) * m.first(x).detach()).mean(2)))
    got = nucleoscope.saliency(model, X, target=0)
    (check,) = got.checks
    assert not check.passed
    assert "does not pass torch.Tensor.detach at" in check.detail
    model = net(lambda m, x: m.last((torch.tanh(m.first(x)) + m.first(x).round()).mean(2)))
    (check,) = nucleoscope.saliency(model, X, target=0).checks
    assert check.detail == "it is 0 through Round"


def test_a_profile_score_counts_as_it_is_meant() -> None:
    model = net(lambda m, x: torch.tanh(m.first(x)))
    got = nucleoscope.saliency(model, X, func=nucleoscope.targets.profile_score)
    assert got.checks == ()


def test_writing_in_place() -> None:
    def own(m: Net, x: Tensor) -> Tensor:
        h = torch.tanh(m.first(x))
        h += 1
        return m.last(h.mean(2))

    with pytest.raises(ValueError, match=r"writes in place .*output 0 of Tanh.*x = x \+ y"):
        nucleoscope.saliency(net(own), X, target=0)

    def harmless(m: Net, x: Tensor) -> Tensor:
        h = m.first(x)
        h += 1
        return m.last(torch.relu_(h).mean(2))

    assert nucleoscope.saliency(net(harmless), X, target=0).scores.abs().sum() > 0

    def given(m: Net, x: Tensor) -> Tensor:
        x[:, :, 0] = 0.5
        return plain(m, x)

    with pytest.raises(ValueError, match="changes its input X in place"):
        nucleoscope.saliency(net(given), X, target=0)


def test_dropout_that_is_on_is_refused() -> None:
    model = net(plain, drop=nn.Dropout(0.5))
    with pytest.raises(ValueError, match="training mode"):
        nucleoscope.saliency(copy.deepcopy(model).train(), X, target=0)
    model = net(lambda m, x: m.last(F.dropout(m.first(x), 0.5).mean(2)))
    with pytest.raises(ValueError, match="it is random"):
        nucleoscope.saliency(model, X, target=0)


def test_the_layer_where_the_gradient_stops_being_finite_is_named() -> None:
    model = net(lambda m, x: m.last(m.root(m.first(x) * 0).mean(2)), root=Root())
    with pytest.raises(
        ValueError, match=r"first not finite, going back, in layer 'root' \(Sqrt at .*py:\d+\)"
    ):
        nucleoscope.saliency(model, X, target=0)
    model = net(lambda m, x: m.last(Frozen.apply(m.first(x)).mean(2)))
    with pytest.raises(ValueError, match=r"in the model's own forward .Frozen"):
        nucleoscope.saliency(model, X, target=0)


class Root(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return torch.sqrt(h)


class Log(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return torch.log(h)


def test_the_layer_where_values_stop_being_finite_is_named() -> None:
    model = net(
        lambda m, x: m.last(m.log(m.first(x[:, :, 1:]) + x[:, :1, :1] * 1e4).mean(2)), log=Log()
    )
    with pytest.raises(ValueError, match="values are first not finite in layer 'log'"):
        backward(model)((torch.zeros(2, 4, 21),))


def test_half_precision_overflows() -> None:
    model = net(plain).half()
    with torch.no_grad():
        model.last.weight.fill_(60000.0)
    with pytest.raises(ValueError, match=r"not finite .*Half precision overflows"):
        Backward(model, lambda x: model(x).sum(1, keepdim=True) * 3, (X.half(),))((X.half(),))
