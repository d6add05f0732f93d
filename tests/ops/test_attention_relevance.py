"""attention_relevance: the C++ gives what the definition gives in float64, whatever makes the logits."""

from __future__ import annotations

import pytest
import torch

from nucleoscope.naive import ops as naive
from nucleoscope.ops import attention_relevance
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

NAMES = ("query", "key", "value", "grad", "r")


def error(case: Case) -> float:
    """Of the op, over the largest value of the definition in float64."""
    with poisoned_malloc():
        got = attention_relevance(**of(case, *NAMES))
    return relative(got, naive.attention_relevance(**of(double(case), *NAMES)))


class TestAgainstNaive(AgainstNaive):
    error = staticmethod(error)


@pytest.mark.parametrize("kind", ["plain", "causal", "everything"])
def test_it_is_the_positive_part_of_attention_times_its_gradient(kind: str) -> None:
    """The gradient is taken by autograd, of a target whose gradient by the heads' output is grad."""
    case = double(example(SHAPES[2], kind))
    shared = case.query.shape[1] // case.key.shape[1]
    p = naive.logits(case.query, case.key, case.scores).softmax(-1).requires_grad_()
    (by_p,) = torch.autograd.grad(
        (p @ case.value.repeat_interleave(shared, 1) * case.grad).sum(), p
    )
    expected = case.r @ (p * by_p).clamp(min=0)
    for block in (None, 1, 16):
        got = naive.attention_relevance(**of(case, *NAMES), block=block)
        assert relative(got, expected.detach()) < 1e-12


def test_a_gradient_along_no_value_gives_nothing() -> None:
    case = example(SHAPES[4], "everything")
    away = case._replace(value=case.value.abs(), grad=-case.grad.abs())
    assert (attention_relevance(**of(away, *NAMES)) == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": torch.zeros(1, 2, 49, 64)}, "but K is 50 in key"),
        ({"value": torch.zeros(1, 4, 50, 24)}, "but G is 2 in key"),
        ({"grad": torch.zeros(1, 4, 33, 8)}, "but E is 24 in value"),
        ({"grad": torch.zeros(1, 2, 33, 24)}, "but H is 4 in query"),
    ],
    ids=["keys", "groups", "width", "heads"],
)
def test_bad_values_and_gradients_are_refused(
    change: dict[str, torch.Tensor], message: str
) -> None:
    case = example(SHAPES[2])._replace(**change)
    with pytest.raises(ValueError, match=f"attention_relevance: .*{message}"):
        attention_relevance(**of(case, *NAMES))


def test_strided_arguments() -> None:
    case = example(SHAPES[4], "everything")
    apart = case._replace(**{name: strided(getattr(case, name)) for name in NAMES})
    assert not apart.query.is_contiguous()
    torch.testing.assert_close(
        attention_relevance(**of(apart, *NAMES)),
        attention_relevance(**of(case, *NAMES)),
        rtol=0,
        atol=0,
    )
