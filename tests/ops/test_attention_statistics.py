"""attention_statistics: the C++ gives what the definition gives in float64, whatever makes the logits."""

from __future__ import annotations

import torch

from nucleoscope.naive import ops as naive
from nucleoscope.ops import Statistics, attention_statistics
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
    """The largest of all statistics, each over the largest value of the definition in float64."""
    with poisoned_malloc():
        got = attention_statistics(**of(case, *NAMES))
    expected = naive.attention_statistics(**of(double(case), *NAMES))
    scales = expected._replace(entropy=torch.ones(1))  # of one key it is 0: its error is in nats
    parts = zip(got, expected, scales, strict=True)
    off = [(g.double() - e).abs().max() / s.abs().max() for g, e, s in parts]
    return float(torch.stack(off).max())  # Python's max would pass over a NaN


class TestAgainstNaive(AgainstNaive):
    error = staticmethod(error)


def test_what_each_statistic_is() -> None:
    case = double(example(SHAPES[4], "everything"))
    p = naive.logits(case.query, case.key, case.scores).softmax(-1)
    for block in (None, 1, 16):
        got = naive.attention_statistics(**of(case, *NAMES), block=block)
        assert relative(got.entropy, -torch.special.xlogy(p, p).sum(-1)) < 1e-12
        assert relative(got.columns, p.sum(-2)) < 1e-12
        assert relative(got.peak, p.amax(-1)) < 1e-12
        assert relative(got.squares, (p**2).sum(-1)) < 1e-12
        assert relative(got.cubes, (p**3).sum(-1)) < 1e-12
        assert relative(got.lse, naive.attention_lse(**of(case, *NAMES))) < 1e-12


def test_even_attention_and_attention_to_one_key() -> None:
    key = torch.zeros(1, 1, 40, 3)
    even = attention_statistics(torch.zeros(1, 1, 2, 3), key)
    torch.testing.assert_close(even.entropy, torch.full((1, 1, 2), 40.0).log())
    torch.testing.assert_close(even.squares, torch.full((1, 1, 2), 1 / 40))
    key[0, 0, 17] = 1000.0
    one = attention_statistics(torch.ones(1, 1, 2, 3), key)
    assert one.entropy.max() < 1e-6
    torch.testing.assert_close(one.peak, torch.ones(1, 1, 2))
    torch.testing.assert_close(one.columns[0, 0, 17].item(), 2.0)


def test_strided_arguments() -> None:
    case = example(SHAPES[4], "everything")
    apart = case._replace(**{name: strided(getattr(case, name)) for name in NAMES})
    assert not apart.query.is_contiguous()
    got, expected = (
        attention_statistics(**of(apart, *NAMES)),
        attention_statistics(**of(case, *NAMES)),
    )
    assert isinstance(got, Statistics)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
