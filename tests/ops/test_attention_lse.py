"""attention_lse: the C++ gives what the definition gives in float64, whatever makes the logits."""

from __future__ import annotations

import torch

from nucleoscope.naive import ops as naive
from nucleoscope.ops import Scores, attention_lse
from tests.ops.attention_cases import (
    SHAPES,
    AgainstNaive,
    Case,
    double,
    example,
    of,
    relative,
)
from tests.ops.rows import poisoned_malloc, strided

NAMES = ("query", "key")


def error(case: Case) -> float:
    """Of the op, over the largest value of the definition in float64."""
    with poisoned_malloc():
        got = attention_lse(**of(case, *NAMES))
    return relative(got, naive.attention_lse(**of(double(case), *NAMES)))


class TestAgainstNaive(AgainstNaive):
    error = staticmethod(error)


def test_far_away_logits_keep_their_digits() -> None:
    """All logits moved by the same: the answer moves by that, and the maximum is found wherever it stands."""
    query, key = torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 200, 4)
    query[..., 0] = 1.0
    for at in (0, 77, 199):
        for high in (-3000.0, 500.0, 20000.0):
            key[..., 0] = -5000.0
            key[0, 0, at, 0] = high
            torch.testing.assert_close(
                attention_lse(query, key, Scores(scale=1.0))[0, 0, 0].item(), high
            )


def test_strided_arguments() -> None:
    case = example(SHAPES[4], "everything")
    apart = case._replace(**{name: strided(getattr(case, name)) for name in NAMES})
    assert not apart.query.is_contiguous()
    torch.testing.assert_close(
        attention_lse(**of(apart, *NAMES)), attention_lse(**of(case, *NAMES)), rtol=0, atol=0
    )
