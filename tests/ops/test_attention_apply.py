"""attention_apply: the C++ gives what the definition gives in float64, whatever makes the logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Scores, attention_apply
from tests.ops.attention_cases import (
    KINDS,
    SHAPES,
    AgainstNaive,
    Case,
    double,
    example,
    of,
    relative,
)
from tests.ops.rows import instruction_set, poisoned_malloc, strided

NAMES = ("query", "key", "r")


def error(case: Case) -> float:
    """Of the op, over the largest value of the definition in float64."""
    with poisoned_malloc():
        got = attention_apply(**of(case, *NAMES))
    return relative(got, naive.attention_apply(**of(double(case), *NAMES)))


class TestAgainstNaive(AgainstNaive):
    error = staticmethod(error)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_give_what_the_whole_matrix_gives(kind: str) -> None:
    case = double(example(SHAPES[4], kind))
    whole = naive.attention_apply(**of(case, *NAMES))
    p = naive.logits(case.query, case.key, case.scores).softmax(-1)
    assert relative(whole, case.r @ p) < 1e-12
    for block in (1, 16, 100):
        assert relative(naive.attention_apply(**of(case, *NAMES), block=block), whole) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_are_handed_on_in_full(shape: tuple[int, ...], kind: str) -> None:
    case = example(shape, kind)
    got, given = attention_apply(**of(case, *NAMES)).sum(-1), case.r.sum(-1)
    torch.testing.assert_close(got, given, rtol=3e-6, atol=0)


@pytest.mark.parametrize("many", [1, 2, 7, 8, 9, 33, 64])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_number_of_targets(isa: str, many: int) -> None:
    with instruction_set(isa):
        assert error(example((1, 2, 1, 50, 90, 20, 1, many), "causal")) < 2e-6


def test_one_head_of_weights_serves_all() -> None:
    case = example(SHAPES[2], "causal")
    one = case._replace(r=case.r[:, :1])
    every = case._replace(r=case.r[:, :1].expand(-1, 4, -1, -1).contiguous())
    assert error(one) < 2e-6
    assert torch.equal(attention_apply(**of(one, *NAMES)), attention_apply(**of(every, *NAMES)))


def test_keys_that_are_not_seen_get_exactly_nothing() -> None:
    case = example(SHAPES[4], "padding")
    got = attention_apply(**of(case, *NAMES))
    hidden = ~case.scores.mask.expand_as(got)
    assert hidden.any()
    assert (got[hidden] == 0).all()
    assert (got[~hidden] > 0).all()


def test_weights_of_either_sign_and_none_at_all() -> None:
    case = example(SHAPES[4], "everything")
    assert error(case._replace(r=torch.randn_like(case.r))) < 2e-6
    nothing = attention_apply(**of(case._replace(r=torch.zeros_like(case.r)), *NAMES))
    assert (nothing == 0).all()


def test_a_query_without_weight_may_see_nothing() -> None:
    case = example((1, 1, 1, 40, 30, 8, 1, 2))
    hidden = torch.ones(1, 1, 40, 1, dtype=torch.bool)
    hidden[:, :, 11] = False
    case.r[..., 11] = 0.0
    assert error(case._replace(scores=Scores(mask=hidden))) < 2e-6
    case.r[0, 0, 1, 11] = 1e-30
    for side in (attention_apply, naive.attention_apply):
        with pytest.raises(ValueError, match=r"attention_apply: query 11 of head 0 .* sees no key"):
            side(**of(case._replace(scores=Scores(mask=hidden)), *NAMES))


def test_one_query_is_a_row_of_attention() -> None:
    case = example((1, 2, 2, 90, 110, 9, 1, 1), "everything")
    p = naive.logits(*(double(case)._asdict()[n] for n in ("query", "key", "scores"))).softmax(-1)
    for at in (0, 31, 89):
        r = torch.zeros_like(case.r)
        r[..., at] = 1.0
        got = attention_apply(**of(case._replace(r=r), *NAMES))
        assert relative(got[:, :, 0], p[:, :, at]) < 2e-6


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@for_all(
    st.sampled_from(sorted(KINDS)), st.integers(1, 3), st.integers(1, 3),
    *(st.integers(1, most) for most in (70, 120, 40, 12)), st.integers(0, 2**16),
)  # fmt: skip
def test_any_shape(
    kind: str, groups: int, shared: int, queries: int, keys: int, width: int, many: int, seed: int
) -> None:
    torch.manual_seed(seed)
    assert error(example((2, groups * shared, groups, queries, keys, width, 1, many), kind)) < 3e-6


def test_strided_arguments() -> None:
    case = example(SHAPES[4], "everything")
    apart = case._replace(**{name: strided(getattr(case, name)) for name in NAMES})
    assert not apart.query.is_contiguous()
    torch.testing.assert_close(
        attention_apply(**of(apart, *NAMES)), attention_apply(**of(case, *NAMES)), rtol=0, atol=0
    )
