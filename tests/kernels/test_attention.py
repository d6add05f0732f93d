"""The Triton twins of the attention ops: interpreted on CPU tensors, and compiled for GPUs not here."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import pytest
import torch

from nucleoscope.naive import ops as naive
from nucleoscope.ops import Scores
from tests.ops.attention_cases import KINDS, Case, double, example, of, relative

OPS = {
    "attention_lse": ("query", "key"),
    "attention_apply": ("query", "key", "r"),
    "attention_mean": ("query", "key", "share"),
    "attention_relevance": ("query", "key", "value", "grad", "r"),
    "attention_statistics": ("query", "key"),
}
interpreted = pytest.mark.usefixtures("poisoned_empty", "twins")
SHAPES = [(1, 2, 1, 33, 70, 17, 20, 1), (2, 2, 1, 70, 130, 8, 8, 3), (1, 1, 1, 1, 1, 1, 1, 1)]


def error(op: str, case: Case) -> float:
    got = getattr(import_module("nucleoscope.ops"), op)(**of(case, *OPS[op]))
    expected = getattr(naive, op)(**of(double(case), *OPS[op]))
    if isinstance(got, torch.Tensor):
        return relative(got, expected)
    scales = expected._replace(entropy=torch.ones(1))  # of one key it is 0: its error is in nats
    parts = zip(got, expected, scales, strict=True)
    off = [(g.double() - e).abs().max() / s.abs().max() for g, e, s in parts]
    return float(torch.stack(off).max())  # Python's max would pass over a NaN


FIRST = "plain", "everything"
PARTS = [kind for kind in KINDS if kind not in (*FIRST, "mask", "table")]  # of everything


@interpreted
@pytest.mark.parametrize(
    "kind", [*FIRST, "mask", "table", *(pytest.param(k, marks=pytest.mark.slow) for k in PARTS)]
)
@pytest.mark.parametrize("op", OPS)
def test_equals_naive(op: str, kind: str) -> None:
    for shape in SHAPES if kind in FIRST else SHAPES[:1]:
        assert error(op, example(shape, kind)) < 5e-6


@interpreted
@pytest.mark.parametrize("op", OPS)
def test_heads_of_many_channels(op: str) -> None:
    for shape in ((1, 1, 1, 33, 40, 80, 130, 3), (1, 1, 1, 20, 40, 8, 70, 1)):
        assert error(op, example(shape, "everything")) < 5e-6


@interpreted
@pytest.mark.parametrize("op", OPS)
def test_large_logits(op: str) -> None:
    allowed = 2e-5 if op == "attention_mean" else 1e-5  # single entries, where others add up many
    assert error(op, example((1, 1, 1, 90, 130, 32, 8, 2), size=20.0)) < allowed


@interpreted
def test_queries_are_split_where_keys_are_few_and_many_targets_go_by_blocks() -> None:
    assert error("attention_apply", example((1, 1, 1, 300, 20, 4, 1, 1), "causal")) < 5e-6
    assert error("attention_apply", example((1, 1, 1, 80, 20, 4, 1, 70), "window")) < 5e-6


@interpreted
def test_a_query_that_sees_no_key_is_seen_in_what_it_hands_on() -> None:
    case = example((1, 1, 1, 40, 30, 8, 1, 2))
    hidden = torch.ones(1, 1, 40, 1, dtype=torch.bool)
    hidden[:, :, 11] = False
    case = case._replace(scores=Scores(mask=hidden))
    case.r[..., 11] = 0.0
    assert error("attention_apply", case) < 5e-6
    case.r[0, 0, 1, 11] = 1.0
    apply = import_module("nucleoscope.ops").attention_apply
    got = apply(**of(case, *OPS["attention_apply"]))
    assert got[0, 0, 1].isnan().all()
    lse = import_module("nucleoscope.ops").attention_lse(case.query, case.key, case.scores)
    assert lse[0, 0, 11] == -torch.inf
    assert lse.isfinite().sum() == 39
    mean = import_module("nucleoscope.ops").attention_mean(**of(case, *OPS["attention_mean"]))
    assert mean[0, 11].isnan().all()
    assert mean.isfinite().sum() == 39 * 30


LENGTH, HEADS = 1536, 8


def fields(**given: Any) -> dict[str, Any]:
    """Scores as they are written down for another process."""
    plain = Scores(scale=0.125)
    return {f.name: getattr(plain, f.name) for f in dataclasses.fields(Scores)} | given


EVERYTHING = fields(
    ahead=0, mask=("bool", (1, 1, 1, LENGTH)), bias=("float32", (1, HEADS, 96, 96)), steps=(16, 16),
    softcap=5.0, slopes=("float32", (HEADS,)), table=("float32", (1, HEADS, LENGTH, 31)),
    index=("int32", (2 * LENGTH - 1,)),
)  # fmt: skip


def launch(kernel: str, width: int, many: int, scores: dict[str, Any]) -> dict[str, Any]:
    """What a launcher is given: heads of so many channels, with values of as many, and targets."""

    def head(*axes: int) -> tuple[Any, ...]:
        return "float32", (1, HEADS, *axes)

    given: dict[str, Any] = {
        "query": head(LENGTH, width), "key": head(LENGTH, width), "scores": scores
    }  # fmt: skip
    row = head(LENGTH)
    match kernel:
        case "attention_lse":
            return {**given, "lse": row}
        case "attention_statistics":
            return {**given, "made": (*(row,) * 5, row)}
        case "attention_mean":
            return {
                **given,
                "share": ("float32", (HEADS,)),
                "out": ("float32", (1, LENGTH, LENGTH)),
            }
    targets = {"r": head(many, LENGTH), "out": head(many, LENGTH)}
    if kernel == "attention_relevance":
        given |= {"value": head(LENGTH, width), "grad": head(LENGTH, width)}
    return {**given, **targets}


@pytest.mark.parametrize("kernel", OPS)
def test_one_of_each_for_one_gpu(kernel: str, compile_ahead: Any) -> None:
    records = compile_ahead(kernel, launch(kernel, 64, 1, fields()), capabilities=(90,))
    assert [each for each in records if each["spilled"]] == []
    assert all(each["matrix"] for each in records)


@pytest.mark.slow
@pytest.mark.parametrize("scores", [fields(), EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("width", [64, 128, 192])
@pytest.mark.parametrize("kernel", OPS)
def test_every_launch(kernel: str, width: int, scores: dict[str, Any], compile_ahead: Any) -> None:
    many = (1, 9, 64) if "r" in OPS[kernel] else (1,)
    records = compile_ahead(kernel, *(launch(kernel, width, m, scores) for m in many))
    assert [each for each in records if each["spilled"]] == []
