"""What may be asked about: masks, named outputs, several of them, and a `func` that is traced along."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth

X = sequences(2, 31)


class Named(NamedTuple):
    profile: Tensor
    counts: Tensor


@dataclass
class Fields:
    profile: Tensor
    counts: Tensor
    loss: Tensor | None = None


class ModelOutput(OrderedDict[str, Tensor]):
    """As transformers has it: keys that are fields as well."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


KINDS: dict[str, tuple[Callable[[Tensor, Tensor], Any], Any, Any]] = {
    "dict": (lambda p, c: {"profile": p, "counts": c}, "profile", "counts"),
    "tuple": (lambda p, c: (p, c), 0, 1),
    "list": (lambda p, c: [p, c], 0, -1),
    "named tuple": (Named, "profile", 1),
    "dataclass": (Fields, "profile", "counts"),
    "model output": (lambda p, c: ModelOutput(profile=p, counts=c), "profile", "counts"),
    "nested": (lambda p, c: {"heads": (p, {"counts": c})}, ("heads", 0), ("heads", 1, "counts")),
}


def two_heads(kind: str) -> Net:
    torch.manual_seed(1)
    pack = KINDS[kind][0]

    def forward(net: Net, x: Tensor) -> Any:
        h = torch.relu(net.first(x))
        return pack(net.profile(h), net.counts(torch.relu(net.mid(h)).mean(2)))

    return Net(
        forward, first=conv(4, 6), mid=conv(6, 5), profile=conv(6, 2), counts=nn.Linear(5, 3)
    )


def head(model: nn.Module, read: Callable[[Any], Tensor]) -> nn.Module:
    return Net(lambda net, x: read(net.inner(x)), inner=model)


def name_and(name: Any, *rest: Any) -> Any:
    return (*(name if isinstance(name, tuple) else (name,)), *rest)


def walk(output: Any, name: Any) -> Any:
    for key in name if isinstance(name, tuple) else (name,):
        output = (
            getattr(output, key)
            if isinstance(output, Fields | Named) and isinstance(key, str)
            else output[key]
        )
    return output


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_by_name(kind: str) -> None:
    model, (_, profile, counts) = two_heads(kind), KINDS[kind]
    alone = head(model, lambda out: walk(out, profile))
    for rest in ((), (0, slice(4, 9)), (1, -1)):
        want = truth(alone, X, target=rest or None)
        got = engine(model, X, target=name_and(profile, *rest), precision="fp64")
        assert_close(got, want, 1e-10 * largest(want))
    want = truth(head(model, lambda out: walk(out, counts)), X, target=2)
    got = nucleoscope.saturation_mutagenesis(
        model, X, target=name_and(counts, 2), precision="fp64", hypothetical=True, center="none"
    )
    assert_close(got.scores[:, None], want, 1e-10 * largest(want))
    assert got.checks[0].passed
    assert got.facts["engine"] == "delta"


def test_several_named_outputs_at_once() -> None:
    model, mask = two_heads("dict"), torch.rand(2, 31) > 0.6
    asked = ["counts", ("profile", 0, slice(4, 9)), ("profile", mask), ("counts", 1)]
    reads: list[Callable[[Any], Tensor]] = [
        lambda out: out["counts"].mean(1),
        lambda out: out["profile"][:, 0, 4:9].mean(1),
        lambda out: out["profile"][:, mask].mean(1),
        lambda out: out["counts"][:, 1],
    ]
    want = torch.cat([truth(head(model, lambda out, r=r: r(out)), X) for r in reads], 1)
    got = nucleoscope.saturation_mutagenesis(
        model, X, target=asked, precision="fp64", hypothetical=True, center="none", verify=4
    )
    assert_close(got.scores, want, 1e-10 * largest(want))
    with torch.no_grad():
        own = torch.stack([read(model(X)) for read in reads], 1)
    torch.testing.assert_close(got.original.float(), own)
    assert nucleoscope.plan(model, X, target=asked).local


def test_named_outputs_that_nobody_asks_about_are_not_made() -> None:
    model = two_heads("dict")
    one = nucleoscope.plan(model, X, target=("profile", 0, 15))
    assert one.seen[0] > 8
    assert one.seen[1] < 23
    assert not any("counts" in node.name for node in one.graph.fx if node.op == "call_function")


@pytest.mark.parametrize("shape", [(2,), (2, 31)], ids=str)
def test_masks(shape: tuple[int, ...]) -> None:
    model = head(two_heads("tuple"), lambda out: out[0])
    mask = torch.zeros(shape, dtype=torch.bool)
    mask.view(-1)[::3] = True
    want = truth(head(model, lambda y: y[:, mask].flatten(1).mean(1)), X)
    for given in (mask, mask.numpy(), (mask,)):
        assert_close(engine(model, X, target=given, precision="fp64"), want, 1e-10 * largest(want))
    fact = nucleoscope.saturation_mutagenesis(model, X, target=mask).facts["target"]
    assert fact == f"<mask of shape {shape}>"


@pytest.mark.parametrize(
    ("kind", "target", "says"),
    [
        ("dict", "counst", "'profile' .2, 31., 'counts' .3."),
        ("dict", 0, "name one, e.g. target='profile'"),
        ("tuple", 2, "0 .2, 31., 1 .3."),
        ("tuple", slice(0, 1), "name one"),
        ("dataclass", "loss", "'profile'"),
        ("dict", ("counts", "mean"), "has no names"),
        ("dict", ("counts", 7), "does not index"),
        ("dict", ["counts", ("profile", 0, 99)], "does not index"),
        ("dict", ("profile", torch.zeros(2, 31, dtype=torch.bool)), "selects nothing"),
        ("dict", ("profile", torch.ones(3, dtype=torch.bool)), "mask of shape .3,."),
    ],
)  # fmt: skip
def test_names_that_are_not_there(kind: str, target: Any, says: str) -> None:
    with pytest.raises(IndexError, match=rf"^target=.*{says}"):
        nucleoscope.saturation_mutagenesis(two_heads(kind), X, target=target)


def test_a_structure_needs_a_name() -> None:
    with pytest.raises(ValueError, match=r"^model: it returns 2 tensors .*target='profile'"):
        nucleoscope.saturation_mutagenesis(two_heads("dict"), X)


def test_func_is_part_of_the_trace() -> None:
    model = two_heads("dict")

    def middle(out: dict[str, Tensor]) -> Tensor:
        return torch.tanh(out["profile"][:, :, 14:17]).sum(2)

    want = truth(head(model, middle), X, target=1)
    got = nucleoscope.saturation_mutagenesis(
        model, X, func=middle, target=1, precision="fp64", hypothetical=True, center="none"
    )
    assert_close(got.scores[:, None], want, 1e-10 * largest(want))
    assert got.facts["func"] == "traced with the model"
    plan = nucleoscope.plan(model, X, func=middle, target=1)
    assert plan.local
    assert plan.seen[0] > 7
    assert not plan.whole()


def test_a_func_that_cannot_be_traced_gets_whole_outputs_and_says_so() -> None:
    model = head(two_heads("tuple"), lambda out: out[0])

    def through_numpy(y: Tensor) -> Tensor:
        return torch.from_numpy(y.detach().numpy().cumsum(-1)).to(y)

    want = truth(head(model, lambda y: y.cumsum(-1)), X, target=0)
    with pytest.warns(nucleoscope.UntracedFunc, match="whole outputs"):
        got = nucleoscope.saturation_mutagenesis(
            model, X, func=through_numpy, target=0, hypothetical=True, center="none"
        )
    assert_close(got.scores[:, None], want, 1e-4 * largest(want))
    assert "given whole outputs" in got.facts["func"]
    assert got.facts["engine"] == "delta"


@pytest.mark.parametrize(
    "func",
    [lambda y: y - y.mean(0), lambda y: y / y.sum((0, 2), keepdim=True), lambda y: y.flip(0)],
    ids=["centred", "normalised", "turned"],
)
def test_a_func_that_mixes_examples_is_refused(func: Callable[[Tensor], Tensor]) -> None:
    model = head(two_heads("tuple"), lambda out: out[0])
    with pytest.raises(ValueError, match=r"^func: .*every row of the output by itself"):
        nucleoscope.saturation_mutagenesis(model, X, func=func)


def test_a_func_that_fails_is_named() -> None:
    with pytest.raises(ValueError, match=r"^func: it fails on the model's output.*KeyError: 'x'"):
        nucleoscope.saturation_mutagenesis(two_heads("dict"), X, func=lambda out: out["x"])


def test_a_changed_func_is_another_question() -> None:
    model, scale = head(two_heads("tuple"), lambda out: out[1]), [1.0]
    before = engine(model, X, func=lambda y: y * scale[0])
    scale[0] = 3.0
    torch.testing.assert_close(engine(model, X, func=lambda y: y * scale[0]), 3 * before)
