"""Random queries, keys and every kind of scores for the tests of the attention ops."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from nucleoscope import _C
from nucleoscope.ops import Scores
from tests.ops.rows import instruction_set


class Case(NamedTuple):
    """Arguments of the attention ops; ``value``, ``grad`` and ``r`` for those that take them."""

    query: Tensor  # [B, H, Lq, D]
    key: Tensor  # [B, G, Lk, D]
    value: Tensor  # [B, G, Lk, E]
    grad: Tensor  # [B, H, Lq, E]
    r: Tensor  # [B, H, M, Lq]
    scores: Scores

    @property
    def share(self) -> Tensor:
        """What each head counts, [H]: the first of several nothing, the others more and more."""
        heads = self.query.shape[1]
        return torch.arange(heads).to(self.query) / heads if heads > 1 else self.query.new_ones(1)


# B, H, G, Lq, Lk, D, E, M: odd ones, one of everything, and one that several blocks and threads share
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, 1), (2, 3, 1, 7, 5, 3, 5, 2), (1, 4, 2, 33, 50, 8, 24, 3), (1, 2, 2, 49, 49, 64, 64, 1),
    (2, 2, 1, 130, 97, 17, 7, 9), (1, 1, 1, 1, 61, 5, 2, 13), (1, 2, 1, 61, 2, 5, 2, 5),
]  # fmt: skip


def _random(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return like.new_empty(shape).normal_()


def _padding(c: Case) -> Scores:
    seen = torch.rand(c.key.shape[0], 1, 1, c.key.shape[2]) > 0.3
    seen[..., -1] = True
    return Scores(mask=seen.to(c.query.device))


def _mask(c: Case) -> Scores:
    seen = torch.rand(c.query.shape[0], c.query.shape[1], c.query.shape[2], c.key.shape[2]) > 0.6
    seen[..., torch.randint(c.key.shape[2], (1,))] = True
    return Scores(mask=seen.to(c.query.device))


def _additive(c: Case) -> Scores:
    bias = _random((1, c.query.shape[1], c.query.shape[2], c.key.shape[2]), c.query).mul_(3)
    hidden = torch.rand(bias.shape[2:], device=bias.device) > 0.7
    hidden[:, 0] = False
    return Scores(bias=bias.masked_fill_(hidden, -torch.inf))


def _coarse(c: Case) -> Scores:
    rows, columns = -(-c.query.shape[2] // 4), -(-c.key.shape[2] // 16)
    bias = _random((c.query.shape[0], 1, rows, columns), c.query)
    return Scores(bias=bias, steps=(4, 16), softcap=5.0)


def _table(c: Case) -> Scores:
    return Scores(table=_random((c.query.shape[0], *c.query.shape[1:3], 9), c.query), scale=1.0)


def _kinds(c: Case) -> Scores:
    far = max(c.query.shape[2], c.key.shape[2])
    index = torch.randint(0, 31, (2 * far - 1,), dtype=torch.int32, device=c.query.device)
    return Scores(table=_random((1, *c.query.shape[1:3], 31), c.query), index=index)


def _everything(c: Case) -> Scores:
    first = c.key.shape[2] // 3
    return dataclasses.replace(
        _kinds(c), first=first, behind=c.query.shape[2] + first + 20, ahead=c.key.shape[2], softcap=7.0,
        slopes=torch.rand(c.query.shape[1], device=c.query.device).to(c.query.dtype) / 9,
        bias=_coarse(c).bias, steps=(4, 16), mask=_padding(c).mask,
    )  # fmt: skip


def _windowed(c: Case) -> Scores:
    reach = max(c.query.shape[2] - c.key.shape[2], 0)  # so that the last queries see a key
    return Scores(behind=reach + 6, ahead=3)


KINDS: dict[str, Callable[[Case], Scores]] = {
    "plain": lambda _: Scores(),
    "scaled": lambda _: Scores(scale=0.7),
    "causal": lambda _: Scores(ahead=0),
    "window": _windowed,
    "chunk": lambda c: Scores(first=c.key.shape[2] // 2, ahead=0),
    "padding": _padding,
    "mask": _mask,
    "additive": _additive,
    "coarse": _coarse,
    "softcap": lambda _: Scores(softcap=2.0),
    "alibi": lambda c: Scores(
        slopes=2.0 ** -torch.arange(c.query.shape[1], device=c.query.device).to(c.query.dtype)
    ),
    "table": _table,
    "kinds": _kinds,
    "everything": _everything,
}


def example(
    shape: tuple[int, ...],
    kind: str = "plain",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    size: float = 1.0,
) -> Case:
    """Random arguments; logits of the plain kind have a standard deviation of ``size``."""
    B, H, G, Lq, Lk, D, E, M = shape
    like = torch.empty(0, dtype=dtype, device=device)
    r = torch.rand(B, H, M, Lq, dtype=dtype, device=device)
    r[:, :, :, ::3] = 0.0
    r[:, :, -1] = 1.0
    case = Case(
        _random((B, H, Lq, D), like) * size, _random((B, G, Lk, D), like), _random((B, G, Lk, E), like),
        _random((B, H, Lq, E), like), r, Scores(),
    )  # fmt: skip
    return case._replace(scores=KINDS[kind](case))


def of(case: Case, *names: str) -> dict[str, Any]:
    """The named arguments, with the scores."""
    return {name: getattr(case, name) for name in (*names, "scores")}


def double(case: Case) -> Case:
    """The same in float64."""
    tensors = {
        f.name: value.double()
        for f in dataclasses.fields(Scores)
        if isinstance(value := getattr(case.scores, f.name), Tensor) and value.is_floating_point()
    }
    return Case(*(each.double() for each in case[:-1]), dataclasses.replace(case.scores, **tensors))


def relative(got: Tensor, expected: Tensor) -> float:
    """Largest error over the largest value, of what should be equal."""
    return float((got.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


class AgainstNaive:
    """What every attention op must give, whatever makes the logits: the definition's numbers in float64."""

    error: Callable[[Case], float]  # of the op, over the largest value of the definition in float64

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_equals_naive(self, shape: tuple[int, ...], kind: str, device: torch.device) -> None:
        assert self.error(example(shape, kind, device=device)) < 5e-6

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize("isa", _C.available_isas())
    def test_every_instruction_set_and_thread_count(self, isa, count, threads) -> None:
        threads(count)
        for shape in SHAPES[2:5]:
            for kind in ("plain", "window", "everything"):
                with instruction_set(isa):
                    assert self.error(example(shape, kind)) < 5e-6

    @pytest.mark.parametrize("kind", ["plain", "causal", "everything"])
    @pytest.mark.parametrize("size", [4.0, 20.0])
    @pytest.mark.parametrize("isa", _C.available_isas())
    def test_large_logits(self, isa: str, size: float, kind: str) -> None:
        """Of a standard deviation of 20 they lie hundreds apart: without a running maximum exp overflows."""
        case = example((1, 2, 2, 300, 400, 64, 8, 2), kind, size=size)
        with instruction_set(isa):
            assert self.error(case) < 1e-5
