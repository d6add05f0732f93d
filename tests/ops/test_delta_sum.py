"""delta_sum: C++ gives what the definition gives, which is the change of a real sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Rows, delta_sum
from nucleoscope.ops._rows import flat_widths
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    before,
    changed,
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

GEOMETRIES = [  # taps, stride, pad, positions of the output: few, so that many rows lie beyond
    (1, 1, 0, 12),
    (1, 1, 3, 12),  # padding
    (1, 2, -3, 12),  # a slice
    (4, 4, 0, 12),  # average pools
    (5, 2, 2, 12),
    (3, 5, 1, 12),  # inputs that no cell reads
    (2, 1, -4, 12),
    (25, 1, 0, 1),  # a whole length
]
SHAPES = [  # widths of the pieces of each term, and of those asked; S sites, E edits, C channels
    (((1,),), (1,), 1, 1, 1),
    (((7,),), (19,), 5, 3, 33),
    (((4, 3), (3, 5)), (2, 6), 4, 2, 17),
    (((2, 0, 5), (1,)), (1, 0, 3), 3, 5, 100),
    (((19,), (4,)), (3,), 2, 4, 16),
    (((0,),), (5,), 4, 3, 8),
    (((6,), (0,)), (5,), 4, 3, 8),
    (((6,), (2, 2)), (0,), 4, 3, 8),
    (((6,), (2, 2)), (5,), 0, 3, 8),
    (((6,), (2, 2)), (5,), 4, 0, 8),
    (((6,), (2, 2)), (5,), 4, 3, 0),
]
FACTORS = (0.3, -1.7)


def example(
    geometry: tuple[int, ...], shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu", *,
    scaled: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Random arguments: all rows are around a position that is asked, one that it reads."""
    taps, stride, pad, length = geometry
    given, widths, sites, edits, channels = shape
    like = torch.empty(0, dtype=dtype, device=device)
    asked = torch.randint(0, length, (sites,), device=device)
    read = asked * stride - pad + torch.randint(0, taps, (sites,), device=device)
    terms = []
    for each, factor in zip(given, FACTORS, strict=False):
        rows = random_rows(before(read, each), each)
        terms.append((random_delta(rows, edits, channels, like), rows, factor))
    return {
        "terms": terms, "rows_out": random_rows(before(asked, widths), widths), "taps": taps,
        "stride": stride, "pad": pad, "length": length,
        "scale": like.new_empty(channels).normal_() if scaled else None,
    }  # fmt: skip


def altered(case: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The case with every floating-point tensor changed, those of the terms too."""
    terms = [converted(term, change) for term in case["terms"]]
    return {**changed(case, change), "terms": terms}


def assert_close(got: Tensor, case: dict[str, Any]) -> None:
    """As close to the definition in float64 as a sum of this many numbers can be."""
    dtype = case["terms"][0][0].dtype
    expected = naive.delta_sum(**altered(case, Tensor.double))
    positive = altered(case, lambda tensor: tensor.double().abs())
    positive["terms"] = [(values, rows, abs(factor)) for values, rows, factor in positive["terms"]]
    roundings = len(case["terms"]) * case["taps"] + 3  # a sum's, and three factors'
    allowed = roundings * torch.finfo(dtype).eps * naive.delta_sum(**positive)
    assert (got.dtype, got.shape) == (dtype, expected.shape)
    error = (got.double() - expected).abs()
    assert (error <= allowed).all(), (error - allowed).max()


LAYERS: dict[str, tuple[tuple[int, ...], tuple[float, ...], Callable[..., Tensor]]] = {
    # taps, stride, pad, length of the output for 12 inputs; factors; the layer itself
    "average pool": ((4, 3, 1, 4), (0.25,), lambda x: F.avg_pool1d(x, 4, 3, 1)),
    "slice": ((1, 2, -3, 4), (1.0,), lambda x: x[..., 3:10:2]),
    "padding": ((1, 1, 2, 19), (1.0,), lambda x: F.pad(x, (2, 5))),
    "cropping": ((1, 1, -2, 7), (1.0,), lambda x: F.pad(x, (-2, -3))),
    "sum over the length": ((12, 1, 0, 1), (1.0,), lambda x: x.sum(-1, keepdim=True)),
    "mean over the length": ((12, 1, 0, 1), (1 / 12,), lambda x: x.mean(-1, keepdim=True)),
    "sum of two": ((1, 1, 0, 12), (1.0, -0.5), lambda x, y: x - y / 2),
    "sum of two pools": ((2, 2, 0, 6), (2.0, 1.0), lambda x, y: F.avg_pool1d(4 * x + 2 * y, 2)),
}  # fmt: skip


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_naive_is_the_change_of_a_layer(name: str, scaled: bool) -> None:
    geometry, factors, layer = LAYERS[name]
    pieces = ((4, 3), (3, 5))[: len(factors)]
    case = example(geometry, (pieces, (5, 9), 4, 2, 3), torch.float64, scaled=scaled)
    originals, edited = [], []
    for index, ((given, rows, _), factor) in enumerate(zip(case["terms"], factors, strict=True)):
        given *= read_off(torch.ones(4, 1, 1, 12), rows)  # a delta beyond would change nothing
        case["terms"][index] = (given, rows, factor)
        originals.append(torch.randn(4, 2, 3, 12, dtype=torch.float64))
        edited.append(originals[-1] + laid(given, rows, 12))
    flat = ([x.flatten(0, 1) for x in each] for each in (edited, originals))
    after, unedited = (layer(*each).unflatten(0, (4, 2)) for each in flat)
    change = (after - unedited) * (case["scale"][:, None] if scaled else 1.0)
    expected = read_off(change, case["rows_out"])
    assert expected.any()  # or else nothing is tested
    torch.testing.assert_close(naive.delta_sum(**case), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for geometry in GEOMETRIES:
        for scaled in (False, True):
            case = example(geometry, shape, dtype, device, scaled=scaled)
            assert_close(delta_sum(**case), case)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    shared = (((7,), (2,)), (8,), 31, 3, 200)  # large enough to be split between threads
    for shape in [*SHAPES[:5], shared]:
        case = example(GEOMETRIES[4], shape, dtype)
        with instruction_set(isa), poisoned_malloc():
            got = delta_sum(**case)
        assert_close(got, case)


widths = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.tuples(*(st.integers(1, most) for most in (9, 7)), st.integers(-9, 9), st.integers(1, 12)),
    st.tuples(
        st.tuples(widths) | st.tuples(widths, widths), widths,
        *(st.integers(1, most) for most in (5, 5, 40)),
    ),
    st.booleans(),
    st.integers(0, 2**16),
)  # fmt: skip
def test_any_geometry(geometry: tuple[int, ...], shape: Any, scaled: bool, seed: int) -> None:
    torch.manual_seed(seed)
    case = example(geometry, shape, scaled=scaled)
    assert_close(delta_sum(**case), case)


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_rows_beyond_both_ends_are_zero_whatever_is_given(shape: Any) -> None:
    taps, stride, pad, length = GEOMETRIES[4]
    case = example(GEOMETRIES[4], shape)
    sites = shape[2]
    case["rows_out"] = Rows(torch.tensor([[-3] * sites, [length] * sites]), (3, 2))
    read = (-2 * stride - pad + 1, length * stride - pad + taps - 1)  # by cells of these rows
    for (values, rows, _), place in zip(case["terms"], read, strict=False):
        values.fill_(torch.nan)
        rows.starts.fill_(place)
    assert_equal(delta_sum(**case), torch.zeros(5, *shape[2:]))


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_nan_reaches_who_reads_it_and_nobody_else(shape: Any) -> None:
    case = example(GEOMETRIES[4], shape)
    case["terms"][-1][0][1:3, :, 1, 3] = torch.nan
    expected, got = naive.delta_sum(**case), delta_sum(**case)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())


def test_one_tap_alone_is_moved_to_the_bit() -> None:
    for geometry in GEOMETRIES[:3]:
        case = example(geometry, SHAPES[1], scaled=False)
        case["terms"] = [(*case["terms"][0][:2], 1.0)]
        assert_equal(delta_sum(**case), naive.delta_sum(**case))


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_strided_arguments(shape: Any) -> None:
    case = example(GEOMETRIES[4], shape)
    apart = altered(case, strided)
    apart["terms"] = [
        (values, Rows(rows.starts.T.contiguous().T, rows.widths), factor)
        for values, rows, factor in apart["terms"]
    ]
    apart["rows_out"] = Rows(strided(case["rows_out"].starts), case["rows_out"].widths)
    for tensor in (apart["terms"][0][0], apart["scale"], apart["rows_out"].starts):
        assert not tensor.is_contiguous()
    assert_equal(delta_sum(**apart), delta_sum(**case))
    assert_close(delta_sum(**apart), case)


def schema(case: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments as torch.ops takes them."""
    values, rows, factors = zip(*case["terms"], strict=True)
    return (
        list(values), [each.starts for each in rows], flat_widths(rows),
        list(factors), *case["rows_out"], case["scale"],
        [case[name] for name in ("taps", "stride", "pad", "length")],
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, shape: Any, device: torch.device) -> None:
    case = example(GEOMETRIES[4], shape, dtype, device, scaled=dense)
    if not dense:
        case = altered(case, lambda tensor: tensor.mT.contiguous().mT)
    torch.library.opcheck(torch.ops.nucleoscope.delta_sum.default, schema(case))


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_meta_gives_the_shape_alone(shape: Any) -> None:
    _, widths, *rest = shape
    case = example(GEOMETRIES[4], shape, torch.float64)
    out = delta_sum(**altered(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype) == ("meta", torch.float64)
    assert out.shape == (sum(widths), *rest)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS = zeros(1, 4, dtype=torch.int64)
GIVEN, ROWS = zeros(7, 4, 3, 5), Rows(STARTS, (7,))
FIRST, SECOND = (GIVEN, ROWS, 1.0), (zeros(2, 4, 3, 5), Rows(STARTS, (2,)), 1.0)
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"terms": [FIRST] * 3}, ValueError, "3 terms; give one or two"),
    ({"terms": [(GIVEN.half(), ROWS, 1.0)]}, TypeError, "given has dtype torch.float16"),
    ({"terms": [(GIVEN[0], ROWS, 1.0)]}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
    ({"terms": [(GIVEN, Rows(STARTS.int(), (7,)), 1.0)]}, TypeError, "rows_in.starts has dtype"),
    ({"terms": [(GIVEN, Rows(STARTS[0], (7,)), 1.0)]}, ValueError, "rows_in.starts has 1 axes"),
    ({"terms": [(GIVEN, Rows(STARTS[:, 1:], (7,)), 1.0)]}, ValueError, "but S is 4 in given"),
    ({"terms": [(GIVEN, Rows(STARTS, (-7,)), 1.0)]}, ValueError, r"rows_in has widths \[-7\]"),
    ({"terms": [(GIVEN, Rows(STARTS, (7, 3)), 1.0)]}, ValueError, r"rows_in.* widths \[7, 3\]"),
    ({"terms": [(GIVEN, Rows(STARTS, ()), 1.0)]}, ValueError, r"rows_in has widths \[\] for 1"),
    ({"terms": [(GIVEN, Rows(STARTS, (6,)), 1.0)]}, ValueError, "rows_in keeps 6 rows a site"),
    ({"terms": [FIRST, (GIVEN.double(), ROWS, 1.0)]}, TypeError, "beside has dtype torch.float64"),
    ({"terms": [FIRST, (GIVEN[0], ROWS, 1.0)]}, ValueError, "beside has 3 axes"),
    ({"terms": [FIRST, (GIVEN[:, 1:], ROWS, 1.0)]}, ValueError, "beside.* but S is 4 in given"),
    ({"terms": [FIRST, (GIVEN[:, :, 1:], ROWS, 1.0)]}, ValueError, "beside.* E is 3 in given"),
    ({"terms": [FIRST, (GIVEN[..., 1:], ROWS, 1.0)]}, ValueError, "beside.* C is 5 in given"),
    ({"terms": [FIRST, (GIVEN, Rows(STARTS, (6,)), 1.0)]}, ValueError, "beside keeps 6 rows a"),
    ({"terms": [FIRST, (GIVEN, Rows(STARTS, ()), 1.0)]}, ValueError, r"beside has widths \[\]"),
    ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype torch.int32"),
    ({"rows_out": Rows(STARTS[:, 1:], (2,))}, ValueError, "rows_out.* but S is 4 in given"),
    ({"rows_out": Rows(STARTS, (2, 2))}, ValueError, r"rows_out has widths \[2, 2\] for 1"),
    ({"scale": zeros(5).double()}, TypeError, "scale has dtype torch.float64"),
    ({"scale": zeros(4)}, ValueError, r"scale \[C\] has shape \[4\], but C is 5 in given"),
    ({"taps": 0}, ValueError, "taps=0 and stride=1 must be at least 1"),
    ({"stride": -1}, ValueError, "taps=2 and stride=-1 must be at least 1"),
]


def accepted() -> dict[str, Any]:
    scale, out = zeros(5), Rows(STARTS, (3,))
    return {"terms": [FIRST, SECOND], "rows_out": out, "taps": 2, "length": 9, "scale": scale}


def test_what_the_refusals_change_is_accepted() -> None:
    assert delta_sum(**accepted()).shape == (3, 4, 3, 5)


@pytest.mark.parametrize(("change", "error", "message"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"delta_sum: .*{message}"):
        delta_sum(**{**accepted(), "terms": [FIRST], **change})
