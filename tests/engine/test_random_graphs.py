"""Random graphs: whatever the layers are, the engine in float64 gives the definition's numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.parts import conv, lively, sequences
from tests.truth import assert_close, engine, largest, reading, truth

ACTIVATIONS = {
    "relu": torch.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "elu": F.elu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid, "square": torch.square, "abs": torch.abs, "leaky_relu": F.leaky_relu,
}  # fmt: skip
STEEP = {
    "log": lambda h: torch.log(torch.relu(h) + 1e-5), "log, off 0": lambda h: torch.log(h.abs() + 0.5),
    "log of a softmax": lambda h: torch.log(torch.softmax(h, 1)),
    "root": lambda h: torch.sqrt(torch.clamp(h, min=1e-4)),
    "root, off 0": lambda h: torch.sqrt(h.square() + 0.3),
    "inverse": lambda h: 1 / (F.softplus(h) + 1e-2), "inverse, off 0": lambda h: 1 / (1 + torch.relu(h)),
    "sigmoid by hand": lambda h: 1 / (1 + torch.exp(-h)),
    "quotient": lambda h: h / (h.abs().sum(1, keepdim=True).expand_as(h) + 1.0),
}  # fmt: skip
KINDS = [
    "conv", "conv", "conv", "activation", "activation", "max_pool", "average_pool", "norm",
    "residual", "flip",
    "concat", "crop", "pad", "gate", "strands", "softmax", "channels_last", "steps", "scale",
    "shift", "steep",
]  # fmt: skip
WIDTH = 4


class Layers(nn.Module):
    """Drawn layers, then a head; a layer that does not fit the length that is left is skipped."""

    def __init__(self, layers: list[dict[str, Any]], head: str, length: int) -> None:
        super().__init__()
        self.layers, self.head = layers, head
        self.parts = nn.ModuleList()
        self.numbers = nn.ParameterList()
        for layer in layers:
            taps, dilation = layer["taps"], layer["dilation"]
            wide = {
                "stride": layer["stride"],
                "padding": layer["pad"],
                "dilation": dilation,
                "groups": layer["groups"],
            }
            made = nn.ModuleList(
                [
                    nn.Conv1d(WIDTH, WIDTH, taps, **wide),
                    conv(WIDTH, WIDTH, taps | 1, dilation=dilation),
                ]
            )
            made += [nn.BatchNorm1d(WIDTH), nn.LayerNorm(WIDTH), nn.Conv1d(2 * WIDTH, WIDTH, 1)]
            self.parts.append(made)
            self.numbers.append(nn.Parameter(torch.randn(WIDTH, 1)))
        self.last = nn.Conv1d(WIDTH, 2, 1)
        self.eval()
        with torch.no_grad():
            self.dense = nn.Linear(WIDTH * self.tower(torch.zeros(1, 4, length)).shape[-1], 2)

    def tower(self, x: Tensor) -> Tensor:
        h = x
        for layer, parts, number in zip(self.layers, self.parts, self.numbers, strict=True):
            after = self.apply_one(layer, parts, number, h)
            h = after if after.shape[-1] > 0 else h
        return h

    def forward(self, x: Tensor) -> Tensor:
        h = self.tower(x)
        if self.head == "profile":
            return self.last(h)
        if self.head == "dense":
            return torch.relu(self.dense(h.flatten(1)))
        return torch.tanh(self.last(h).mean(2) if self.head == "mean" else self.last(h)[:, :, -1])

    def apply_one(
        self, layer: dict[str, Any], parts: nn.ModuleList, number: Tensor, h: Tensor
    ) -> Tensor:
        kind, length, width = layer["kind"], h.shape[-1], layer["pool"]
        step, same, norm, layer_norm, mix = parts
        act = ACTIVATIONS[layer["activation"]]
        span = (layer["taps"] - 1) * layer["dilation"] + 1
        if kind == "conv":
            return step(h) if length + 2 * layer["pad"] >= span else h
        if kind in ("max_pool", "average_pool"):
            if length < width:
                return h
            pool = F.max_pool1d if kind == "max_pool" else F.avg_pool1d
            return pool(
                h, width, layer["pool_stride"], padding=layer["pool_pad"], ceil_mode=layer["ceil"]
            )
        if kind == "crop":
            return (
                h[:, :, layer["left"] : length - layer["right"]]
                if length > layer["left"] + layer["right"]
                else h
            )
        return {
            "activation": lambda: act(h),
            "norm": lambda: norm(h),
            "residual": lambda: h + act(same(h)),
            "flip": lambda: h.flip(2),
            "concat": lambda: mix(torch.cat([act(h), same(h)], 1)),
            "pad": lambda: F.pad(h, (layer["left"], layer["right"])),
            "gate": lambda: same(h) * torch.sigmoid(h),
            "strands": lambda: same(h) + same(h.flip(1, 2)).flip(1, 2),
            "softmax": lambda: torch.softmax(h, 1),
            "channels_last": lambda: layer_norm(h.transpose(1, 2)).transpose(1, 2),
            "steps": lambda: h[:, :, layer["left"] % length :: layer["stride"]],
            "scale": lambda: number * h,
            "shift": lambda: h + number,
            "steep": lambda: STEEP[layer["steep"]](h),
        }[kind]()


def layers() -> st.SearchStrategy[list[dict[str, Any]]]:
    small = st.integers(0, 4)
    one = st.fixed_dictionaries({
        "kind": st.sampled_from(KINDS), "taps": st.integers(1, 6),
        "dilation": st.sampled_from([1, 1, 2, 2, 3, 4, 4, 5, 6, 8]),
        "pad": small,
        "stride": st.sampled_from([1, 1, 1, 2, 3]), "groups": st.sampled_from([1, 1, 2, 4]),
        "activation": st.sampled_from(sorted(ACTIVATIONS)), "steep": st.sampled_from(sorted(STEEP)),
        "pool": st.integers(2, 4),
        "pool_stride": st.integers(1, 5),
        "pool_pad": st.integers(0, 1), "ceil": st.booleans(), "left": small, "right": small,
    })  # fmt: skip
    return st.lists(one, min_size=1, max_size=7)


def draw_target(data: st.DataObject, shape: tuple[int, ...]) -> Any:
    """A target that indexes this output: an int, a slice, a tuple, a list, or None."""
    sizes = [st.integers(-n, n - 1) for n in shape]
    spans = [
        st.tuples(st.integers(0, n - 1), st.integers(1, 9)).map(
            lambda drawn, n=n: slice(drawn[0], min(drawn[0] + 3 * drawn[1], n), drawn[1])
        )
        for n in shape
    ]
    single = st.one_of(
        sizes[0], spans[0], st.tuples(*(st.one_of(a, b) for a, b in zip(sizes, spans, strict=True)))
    )
    return data.draw(
        st.one_of(
            st.none(),
            st.tuples(*sizes),
            single,
            st.lists(st.one_of(st.none(), single), min_size=1, max_size=3),
        )
    )


def check(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 34), "length")
    drawn, head = (
        data.draw(layers(), "layers"),
        data.draw(st.sampled_from(["profile", "mean", "one", "dense"]), "head"),
    )
    torch.manual_seed(data.draw(st.integers(0, 1000), "weights"))
    model = lively(Layers(drawn, head, length))
    X = sequences(data.draw(st.integers(1, 3), "N"), length, seed=length)
    for column in data.draw(st.lists(st.integers(0, length - 1), max_size=2), "odd columns"):
        X[0, :, column] = torch.tensor(
            data.draw(st.sampled_from([[0.0] * 4, [0.25] * 4, [0.5, 0, 0, 0.5]]))
        )
    start = data.draw(st.integers(0, length - 1), "start")
    end = data.draw(st.integers(start + 1, length), "end")
    with torch.no_grad():
        target = draw_target(data, tuple(model(X).shape[1:]))
        level = float(reading(target)(model(X)).abs().max())
    want = truth(model, X, target=target, start=start, end=end)
    got = engine(model, X, target=target, start=start, end=end, precision="fp64")
    assert got.shape == want.shape
    assert_close(got, want, 1e-9 * largest(want) + 1e-13 * (1 + level))


# No shrinking: an example takes half a second, and what was drawn is printed.
quick = settings(
    max_examples=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate], report_multiple_bugs=False,
)  # fmt: skip


@quick
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    check(data)


@pytest.mark.slow
@settings(quick, max_examples=1500, derandomize=False)
@given(st.data())
def test_many_random_graphs(data: st.DataObject) -> None:
    check(data)
