"""delta_concat: C++ gives to the bit what the definition gives, the change of a real concatenation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_concat
from nucleoscope.ops._rows import flat_widths
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    before,
    converted,
    instruction_set,
    laid,
    poisoned_malloc,
    random_delta,
    random_rows,
    read_off,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")

LENGTH = 12  # small: many rows lie beyond the ends
SHAPES = [  # of each part pieces, channels, the first of them; pieces asked; S, E, C
    ([((1,), 1, 0)], (1,), 1, 1, 1),
    ([((7,), 33, 0), ((4,), 17, 33)], (9,), 5, 3, 50),
    ([((4, 3), 5, 9), ((3, 5), 7, 1)], (2, 6), 4, 2, 17),  # the second before the first, and gaps
    ([((2, 0, 5), 64, 0), ((1,), 36, 64)], (1, 0, 3), 3, 5, 100),
    ([((6,), 3, 13)], (8,), 4, 3, 16),
    ([((0,), 3, 0), ((5,), 5, 3)], (4,), 4, 3, 8),
    ([((6,), 0, 8), ((2, 2), 8, 0)], (5,), 4, 3, 8),
    ([((6,), 4, 0), ((2, 2), 4, 4)], (0,), 4, 3, 8),
    ([((6,), 4, 0), ((5,), 4, 4)], (5,), 0, 3, 8),
    ([((6,), 4, 0), ((5,), 4, 4)], (5,), 4, 0, 8),
    ([((6,), 0, 0), ((5,), 0, 0)], (5,), 4, 3, 0),
]


def example(shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> dict[str, Any]:
    """Random arguments: all rows are around a position that is asked."""
    given, widths, sites, edits, channels = shape
    like = torch.empty(0, dtype=dtype, device=device)
    asked = torch.randint(0, LENGTH, (sites,), device=device)
    parts = []
    for pieces, wide, first in given:
        rows = random_rows(before(asked, pieces), pieces)
        parts.append((random_delta(rows, edits, wide, like), rows, first))
    return {
        "parts": parts, "rows_out": random_rows(before(asked, widths), widths),
        "channels": channels, "length": LENGTH,
    }  # fmt: skip


def altered(case: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The case with every floating-point tensor changed."""
    return {**case, "parts": [converted(part, change) for part in case["parts"]]}


def assert_same(got: Tensor, case: dict[str, Any]) -> None:
    assert got.dtype == case["parts"][0][0].dtype
    assert_equal(got, naive.delta_concat(**case))


@pytest.mark.parametrize("shape", SHAPES[1:5], ids=str)
def test_naive_is_the_change_of_a_concatenation(shape: Any) -> None:
    case = example(shape, torch.float64)
    _, _, sites, edits, channels = shape
    change = torch.zeros(sites, edits, channels, LENGTH, dtype=torch.float64)
    for values, rows, first in case["parts"]:
        change[:, :, first : first + values.shape[3]] = laid(values, rows, LENGTH)
    assert change.any()  # or else nothing is tested
    assert_equal(naive.delta_concat(**case), read_off(change, case["rows_out"]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for _ in range(5):
        case = example(shape, dtype, device)
        assert_same(delta_concat(**case), case)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    shared = ([((7,), 77, 0), ((2,), 120, 80)], (8,), 31, 3, 200)  # split between threads
    for shape in [*SHAPES[:5], shared]:
        case = example(shape, dtype)
        with instruction_set(isa), poisoned_malloc():
            got = delta_concat(**case)
        assert_same(got, case)


widths = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    widths, widths, widths, *(st.integers(0, most) for most in (20, 20, 5, 5, 5)),
    *(st.integers(1, most) for most in (5, 5)), st.integers(0, 2**16),
)  # fmt: skip
def test_any_shape(one, other, asked, a, b, left, between, right, sites, edits, seed) -> None:
    torch.manual_seed(seed)
    second = left + a + between
    parts = [(one, a, left), (other, b, second)][:: 1 if seed % 2 else -1]
    case = example((parts, asked, sites, edits, second + b + right))
    assert_same(delta_concat(**case), case)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = example(([((5,), 4, 0), ((5,), 2, 4)], (3, 2), 4, 3, 6))
    case["rows_out"] = Rows(torch.tensor([[-3] * 4, [LENGTH] * 4]), (3, 2))
    for (values, rows, _), place in zip(case["parts"], (-3, LENGTH), strict=True):
        values.fill_(torch.nan)
        rows.starts.fill_(place)
    assert_equal(delta_concat(**case), torch.zeros(5, 4, 3, 6))


def test_strided_arguments() -> None:
    case = example(SHAPES[2])
    apart = altered(case, strided)
    apart["parts"] = [(v, Rows(strided(r.starts), r.widths), c) for v, r, c in apart["parts"]]
    apart["rows_out"] = Rows(strided(case["rows_out"].starts), case["rows_out"].widths)
    assert_same(delta_concat(**apart), case)


def schema(case: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments as torch.ops takes them."""
    values, rows, firsts = zip(*case["parts"], strict=True)
    return (
        list(values), [each.starts for each in rows], flat_widths(rows), list(firsts),
        *case["rows_out"], [case["channels"], case["length"]],
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES[2:5], ids=str)
@pytest.mark.parametrize("dense", [True, False])
def test_opcheck(dense: bool, shape: Any, device: torch.device) -> None:
    case = example(shape, device=device)
    case = case if dense else altered(case, strided)
    torch.library.opcheck(torch.ops.nucleoscope.delta_concat.default, schema(case))


def test_meta_gives_the_shape_alone() -> None:
    case = example(SHAPES[2], torch.float64)
    out = delta_concat(**altered(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype) == ("meta", torch.float64)
    assert out.shape == (8, 4, 2, 17)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS = zeros(1, 4, dtype=torch.int64)
A, B = zeros(7, 4, 3, 5), zeros(2, 4, 3, 6)
FIRST, SECOND = (A, Rows(STARTS, (7,)), 0), (B, Rows(STARTS, (2,)), 5)
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"parts": []}, ValueError, "0 parts; give one or two"),
    ({"parts": [FIRST] * 3}, ValueError, "3 parts; give one or two"),
    ({"parts": [(A.half(), *FIRST[1:])]}, TypeError, "given has dtype torch.float16"),
    ({"parts": [(A[0], *FIRST[1:])]}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
    ({"parts": [(A, Rows(STARTS, (6,)), 0)]}, ValueError, "rows_in keeps 6 rows a site"),
    ({"parts": [(A, Rows(STARTS.int(), (7,)), 0)]}, TypeError, "rows_in.starts has dtype"),
    ({"parts": [FIRST, (B.double(), *SECOND[1:])]}, TypeError, "beside has dtype torch.float64"),
    ({"parts": [FIRST, (B[:, 1:], *SECOND[1:])]}, ValueError, "beside.* but S is 4 in given"),
    ({"parts": [FIRST, (B[:, :, 1:], *SECOND[1:])]}, ValueError, "beside.* but E is 3 in given"),
    ({"parts": [FIRST, (B, Rows(STARTS, (3,)), 5)]}, ValueError, "beside keeps 3 rows a site"),
    ({"parts": [FIRST, (*SECOND[:2], 4)]}, ValueError, r"\[0, 5\), \[4, 10\) of 11: .*not overlap"),
    ({"parts": [FIRST, (*SECOND[:2], 6)]}, ValueError, r"\[0, 5\), \[6, 12\) of 11: they must fit"),
    ({"parts": [(*FIRST[:2], -1), SECOND]}, ValueError, r"\[-1, 4\), \[5, 11\) of 11"),
    ({"channels": 4}, ValueError, r"\[0, 5\), \[5, 11\) of 4"),
    ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype torch.int32"),
    ({"rows_out": Rows(STARTS[:, 1:], (2,))}, ValueError, "rows_out.* but S is 4 in given"),
    ({"rows_out": Rows(STARTS, (2, 2))}, ValueError, r"rows_out has widths \[2, 2\] for 1"),
]


def accepted() -> dict[str, Any]:
    return {
        "parts": [FIRST, SECOND], "rows_out": Rows(STARTS, (3,)), "channels": 11, "length": 9
    }  # fmt: skip


def test_what_the_refusals_change_is_accepted() -> None:
    assert delta_concat(**accepted()).shape == (3, 4, 3, 11)


@pytest.mark.parametrize(("change", "error", "message"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"delta_concat: .*{message}"):
        delta_concat(**{**accepted(), **change})
