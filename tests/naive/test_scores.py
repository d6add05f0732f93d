"""Scores: what each field means, by a loop over single logits and by torch's own attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops import Scores, logits
from nucleoscope.ops import attention_apply, attention_lse
from tests.ops.attention_cases import KINDS, SHAPES, Case, double, example, of


def one_logit(c: Case, b: int, h: int, i: int, j: int) -> float:
    """As the contract has it, number by number."""

    def entry(tensor: Tensor, *place: int) -> float:
        own = (p if n > 1 else 0 for p, n in zip(place, tensor.shape, strict=True))
        return float(tensor[tuple(own)])

    s = c.scores
    group = h // (c.query.shape[1] // c.key.shape[1])
    scale = 1 / math.sqrt(c.query.shape[3]) if s.scale is None else s.scale
    made = scale * float(c.query[b, h, i] @ c.key[b, group, j])
    d = j - i - s.first
    if s.table is not None:
        half = (s.table.shape[3] if s.index is None else len(s.index)) // 2
        kind = min(max(d, -half), half) + half
        made += entry(s.table, b, h, i, kind if s.index is None else int(s.index[kind]))
    if s.bias is not None:
        made += entry(s.bias, b, h, i // s.steps[0], j // s.steps[1])
    if s.softcap is not None:
        made = s.softcap * math.tanh(made / s.softcap)
    if s.slopes is not None:
        made -= float(s.slopes[h]) * abs(d)
    seen = s.mask is None or bool(entry(s.mask, b, h, i, j))
    seen = seen and (s.behind is None or d >= -s.behind) and (s.ahead is None or d <= s.ahead)
    return made if seen else -math.inf


@pytest.mark.parametrize("kind", KINDS)
def test_a_logit_is_what_the_contract_says(kind: str) -> None:
    c = example((2, 4, 2, 7, 20, 3, 2, 1), kind, torch.float64)
    got = logits(c.query, c.key, c.scores)
    for place in torch.cartesian_prod(*map(torch.arange, got.shape)).tolist():
        expected = one_logit(c, *place)
        assert got[tuple(place)] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"softcap", "coarse", "everything"}])
def test_rows_times_attention_is_the_gradient_by_the_values_of_torch(kind: str) -> None:
    c = example(SHAPES[2], kind, torch.float64)
    scale = c.query.shape[-1] ** -0.5 if c.scores.scale is None else c.scores.scale
    beside = logits(torch.zeros_like(c.query), c.key, c.scores)  # all that is not a product
    heads, many = c.query.shape[1], c.r.shape[2]
    zeros = torch.zeros(1, heads, c.key.shape[2], many, dtype=torch.float64, requires_grad=True)
    groups = heads // c.key.shape[1]
    keys = c.key.repeat_interleave(groups, 1)
    out = F.scaled_dot_product_attention(c.query, keys, zeros, attn_mask=beside, scale=scale)
    (grad,) = torch.autograd.grad(out, zeros, c.r.mT)
    torch.testing.assert_close(
        naive.attention_apply(**of(c, "query", "key", "r")), grad.mT, rtol=1e-12, atol=1e-13
    )


def test_a_view_of_the_queries_alone() -> None:
    """Blocks of the definition give what the whole matrix gives."""
    for kind in KINDS:
        c = example(SHAPES[4], kind, torch.float64)
        whole = naive.attention_lse(**of(c, "query", "key"))
        for block in (1, 7, 64, 1000):
            parts = naive.attention_lse(**of(c, "query", "key"), block=block)
            torch.testing.assert_close(parts, whole, rtol=1e-13, atol=1e-12)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


TABLE = zeros(1, 4, 6, 9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": zeros(1, 4, 6, 8).half()}, TypeError, "query has dtype torch.float16"),
        ({"query": zeros(4, 6, 8)}, ValueError, r"query has 3 axes.*: \[B, H, Q, D\]"),
        ({"key": zeros(1, 2, 5, 8).double()}, TypeError, "key has dtype torch.float64"),
        ({"key": zeros(1, 2, 5, 7)}, ValueError, "but D is 8 in query"),
        ({"key": zeros(1, 3, 5, 8)}, ValueError, "4 heads of queries cannot share 3 heads of keys"),
        ({"key": zeros(1, 2, 0, 8)}, ValueError, "hold no logit"),
        ({"query": zeros(1, 4, 0, 8), "r": zeros(1, 4, 2, 0)}, ValueError, "hold no logit"),
        ({"scale": math.nan}, ValueError, "scale=nan must be finite"),
        ({"softcap": 0.0}, ValueError, "softcap=0.0 must be a finite number above 0"),
        ({"steps": (0, 1)}, ValueError, r"steps \[0, 1\] must be two numbers of 1 or more"),
        (
            {"mask": zeros(1, 1, 6, 5)},
            TypeError,
            "mask has dtype torch.float32, must be torch.bool",
        ),
        ({"mask": zeros(6, 5, dtype=torch.bool)}, ValueError, "mask has 2 axes"),
        ({"mask": zeros(1, 1, 6, 4, dtype=torch.bool)}, ValueError, r"must be \[1, 4, 6, 5\]"),
        ({"bias": zeros(1, 3, 6, 5)}, ValueError, r"bias has shape \[1, 3, 6, 5\]"),
        ({"bias": zeros(1, 4, 6, 5), "steps": (2, 2)}, ValueError, r"must be \[1, 4, 3, 3\]"),
        ({"bias": zeros(1, 4, 6, 5).double()}, TypeError, "bias has dtype torch.float64"),
        ({"slopes": zeros(3)}, ValueError, "but H is 4 in query"),
        ({"table": TABLE[..., 1:]}, ValueError, "table has 8 distances; must be odd"),
        ({"table": TABLE[:, :, 1:]}, ValueError, r"table has shape \[1, 4, 5, 9\]"),
        (
            {"table": TABLE, "index": zeros(4, dtype=torch.int32)},
            ValueError,
            "index has 4 distances",
        ),
        ({"table": TABLE, "index": zeros(3, dtype=torch.int64)}, TypeError, "index has dtype"),
        ({"table": TABLE, "index": zeros(3, dtype=torch.int32) + 9}, ValueError, "but table has 9"),
        ({"table": TABLE, "index": zeros(3, dtype=torch.int32) - 1}, ValueError, "goes from -1"),
        ({"index": zeros(3, dtype=torch.int32)}, ValueError, "there is no table"),
        ({"r": zeros(1, 4, 2, 7)}, ValueError, "but Q is 6 in query"),
        ({"r": zeros(1, 3, 2, 6)}, ValueError, "r has weights for 3 heads; must be 1"),
        ({"r": zeros(1, 4, 0, 6)}, ValueError, "has no target row"),
        ({"r": zeros(1, 4, 2, 6).double()}, TypeError, "r has dtype torch.float64"),
    ],
    ids=[str(n) for n in range(28)],
)
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    own = {"query": zeros(1, 4, 6, 8), "key": zeros(1, 2, 5, 8), "r": zeros(1, 4, 2, 6)}
    given = own | {name: value for name, value in change.items() if name in own}
    scores = Scores(**{name: value for name, value in change.items() if name not in own})
    with pytest.raises(error, match=f"attention_apply: .*{message}"):
        attention_apply(**given, scores=scores)


HIDDEN = torch.ones(1, 1, 4, 5, dtype=torch.bool)
HIDDEN[:, :, 2] = False


@pytest.mark.parametrize(
    ("scores", "query"),
    [
        (Scores(mask=HIDDEN), 2),
        (Scores(bias=torch.full((1, 1, 4, 5), -math.inf)), 0),
        (Scores(first=-2, ahead=0), 0),
        (Scores(first=3, behind=0), 2),
    ],
    ids=["mask", "bias", "ahead", "behind"],
)
def test_a_query_that_sees_no_key_is_refused(scores: Scores, query: int) -> None:
    q, k = torch.randn(1, 2, 4, 3), torch.randn(1, 2, 5, 3)
    with pytest.raises(ValueError, match=rf"attention_lse: query {query} of head 0 .* sees no key"):
        attention_lse(q, k, scores)
    for block in (None, 2):
        with pytest.raises(ValueError, match=rf"query {query} of head 0 .* sees no key"):
            naive.attention_lse(q, k, scores, block=block)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    q, k = torch.randn(1, 2, 9, 3), torch.randn(1, 2, 50, 3)
    q[0, 1, 5] = value
    k[0, 1] = 1e10
    with pytest.raises(ValueError, match=r"query 5 of head 1 .* (not finite|infinity)"):
        attention_lse(q, k)


@pytest.mark.parametrize("op", ["lse", "apply", "relevance", "statistics"])
def test_queries_in_torch_compile_and_on_meta(op: str) -> None:
    case = example(SHAPES[2])
    names = {"apply": ("r",), "relevance": ("value", "grad", "r")}.get(op, ())
    call = getattr(torch.ops.nucleoscope, f"attention_{op}").default
    tensors = [getattr(case, name) for name in ("query", "key", *names)]
    for kind in ("plain", "everything"):
        s = example(SHAPES[2], kind).scores
        rest = (
            0.5, s.first, s.behind, s.ahead, s.mask, s.bias, list(s.steps), s.softcap, s.slopes, s.table,
            s.index,
        )  # fmt: skip
        torch.library.opcheck(call, (*tensors, *rest))
        made = call(
            *(each.to("meta") for each in tensors), *rest[:4], None, None, [1, 1], *[None] * 4
        )
        assert all(m.device.type == "meta" for m in (made if isinstance(made, list) else [made]))


def test_float64_is_the_definition() -> None:
    c = double(example(SHAPES[2], "everything"))
    got = attention_apply(**of(c, "query", "key", "r"))
    expected = naive.attention_apply(**of(c, "query", "key", "r"))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-13)
