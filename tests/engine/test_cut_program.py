"""A traced program that makes of its layers what the target depends on gives the model's own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.answers.target import Target
from nucleoscope.engine.gradients import backward
from nucleoscope.engine.gradients.program import Program
from nucleoscope.engine.gradients.traced_gradient import positions
from nucleoscope.engine.tracing.trace import trace
from tests.engine.test_program import assert_near, by_autograd, on_a_path
from tests.engine.test_random_graphs import Layers, draw_target, layers, quick
from tests.parts import Lambda, conv, lively, sequences

F = torch.nn.functional
CPU = torch.device("cpu")
LENGTH = 90


def cut_program(
    model: nn.Module, X: Tensor, target: Any, *, short: bool = False
) -> tuple[Program, Callable[[Tensor], Tensor]]:
    """The model's program where the target reads it, and that reading."""
    graph = trace(model, X, ())
    read = Target(target, tuple(model(X).shape[1:]))
    return Program(graph, X.dtype, CPU, short).reading(positions(graph, read)), read.of_values


def held_to_autograd(model: nn.Module, X: Tensor, target: Any) -> Program:
    program, read = cut_program(model, X, target)
    made = program.gradient(X, read=read)
    for got, wanted in zip(made, by_autograd(model, X, read=read), strict=True):
        assert bool(torch.isfinite(got).all())
        assert_near(got, wanted, 1e-12)
    return program


class Dilated(nn.Module):
    """Residual layers whose dilation doubles, then what a case does with what they make."""

    def __init__(self, what: Callable[[Tensor], Tensor], padding: str = "same") -> None:
        super().__init__()
        self.first, self.last, self.what = conv(4, 6, 5), nn.Conv1d(6, 3, 1), what
        self.layers = nn.ModuleList(
            nn.Conv1d(6, 6, 3, dilation=2**i, padding=padding) for i in range(1, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for layer in self.layers:
            made = torch.relu(layer(x))
            lost = (x.shape[2] - made.shape[2]) // 2
            x = x[:, :, lost : x.shape[2] - lost] + made
        return self.what(self.last(x))


def all_of(h: Tensor) -> Tensor:
    return h


TARGETS = {
    "all": None,
    "one position": (0, 40),
    "the first": (0, 0),
    "the last": (1, -1),
    "some": (slice(None), slice(30, 37)),
    "every seventh": (2, slice(5, 60, 7)),
    "several": [(0, 20), (1, slice(22, 24))],
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("samples", [1, 4])
def test_where_the_target_reads(target: str, samples: int) -> None:
    model = lively(Dilated(all_of)).double().eval()
    held_to_autograd(model, on_a_path(samples, LENGTH), TARGETS[target])


INNER: dict[str, Callable[[], nn.Module]] = {
    "stride": lambda: nn.Conv1d(6, 6, 5, stride=3, padding=2),
    "stride with a rest": lambda: nn.Conv1d(6, 6, 4, stride=3),
    "even, one more at one end": lambda: nn.Conv1d(6, 6, 4, padding="same"),
    "groups": lambda: nn.Conv1d(6, 6, 5, groups=3, padding=2),
    "depthwise, dilated": lambda: nn.Conv1d(6, 6, 3, groups=6, dilation=5, padding=5),
    "wide padding": lambda: nn.Conv1d(6, 6, 2, dilation=2, padding=9),
    "circular": lambda: nn.Conv1d(6, 6, 5, padding=2, padding_mode="circular"),
    "max-pool": lambda: nn.MaxPool1d(3, 2, 1),
    "average pool": lambda: nn.AvgPool1d(4, 2),
    "norm": lambda: nn.BatchNorm1d(6),
    "GELU": nn.GELU,
    "LayerNorm": lambda: Lambda(lambda h: F.layer_norm(h.mT, (6,)).mT),
    "upsampling": lambda: nn.Upsample(scale_factor=2),
    "transposed": lambda: nn.ConvTranspose1d(6, 6, 4, stride=2, padding=1),
    "flip": lambda: Lambda(lambda h: h.flip(2)),
    "gate": lambda: Lambda(lambda h: h * torch.sigmoid(h.flip(1))),
    "residual of another": lambda: Lambda(lambda h: torch.sin(h) + h[:, :, :1]),
    "attention": lambda: Lambda(lambda h: (torch.softmax(h.mT @ h, -1) @ h.mT).mT),
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("place", [0, 7, -1])
def test_what_lies_between(inner: str, place: int) -> None:
    parts = [conv(4, 6, 5), nn.ReLU(), INNER[inner](), conv(6, 6, 3), nn.ReLU(), nn.Conv1d(6, 2, 3)]
    model = lively(nn.Sequential(*parts)).double().eval()
    held_to_autograd(model, on_a_path(3, 60), (1, place))


NAMED: dict[str, Callable[[Tensor], Tensor]] = {
    "gate of a channel": lambda h: h * torch.sigmoid(h.mean(1, keepdim=True)),
    "channel copied": lambda h: h[:, :1].expand_as(h),
    "squeeze of what is long": lambda h: h.squeeze(-1) * 2,
}


@pytest.mark.parametrize("last", NAMED)
@pytest.mark.parametrize("target", [(1, 17), (0, slice(3, 50, 9))])
def test_a_shape_that_names_the_length(last: str, target: Any) -> None:
    """One position or some are another shape; by deltas and their originals as well."""
    parts = [conv(4, 6, 5), nn.ReLU(), conv(6, 6, 3), nn.GELU(), Lambda(NAMED[last])]
    model = lively(nn.Sequential(*parts)).double().eval()
    held_to_autograd(model, on_a_path(3, 60), target)
    X = sequences(2, 60).double()
    made = nucleoscope.saturation_mutagenesis(model, X, target=target, precision="fp64")
    assert made.checks[0].passed


def test_it_makes_no_position_too_many() -> None:
    """Behind a crop of 20 positions each layer below adds twice its dilation, up to the sequence's ends."""
    model = lively(Dilated(lambda h: h[:, :, 35:55].mean(2))).double().eval()
    program = held_to_autograd(model, on_a_path(2, LENGTH), None)
    made = [each.here.length for each in program._layers.values()]
    assert made == [48, 44, 36, 20, 20]


def test_one_position_is_read_through_the_holes_of_dilated_layers() -> None:
    model = lively(nn.Sequential(conv(4, 6, 3), nn.ReLU(), conv(6, 6, 3, dilation=8), nn.ReLU()))
    program = held_to_autograd(model.double().eval(), on_a_path(2, LENGTH), (0, 50))
    assert [each.here.length for each in program._layers.values()] == [3, 1]


class Joined(nn.Module):
    """Two convolutions that are added, of the sequence or of what lies beside it."""

    def __init__(self, *, beside: bool) -> None:
        super().__init__()
        self.one, self.other = conv(4, 6, 5), conv(2 if beside else 4, 6, 3, dilation=2)
        self.norm, self.last, self.beside = nn.BatchNorm1d(6), conv(6, 2, 3), beside

    def forward(self, x: Tensor, track: Tensor) -> Tensor:
        joins = self.norm(self.other(track if self.beside else x))
        return self.last(torch.relu(self.one(x) + joins))


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("target", [None, (0, 20)])
def test_both_convolutions_of_a_sum_are_layers(beside: bool, target: Any) -> None:
    model, X = lively(Joined(beside=beside)).double().eval(), on_a_path(3, 40)
    track = torch.linspace(-1, 1, 3 * 2 * 40, dtype=X.dtype).sin().view(3, 2, 40)
    graph, read = trace(model, X, (track,)), Target(target, (2, 40))
    program = Program(graph, X.dtype, CPU).reading(positions(graph, read))
    assert len(program._layers) == 3
    made = program.gradient(X, (track,), read=read.of_values)
    for got, wanted in zip(made, by_autograd(model, X, (track,), read.of_values), strict=True):
        assert_near(got, wanted, 1e-12)


def test_one_position_between_two_ends_is_made_by_whole_layers() -> None:
    """Of a dilated layer's reading one position may be left, whose step then means nothing."""
    parts = [conv(4, 6, 3), nn.ReLU(), conv(6, 6, 3, dilation=8), nn.ReLU()]
    program = held_to_autograd(lively(nn.Sequential(*parts)).double(), on_a_path(2, 8), (0, 4))
    assert len(program._layers) == 2


def test_valid_convolutions_are_whole() -> None:
    model = lively(Dilated(lambda h: h.mean(2), "valid")).double().eval()
    program = held_to_autograd(model, on_a_path(2, LENGTH), None)
    assert [each.here.length for each in program._layers.values()] == [90, 86, 78, 62, 62]


@pytest.mark.parametrize("target", [(0, 3), (1, -2), (2, slice(40, 50))])
def test_products_of_bfloat16(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleoscope.engine.values.short.WIDE", 1)
    model, X = lively(Dilated(torch.sigmoid)).eval(), on_a_path(3, LENGTH, torch.float32)
    short, read = cut_program(model, X, target, short=True)
    assert short.short
    whole, _ = cut_program(model, X, target)
    pairs = zip(*(each.gradient(X, read=read) for each in (short, whole)), strict=True)
    for got, wanted in pairs:  # a unit beside its kink is a good part of one position's gradient
        assert 0 < (got - wanted).norm() < 0.15 * wanted.norm()


def held_on_a_random_graph(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 34), "length")
    head = data.draw(st.sampled_from(["profile", "mean", "one", "dense"]), "head")
    drawn = data.draw(layers(), "layers")
    torch.manual_seed(data.draw(st.integers(0, 1000), "weights"))
    model = lively(Layers(drawn, head, length)).double()
    X = sequences(data.draw(st.integers(1, 4), "N"), length, seed=length).double() * 0.8 + 0.05
    target = draw_target(data, tuple(model(X).shape[1:]))
    program, read = cut_program(model, X, target)
    try:
        wanted = by_autograd(model, X, read=read)
    except RuntimeError:  # no sequence reaches what is read
        return
    made = program.gradient(X, read=read)
    for got, right in zip(made, wanted, strict=True):
        size = 1 + float(right.abs().max())
        torch.testing.assert_close(got, right, rtol=0, atol=1e-9 * size)


@quick
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    held_on_a_random_graph(data)


def test_a_large_net_with_relus_goes_by_whole_tiles_of_samples() -> None:
    """What is zero in three samples that lie together is skipped: one at a time nothing would be."""
    wide = nn.Sequential(conv(4, 600, 3), nn.ReLU(), conv(600, 600, 9), nn.ReLU(), conv(600, 1, 1))
    for model, least in ((wide, 3), (nn.Sequential(*wide[:1], nn.GELU(), *wide[2:3]), 0)):
        held = Program(
            trace(model.eval(), on_a_path(1, 8000, torch.float32), ()), torch.float32, CPU
        )
        assert held.batch % 3 == 0
        assert (held.batch > 0) == (least > 0)


def test_integrated_gradients_of_one_output_go_by_what_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the public function: the same map as by the model's own autograd in float64."""
    model, X = lively(Dilated(all_of)).eval(), sequences(2, LENGTH)
    settings: dict[str, Any] = {
        "target": [(0, 40), (2, slice(0, 9))], "n_steps": 64, "method": "midpoint", "hypothetical": True,
    }  # fmt: skip
    exact = nucleoscope.integrated_gradients(model, X, precision="fp64", **settings)
    assert "first_layer" not in exact.facts
    monkeypatch.setattr(backward, "WORTH_A_TRACE", 0)
    monkeypatch.setattr(backward, "REPAID", 0)
    made = nucleoscope.integrated_gradients(model, X, **settings)
    assert "first_layer" in made.facts  # the traced program's
    size = exact.scores.abs().amax((0, 2, 3), keepdim=True)
    assert ((made.scores - exact.scores).abs() <= 1e-2 * size).all()
