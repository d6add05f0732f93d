"""attention_mean: the C++ gives what the definition gives in float64, whatever makes the logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from nucleoscope.naive import ops as naive
from nucleoscope.ops import Scores, attention_mean
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
from tests.ops.rows import poisoned_malloc, strided

NAMES = ("query", "key", "share")


def error(case: Case) -> float:
    """Of the op, over the largest value of the definition in float64."""
    with poisoned_malloc():
        got = attention_mean(**of(case, *NAMES))
    return relative(got, naive.attention_mean(**of(double(case), *NAMES)))


class TestAgainstNaive(AgainstNaive):
    error = staticmethod(error)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_sum_over_heads_whatever_the_block(kind: str) -> None:
    case = double(example(SHAPES[4], kind))
    p = naive.logits(case.query, case.key, case.scores).softmax(-1)
    expected = (case.share[:, None, None] * p).sum(1)
    for block in (None, 1, 16, 100):
        got = naive.attention_mean(**of(case, *NAMES), block=block)
        assert relative(got, expected) < 1e-12
    assert relative(attention_mean(**of(case, *NAMES)), expected) < 1e-12  # goes by blocks


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@for_all(
    st.sampled_from(sorted(KINDS)), st.integers(1, 3), st.integers(1, 3),
    *(st.integers(1, most) for most in (70, 120, 40)), st.integers(0, 2**16),
)  # fmt: skip
def test_rows_sum_to_the_shares(
    kind: str, groups: int, shared: int, queries: int, keys: int, width: int, seed: int
) -> None:
    torch.manual_seed(seed)
    case = example((2, groups * shared, groups, queries, keys, width, 1, 1), kind)
    assert error(case) < 3e-6
    sums = attention_mean(**of(case, *NAMES)).sum(-1)
    torch.testing.assert_close(sums, case.share.sum().expand_as(sums), rtol=3e-6, atol=0)


def test_a_head_that_counts_nothing_may_see_nothing() -> None:
    case = example((1, 2, 1, 40, 30, 8, 1, 1))
    hidden = torch.ones(1, 2, 40, 1, dtype=torch.bool)
    hidden[:, 0, 11] = False
    first = case._replace(scores=Scores(mask=hidden))
    assert error(first) < 2e-6
    other = case._replace(scores=Scores(mask=hidden.flip(1)))
    for side in (attention_mean, naive.attention_mean):
        with pytest.raises(ValueError, match=r"attention_mean: query 11 of head 1 .* sees no key"):
            side(**of(other, *NAMES))


def test_shares_that_do_not_fit_are_named() -> None:
    case = example(SHAPES[2])
    with pytest.raises(ValueError, match="share"):
        attention_mean(case.query, case.key, case.share[:2])
    with pytest.raises(TypeError, match="share"):
        attention_mean(case.query, case.key, case.share.double())


def test_strided_arguments() -> None:
    case = example(SHAPES[4], "everything")
    apart = case._replace(query=strided(case.query), key=strided(case.key))
    assert not apart.query.is_contiguous()
    got = attention_mean(apart.query, apart.key, strided(case.share), apart.scores)
    torch.testing.assert_close(got, attention_mean(**of(case, *NAMES)), rtol=0, atol=0)
