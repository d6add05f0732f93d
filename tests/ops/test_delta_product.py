"""delta_product: C++ gives what the definition gives, which is the change of a real product."""

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
from nucleoscope.ops import Original, Rows, delta_product
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    before,
    converted,
    instruction_set,
    laid,
    poisoned_malloc,
    random_delta,
    random_original,
    random_rows,
    read_off,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")

LENGTH = 12  # small: many rows lie beyond the ends
SHAPES = [  # pieces of each factor's rows (None: no edit reaches it), of those asked; S, E, C
    ((1,), (1,), (1,), 1, 1, 1),
    ((7,), (4,), (9,), 5, 3, 33),
    ((4, 3), (3, 5), (2, 6), 4, 2, 17),
    ((2, 0, 5), (1,), (1, 0, 3), 3, 5, 100),
    ((6,), None, (8,), 4, 3, 16),
    (None, (6,), (8,), 4, 1, 7),
    ((0,), (5,), (4,), 4, 3, 8),
    ((6,), (2, 2), (0,), 4, 3, 8),
    ((6,), (5,), (5,), 0, 3, 8),
    ((6,), (5,), (5,), 4, 0, 8),
    ((6,), (5,), (5,), 4, 3, 0),
]


def example(
    shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu"
) -> dict[str, Any]:  # fmt: skip
    """Random arguments: all rows are around a position that is asked."""
    *given, widths, sites, edits, channels = shape
    like = torch.empty(0, dtype=dtype, device=device)
    asked = torch.randint(0, LENGTH, (sites,), device=device)
    factors = []
    for index, each in enumerate(given):
        rows = None if each is None else random_rows(before(asked, each), each)
        values = None if rows is None else random_delta(rows, edits, channels, like)
        original = random_original(sites, 9 - index, channels, like, first=index + 1)
        factors.append((values, rows, original))
    return {
        "factors": factors,
        "rows_out": random_rows(before(asked, widths), widths),
        "length": LENGTH,
    }


def altered(case: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The case with every floating-point tensor changed."""
    return {**case, "factors": [converted(factor, change) for factor in case["factors"]]}


def assert_close(got: Tensor, case: dict[str, Any]) -> None:
    """As close to the definition in float64 as four roundings are."""
    dtype = next(values for values, _, _ in case["factors"] if values is not None).dtype
    expected = naive.delta_product(**altered(case, Tensor.double))
    sizes = naive.delta_product(**altered(case, lambda tensor: tensor.double().abs()))
    assert (got.dtype, got.shape) == (dtype, expected.shape)
    error, allowed = (got.double() - expected).abs(), 4 * torch.finfo(dtype).eps * sizes
    assert (error <= allowed).all(), (error - allowed).max()


@pytest.mark.parametrize("shape", [*SHAPES[1:3], *SHAPES[4:6]], ids=str)
def test_naive_is_the_change_of_a_product(shape: Any) -> None:
    case = example(shape, torch.float64)
    sites, _, channels = shape[3:]
    sequence = torch.arange(sites, dtype=torch.int32)
    originals, edited = [], []
    for index, (values, rows, _) in enumerate(case["factors"]):
        z = torch.randn(sites, 1, channels, LENGTH, dtype=torch.float64)
        originals.append(z)
        edited.append(z if values is None else z + laid(values, rows, LENGTH))
        original = Original(z[:, 0].mT.contiguous(), sequence)
        case["factors"][index] = (values, rows, original)
    change = edited[0] * edited[1] - originals[0] * originals[1]
    expected = read_off(change, case["rows_out"])
    assert expected.any()  # or else nothing is tested
    torch.testing.assert_close(naive.delta_product(**case), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for _ in range(5):
        case = example(shape, dtype, device)
        assert_close(delta_product(**case), case)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    shared = ((7,), (2,), (8,), 31, 3, 200)  # large enough to be split between threads
    for shape in [*SHAPES[:6], shared]:
        case = example(shape, dtype)
        with instruction_set(isa), poisoned_malloc():
            got = delta_product(**case)
        assert_close(got, case)


widths = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.tuples(
        widths, st.none() | widths, widths, *(st.integers(1, most) for most in (5, 5, 40))
    ),
    st.booleans(),
    st.integers(0, 2**16),
)  # fmt: skip
def test_any_shape(shape: Any, turned: bool, seed: int) -> None:
    torch.manual_seed(seed)
    first, second, *rest = shape
    case = example((second, first, *rest) if turned else shape)
    assert_close(delta_product(**case), case)


def test_a_small_delta_keeps_its_digits() -> None:
    case = example(SHAPES[1])
    for index, (values, rows, z) in enumerate(case["factors"]):
        z.values.abs_().add_(1.0)
        case["factors"][index] = (values * 1e-20, rows, z)
    got = delta_product(**case)
    assert_close(got, case)
    assert 0 < got.abs().max() < 1e-18


def test_a_square() -> None:
    case = example(SHAPES[1], torch.float64)
    case["factors"][1] = case["factors"][0]
    assert_close(delta_product(**case), case)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = example(((5,), (5,), (3, 2), 4, 3, 6))
    case["rows_out"] = Rows(torch.tensor([[-3] * 4, [LENGTH] * 4]), (3, 2))
    for (values, rows, _), place in zip(case["factors"], (-3, LENGTH), strict=True):
        values.fill_(torch.nan)
        rows.starts.fill_(place)
    assert_equal(delta_product(**case), torch.zeros(5, 4, 3, 6))


@pytest.mark.parametrize("place", [0, 1])
def test_nan_reaches_who_reads_it_and_nobody_else(place: int) -> None:
    case = example(SHAPES[1])
    case["factors"][place][0][1:3, :, 1, 3] = torch.nan
    expected, got = naive.delta_product(**case), delta_product(**case)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[4], SHAPES[5]], ids=str)
def test_strided_arguments(shape: Any) -> None:
    case = example(shape)
    apart = altered(case, strided)
    apart["factors"] = [
        (v, rows and Rows(strided(rows.starts), rows.widths), z) for v, rows, z in apart["factors"]
    ]
    apart["rows_out"] = Rows(strided(case["rows_out"].starts), case["rows_out"].widths)
    assert_equal(delta_product(**apart), delta_product(**case))


def schema(case: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments as torch.ops takes them."""
    flat: list[Any] = []
    for values, rows, original in case["factors"]:
        flat += (values, *(rows or (None, ())), *original)
    return (*flat, *case["rows_out"], case["length"])


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[4], SHAPES[5]], ids=str)
@pytest.mark.parametrize("dense", [True, False])
def test_opcheck(dense: bool, shape: Any, device: torch.device) -> None:
    case = example(shape, device=device)
    case = case if dense else altered(case, strided)
    torch.library.opcheck(torch.ops.nucleoscope.delta_product.default, schema(case))


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[5]], ids=str)
def test_meta_gives_the_shape_alone(shape: Any) -> None:
    case = example(shape, torch.float64)
    out = delta_product(**altered(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype) == ("meta", torch.float64)
    assert out.shape == (sum(shape[2]), *shape[3:])


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS, SEQUENCE = zeros(1, 4, dtype=torch.int64), zeros(4, dtype=torch.int32)
A, B = zeros(7, 4, 3, 5), zeros(2, 4, 3, 5)
ON, BESIDE, Z = Rows(STARTS, (7,)), Rows(STARTS, (2,)), zeros(2, 9, 5)
FIRST, SECOND = (A, ON, Original(Z, SEQUENCE)), (B, BESIDE, Original(Z, SEQUENCE))
STEADY = (None, None, Original(Z, SEQUENCE))
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"factors": [FIRST] * 3}, ValueError, "3 factors; give two"),
    ({"factors": []}, ValueError, "0 factors; give two"),
    ({"factors": [STEADY, STEADY]}, ValueError, "neither factor has a delta"),
    ({"factors": [(A.half(), *FIRST[1:]), SECOND]}, TypeError, "given has dtype torch.float16"),
    ({"factors": [(A[0], *FIRST[1:]), SECOND]}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
    ({"factors": [(A, None, FIRST[2]), SECOND]}, ValueError, "given has deltas; say which rows"),
    ({"factors": [(A, BESIDE, FIRST[2]), SECOND]}, ValueError, "rows_in keeps 2 rows a site"),
    ({"factors": [FIRST, (B.double(), *SECOND[1:])]}, TypeError, "beside has dtype torch.float64"),
    ({"factors": [FIRST, (B[:, 1:], *SECOND[1:])]}, ValueError, "beside.* but S is 4 in given"),
    ({"factors": [FIRST, (B[:, :, 1:], *SECOND[1:])]}, ValueError, "beside.* E is 3 in given"),
    ({"factors": [FIRST, (B[..., 1:], *SECOND[1:])]}, ValueError, "beside.* C is 5 in given"),
    ({"factors": [FIRST, (B, ON, SECOND[2])]}, ValueError, "beside keeps 7 rows a site"),
    ({"factors": [FIRST, (B, None, SECOND[2])]}, ValueError, "beside has deltas; say which rows"),
    ({"factors": [(A, ON, Original(Z.double(), SEQUENCE)), SECOND]}, TypeError, "original.values"),
    ({"factors": [(A, ON, Original(Z[..., 1:], SEQUENCE)), SECOND]}, ValueError, "C is 5 in given"),
    ({"factors": [(A, ON, Original(Z, SEQUENCE.long())), SECOND]}, TypeError, "original.sequence"),
    ({"factors": [(A, ON, Original(Z, SEQUENCE + 2)), SECOND]}, ValueError, r"sequence\[0\] is 2"),
    ({"factors": [FIRST, (B, BESIDE, Original(Z[0], SEQUENCE))]}, ValueError, "other.values has 2"),
    ({"factors": [FIRST, (B, BESIDE, Original(Z[:, :0], SEQUENCE))]}, ValueError, "no position"),
    ({"factors": [FIRST, (*STEADY[:2], Original(Z, SEQUENCE - 1))]}, ValueError, r"other.seq.* -1"),
    ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype torch.int32"),
    ({"rows_out": Rows(STARTS[:, 1:], (2,))}, ValueError, "rows_out.* but S is 4 in given"),
    ({"rows_out": Rows(STARTS, (2, 2))}, ValueError, r"rows_out has widths \[2, 2\] for 1"),
]  # fmt: skip


def accepted() -> dict[str, Any]:
    return {"factors": [FIRST, SECOND], "rows_out": Rows(STARTS, (3,)), "length": 9}


def test_what_the_refusals_change_is_accepted() -> None:
    assert delta_product(**accepted()).shape == (3, 4, 3, 5)


@pytest.mark.parametrize(("change", "error", "message"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"delta_product: .*{message}"):
        delta_product(**{**accepted(), **change})
