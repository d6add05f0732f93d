"""Bad input is refused by name; odd but meant input is understood."""

# ruff: noqa: ARG005 - every forward and every case is called alike, whatever it uses

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope.reading import read_sequences
from tests.nets import controlled
from tests.parts import Net, conv, sequences
from tests.truth import assert_exact

COMPLAINTS = (TypeError, ValueError, IndexError)


def small() -> Net:
    torch.manual_seed(0)
    return Net(lambda net, x: net.last(torch.relu(net.first(x))), first=conv(4, 4), last=conv(4, 2))


def ask(model: Any = None, X: Any = None, **settings: Any) -> nucleoscope.Attribution:
    return nucleoscope.saturation_mutagenesis(
        small() if model is None else model, sequences(2, 12) if X is None else X, **settings
    )


def refused(argument: str, **call: Any) -> None:
    """The call is refused, and the first word of the message is the argument that is wrong."""
    with pytest.raises(COMPLAINTS) as caught:
        ask(**call)
    assert str(caught.value).startswith(argument), f"{type(caught.value).__name__}: {caught.value}"


def with_column(column: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
    X = sequences(2, 12).to(dtype)
    X[1, :, 5] = torch.tensor(column, dtype=dtype)
    return X


BAD_X: dict[str, Any] = {
    "rank 2": sequences(1, 12)[0],
    "rank 4": sequences(1, 12)[None],
    "five letters": torch.zeros(2, 5, 12),
    "layout": sequences(2, 12, layout="NLC"),
    "no sequences": torch.zeros(0, 4, 12),
    "no length": torch.zeros(2, 4, 0),
    "numpy": sequences(2, 12).numpy(),
    "letters": ["ACGT"],
    "complex": sequences(2, 12).to(torch.complex64),
    "NaN": with_column([float("nan"), 0, 0, 1]),
    "infinite": with_column([float("inf"), 0, 0, 0]),
    "soft": with_column([0.7, 0.1, 0.1, 0.1]),
    "two letters": with_column([1, 1, 0, 0]),
    "negative": with_column([1, 0, 0, -1]),
    "too large": with_column([2, 0, 0, 0]),
    "sparse": sequences(2, 12).to_sparse(),
    "meta": sequences(2, 12).to("meta"),
    "gradient-like": torch.randn(2, 4, 12),
}


@pytest.mark.parametrize("what", BAD_X)
def test_bad_x(what: str) -> None:
    refused("X", X=BAD_X[what])


def test_the_place_of_a_bad_column_is_told() -> None:
    with pytest.raises(ValueError, match=r"\b1\b.*\b5\b"):
        ask(X=BAD_X["soft"])


SETTINGS: dict[str, list[Any]] = {
    "start": [True, -1, 12, 13, 1.5, "3", None],
    "end": [0, -2, 13, 4.5, "4"],
    "center": ["median", "", None, 3],
    "precision": ["fp16", "double", None, torch.float32],
    "memory": [0, -1, 1000, "1GB", 1.5],
    "verify": [-1, 0.5, "all", None],
    "layout": ["NHW", "ncl", None],
    "alphabet": ["", "A", "AACG", 4],
    "target": [
        2, -3, (0, 12), (0, 0, 0), "counts", 1.5, [], [0, 9], slice(5, 5), slice(2, None),
        slice(None, None, -1),
        {"head": 0}, object(),
    ],
    "func": [
        3, "mean", lambda y: 3, lambda y: y.sum(), lambda y: y.mean(0), lambda y: (y, y), lambda y: {},
        lambda y: y - y.mean(0),
        lambda y: None, lambda y: y.argmax(1),
    ],
    "args": [torch.zeros(2, 1), [3], (torch.zeros(3, 1),), (torch.zeros(()),), "c", 3, (None,)],
    "device": ["meta", "nonsense", "cuda:99", 3.5],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(n, v, id=f"{n}-{i}") for n, vs in SETTINGS.items() for i, v in enumerate(vs)],
)
def test_bad_settings(name: str, value: Any) -> None:
    if name == "start" and value == 12:
        refused("start", start=12)
    refused(name, **{name: value})


def test_an_end_below_the_start() -> None:
    refused("end", start=6, end=6)
    refused("end", start=6, end=3)


def test_args_of_the_wrong_count() -> None:
    refused("args", args=(torch.zeros(2, 1, 12),))
    refused("args", model=controlled(12))
    refused("args", model=controlled(12), args=(torch.zeros(2, 2, 12), torch.zeros(2, 2, 12)))


def changed(change: Callable[[Net], Any]) -> Net:
    model = small()
    change(model)
    return model


class Counting(nn.Module):
    """Adds a buffer that counts its calls to its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(4, 2)
        self.register_buffer("calls", torch.zeros(()))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.first(x) * self.calls


class Remembering(nn.Module):
    """Adds what it last saw."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(4, 2), 0.0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).mean(2)
        seen, self.last = self.last, float(y.detach().sum())
        return y + seen


def by_slot(net: Net, x: Tensor) -> Tensor:
    slots = torch.arange(x.shape[0], dtype=x.dtype)
    return torch.sin(slots[:, None]) + net.first(x).mean(2)


def made_for_inference() -> Net:
    with torch.inference_mode():
        return small()


def lively_norm(variance: float) -> nn.Module:
    norm = nn.BatchNorm1d(2).eval()
    norm.get_buffer("running_var").fill_(variance)
    return norm


BAD_MODELS: dict[str, Callable[[], Any]] = {
    "a function": lambda: lambda x: x.mean(),
    "a class": lambda: Net,
    "training": lambda: small().train(),
    "one part training": lambda: changed(lambda net: net.last.train()),
    "NaN weights": lambda: changed(lambda net: net.last.weight.data.view(-1)[:1].fill_(torch.nan)),
    "infinite weights": lambda: changed(lambda net: net.first.bias.data.fill_(torch.inf)),
    "partly half": lambda: changed(lambda net: net.last.half()),
    "lazy": lambda: changed(lambda net: setattr(net, "more", nn.LazyLinear(3).eval())),
    "meta": lambda: small().to("meta"),
    "made for inference": made_for_inference,
    "infinite statistics": lambda: changed(
        lambda net: setattr(net, "norm", lively_norm(torch.inf))
    ),
    "third of the batch": lambda: Net(
        lambda net, x: net.first(x).mean(2) + (torch.arange(x.shape[0]) > 1)[:, None],
        first=conv(4, 2),
    ),
    "NaN output": lambda: Net(lambda net, x: torch.log(net.first(x) - 100), first=conv(4, 2)),
    "infinite output": lambda: Net(lambda net, x: net.first(x) / (x.sum() * 0), first=conv(4, 2)),
    "batch statistics": lambda: Net(
        lambda net, x: net.first(x) - net.first(x).mean(0), first=conv(4, 2)
    ),
    "normalised by the batch": lambda: Net(
        lambda net, x: torch.softmax(net.first(x).mean(2), 0), first=conv(4, 2)
    ),
    "first of the batch": lambda: Net(
        lambda net, x: net.first(x).mean(2) - net.first(x)[:1].mean(2), first=conv(4, 2)
    ),
    "last of the batch": lambda: Net(
        lambda net, x: net.first(x).mean(2) - net.first(x)[-1:].mean(2), first=conv(4, 2)
    ),
    "second of the batch": lambda: Net(
        lambda net, x: net.first(x).mean(2) * (torch.arange(x.shape[0]) != 1)[:, None],
        first=conv(4, 2),
    ),
    "median of the batch": lambda: Net(
        lambda net, x: net.first(x).mean(2) - net.first(x).mean(2).median(0).values,
        first=conv(4, 2),
    ),
    "by slot": lambda: Net(by_slot, first=conv(4, 2)),
    "counting": Counting,
    "remembering": Remembering,
    "random": lambda: Net(
        lambda net, x: F.dropout(net.first(x), 0.5, training=True), first=conv(4, 2)
    ),
    "tuple": lambda: Net(lambda net, x: (net.first(x), net.first(x)), first=conv(4, 2)),
    "list of one": lambda: Net(lambda net, x: [net.first(x)], first=conv(4, 2)),
    "dict": lambda: Net(lambda net, x: {"profile": net.first(x)}, first=conv(4, 2)),
    "a number": lambda: Net(lambda net, x: 3, first=conv(4, 2)),
    "nothing": lambda: Net(lambda net, x: None, first=conv(4, 2)),
    "integers": lambda: Net(lambda net, x: net.first(x).argmax(1), first=conv(4, 2)),
    "no batch": lambda: Net(lambda net, x: net.first(x).mean(), first=conv(4, 2)),
    "batch elsewhere": lambda: Net(lambda net, x: net.first(x).transpose(0, 1), first=conv(4, 2)),
}


@pytest.mark.parametrize("what", BAD_MODELS)
def test_bad_models(what: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nucleoscope.NaiveFallback)
        refused("model", model=BAD_MODELS[what]())


@pytest.mark.parametrize("what", [each for each in BAD_MODELS if "of the batch" in each])
def test_no_gradient_of_models_that_mind_the_batch(what: str) -> None:
    model = BAD_MODELS[what]()
    with pytest.raises(ValueError, match="depends on the batch"):
        nucleoscope.saliency(model, sequences(4, 12), target=0)


def test_a_model_that_fails_on_its_own_says_so_itself() -> None:
    model = Net(lambda net, x: net.first(x).view(-1, 7), first=conv(4, 2))
    with pytest.raises(ValueError, match=r"X: the model fails .*\(4, 12\): shape"):
        ask(model=model)


def test_nan_in_a_further_input_is_named() -> None:
    held = torch.zeros(2, 2, 12)
    held[1, 0, 5] = float("nan")
    for method in (ask, nucleoscope.saliency, nucleoscope.attention_rollout):
        settings: dict[str, Any] = {"X": sequences(2, 12), "args": (torch.zeros(2, 1), held)}
        with pytest.raises(ValueError, match=r"args\[1\]: it holds NaN, first at \[1, 0, 5\]"):
            method(model=controlled(12), **settings)


def test_fp32_of_a_float64_model() -> None:
    refused("precision", model=small().double())
    assert ask(model=small().double(), precision="fp64").scores.dtype == torch.float64


ODD_COLUMNS = {
    "N as zeros": [0, 0, 0, 0], "N as parts": [0.25] * 4, "R": [0.5, 0, 0.5, 0],
    "B": [0, 1 / 3, 1 / 3, 1 / 3],
    "B, rounded": [0, 0.3333, 0.3333, 0.3333], "nearly A": [0.9995, 0, 0, 0],
}  # fmt: skip


@pytest.mark.parametrize("what", ODD_COLUMNS)
def test_odd_columns_are_understood(what: str) -> None:
    assert_exact(small(), with_column(ODD_COLUMNS[what]), target=[(0, 5), None])


def test_odd_columns_of_all_kinds_at_once() -> None:
    X = sequences(2, 12)
    for at, column in enumerate(ODD_COLUMNS.values()):
        X[0, :, at * 2] = torch.tensor(column)
    assert_exact(small(), X)
    assert_exact(small(), torch.zeros(1, 4, 12))


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool]
)
def test_x_of_any_number_type(dtype: torch.dtype) -> None:
    X = sequences(2, 12)
    assert torch.equal(ask(X=X.to(dtype)).scores, ask(X=X).scores)


def test_x_is_not_changed_and_needs_no_layout_in_memory() -> None:
    X = sequences(2, 12)
    kept = X.clone()
    strided = sequences(2, 12, layout="NLC").transpose(1, 2)
    scores = ask(X=X).scores
    assert torch.equal(X, kept)
    assert torch.equal(ask(X=strided).scores, scores)
    assert torch.equal(ask(X=X.clone().requires_grad_()).scores, scores)
    torch.testing.assert_close(ask(X=X[:1].expand(3, -1, -1)).scores[2], ask(X=X[:1]).scores[0])


def test_other_alphabets() -> None:
    X = F.one_hot(torch.randint(6, (2, 9)), 6).transpose(1, 2).float()
    model = Net(lambda net, x: net.first(x).tanh().mean(2), first=conv(6, 3))
    got = ask(model=model, X=X, alphabet="ACDEFG")
    assert got.scores.shape == (2, 6, 9)
    assert got.alphabet == "ACDEFG"


def test_letters_are_read() -> None:
    X = with_column([0.5, 0, 0.5, 0])
    X[0, :, 0] = 0
    read = read_sequences(X, "ACGT", "NCL")
    assert read.letters[0, 0] == -1
    assert read.letters[1, 5] == 4
    assert (read.letters[0, 1:] == X[0].argmax(0).numpy()[1:]).all()
    assert read.ambiguous.tolist() == [[0.5, 0, 0.5, 0]]


def test_a_model_of_another_length_is_told_from_a_broken_one() -> None:
    model = nn.Sequential(conv(4, 8), nn.Flatten(), nn.Linear(8 * 50, 1)).eval()
    with pytest.raises(ValueError, match=r"(?s)^X: .*\(4, 40\).*mat1 and mat2.*--length"):
        ask(model, sequences(1, 40))


def test_randomness_is_called_so() -> None:
    model = Net(lambda net, x: F.dropout(net.first(x), 0.5, training=True), first=conv(4, 2))
    with pytest.raises(ValueError, match="it is random"):
        ask(model)


def test_a_model_that_edits_its_input_leaves_x_alone() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        x[:, :, :5] = 0
        return net.first(x).mean(2)

    X = sequences(2, 12)
    kept = X.clone()
    with pytest.raises(ValueError, match=r"model: its forward changes its input X in place"):
        ask(Net(forward, first=conv(4, 2)), X)
    assert torch.equal(X, kept)
