"""delta_max_pool: C++ gives what the definition gives, which is the change of a real max-pool."""

from __future__ import annotations

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
from nucleoscope.ops import Original, Rows, delta_max_pool
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    before,
    changed,
    instruction_set,
    laid,
    random_delta,
    random_original,
    random_rows,
    read_off,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")

LENGTH = 12  # cells
GEOMETRIES = [  # taps, stride, dilation, pad
    (1, 1, 1, 0),
    (3, 3, 1, 0),  # Basset's first
    (4, 4, 1, 0),
    (2, 5, 1, 1),  # inputs that no cell reads
    (5, 2, 1, 2),
    (3, 1, 3, 1),
    (8, 1, 1, 4),
]
SHAPES = [  # widths of the pieces given, and of those asked; S sites, E edits, C channels
    ((1,), (1,), 1, 1, 1),
    ((19,), (7,), 5, 3, 33),
    ((4, 3), (3, 5), 4, 2, 17),
    ((2, 0, 5), (1, 2, 3), 3, 5, 100),
    ((3,), (14,), 2, 4, 16),
    ((0,), (5,), 4, 3, 8),
    ((6,), (0,), 4, 3, 8),
    ((6,), (5,), 0, 3, 8),
    ((6,), (5,), 4, 0, 8),
    ((6,), (5,), 4, 3, 0),
]


def example(
    geometry: tuple[int, ...], shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu",
    relu: bool = False,
) -> dict[str, Any]:  # fmt: skip
    taps, stride, dilation, pad = geometry
    widths_in, widths_out, sites, edits, channels = shape
    length_in = (LENGTH - 1) * stride + (taps - 1) * dilation + 1 - 2 * pad
    like = torch.empty(0, dtype=dtype, device=device)
    asked = torch.randint(0, LENGTH, (sites,), device=device)
    tap = torch.randint(0, taps, (sites,), device=device)
    read = asked * stride - pad + tap * dilation
    rows_in = random_rows(before(read, widths_in), widths_in)
    original = random_original(sites, length_in, channels, like)
    original.values[:, 3:9, ::3] = -torch.inf  # masked inputs
    return {
        "given": random_delta(rows_in, edits, channels, like), "rows_in": rows_in,
        "rows_out": random_rows(before(asked, widths_out), widths_out), "original": original,
        "pooled": original._replace(values=pool(before_pool(original.values, relu).mT, geometry).mT),
        "taps": taps, "stride": stride, "dilation": dilation, "pad": pad,
        "length_in": length_in, "length": LENGTH, "relu": relu,
    }  # fmt: skip


def before_pool(x: Tensor, relu: bool) -> Tensor:
    return x.relu() if relu else x


def pool(x: Tensor, geometry: tuple[int, ...]) -> Tensor:
    taps, stride, dilation, pad = geometry
    if x.numel() == 0:
        return x[..., :LENGTH]
    return F.max_pool1d(x, taps, stride, pad, dilation)


@pytest.mark.parametrize("shape", SHAPES[:5], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("relu", [False, True])
def test_naive_is_the_change_of_max_pool(relu: bool, geometry: Any, shape: Any) -> None:
    case = example(geometry, shape, torch.float64, relu=relu)
    values = case["original"].values.nan_to_num_(neginf=-3.0)
    pooled = pool(before_pool(values, relu).mT, geometry).mT
    case["pooled"] = case["pooled"]._replace(values=pooled)
    original = values.mT[case["original"].sequence.long()][:, None]
    edited = original + laid(case["given"], case["rows_in"], case["length_in"])
    change = pool(before_pool(edited, relu).flatten(0, 1), geometry).unflatten(0, edited.shape[:2])
    change = change - pool(before_pool(original[:, 0], relu), geometry)[:, None]
    got = naive.delta_max_pool(**case)
    torch.testing.assert_close(got, read_off(change, case["rows_out"]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for count, geometry in enumerate(GEOMETRIES):
        case = example(geometry, shape, dtype, device, relu=count % 2 == 0)
        got = delta_max_pool(**case)
        assert not got.isnan().any()
        assert_equal(got, naive.delta_max_pool(**case))


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    # the last is large enough to be shared between threads
    for count, shape in enumerate([*SHAPES[:5], ((19,), (9,), 31, 3, 300)]):
        case = example(GEOMETRIES[4], shape, dtype, relu=count % 2 == 1)
        with instruction_set(isa):
            got = delta_max_pool(**case)
        assert_equal(got, naive.delta_max_pool(**case))


widths = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.tuples(*(st.integers(1, most) for most in (9, 7, 4)), st.integers(0, 4)),
    st.tuples(widths, widths, *(st.integers(1, most) for most in (5, 5, 40))),
    st.integers(0, 2**16), st.booleans(),
)  # fmt: skip
def test_any_geometry(geometry: tuple[int, ...], shape: Any, seed: int, relu: bool) -> None:
    torch.manual_seed(seed)
    taps, stride, dilation, pad = geometry
    case = example((taps, stride, dilation, min(pad, taps // 2)), shape, relu=relu)
    assert_equal(delta_max_pool(**case), naive.delta_max_pool(**case))


def test_originals_kept_in_part() -> None:
    case = example(GEOMETRIES[4], SHAPES[2])
    for name, first in (("original", 5), ("pooled", 2)):
        kept = case[name].values[:, first : first + 7].contiguous()
        case[name] = case[name]._replace(values=kept, first=first)
    assert_equal(delta_max_pool(**case), naive.delta_max_pool(**case))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["given", "original", "pooled"])
@pytest.mark.parametrize("relu", [False, True])
def test_what_is_not_finite(place: str, value: float, relu: bool) -> None:
    case = example(GEOMETRIES[4], ((9,), (9,), 4, 3, 5), relu=relu)
    tensor: Tensor = case["given"] if place == "given" else case[place].values
    tensor[::2, 1:, ..., 1::2] = value
    expected = naive.delta_max_pool(**case)
    if value != value:
        assert 0 < expected.isnan().sum() < expected.numel()
    assert_equal(delta_max_pool(**case), expected)


def test_a_cell_of_padding_alone_is_written_too() -> None:
    # torch allows it: the only cell of these sizes reads -1 and 4, of inputs 0 to 3
    sizes = {"taps": 2, "stride": 1, "dilation": 5, "pad": 1}
    x = torch.zeros(1, 3, 4)
    m = pool(x, tuple(sizes.values()))
    assert m.isneginf().all()
    none, rows = torch.zeros(1, dtype=torch.int32), Rows(torch.tensor([[0]]), (1,))
    case: dict[str, Any] = {"given": torch.zeros(1, 1, 2, 3), "rows_in": rows, "rows_out": rows}
    case |= {"original": Original(x.mT.contiguous(), none), "pooled": Original(m.mT, none)}
    case |= {**sizes, "length_in": 4, "length": 1}
    assert_equal(delta_max_pool(**case), naive.delta_max_pool(**case))


def test_strided_arguments() -> None:
    case = example(GEOMETRIES[4], SHAPES[2])
    apart = changed(case, strided)
    for name in ("rows_in", "rows_out"):
        apart[name] = Rows(case[name].starts.T.contiguous().T, case[name].widths)
    for name in ("original", "pooled"):
        apart[name] = apart[name]._replace(sequence=strided(case[name].sequence))
    assert_equal(delta_max_pool(**apart), naive.delta_max_pool(**case))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, device: torch.device) -> None:
    case = example(GEOMETRIES[4], SHAPES[2], dtype, device)
    given = case["given"] if dense else case["given"].mT.contiguous().mT
    tensors = (*case["rows_in"], *case["rows_out"], *case["original"], *case["pooled"])
    args = (given, *tensors, [*GEOMETRIES[4], case["length_in"], LENGTH, True])
    torch.library.opcheck(torch.ops.nucleoscope.delta_max_pool.default, args)


def test_meta_gives_the_shape_alone() -> None:
    case = example(GEOMETRIES[4], SHAPES[2], torch.float64)
    out = delta_max_pool(**changed(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype, out.shape) == ("meta", torch.float64, (8, 4, 2, 17))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS, SEQUENCE = zeros(1, 4, dtype=torch.int64), zeros(4, dtype=torch.int32)
VALUES = zeros(2, 9, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"given": zeros(7, 4, 3, 5).half()}, TypeError, "given has dtype torch.float16"),
        ({"given": zeros(7, 4, 3)}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
        ({"rows_in": Rows(STARTS.int(), (7,))}, TypeError, "rows_in.starts has dtype torch.int32"),
        ({"rows_in": Rows(STARTS[:, 1:], (7,))}, ValueError, "but S is 4 in given"),
        ({"rows_in": Rows(STARTS, (4, 3))}, ValueError, r"rows_in has widths \[4, 3\] for 1 pie"),
        ({"rows_in": Rows(STARTS, (6,))}, ValueError, "keeps 6 rows a site, but its deltas have 7"),
        ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype"),
        ({"rows_out": Rows(STARTS[0], (2,))}, ValueError, r"rows_out.starts has 1 axes.*\[Q, S\]"),
        ({"rows_out": Rows(STARTS[:, 1:], (2,))}, ValueError, "but S is 4 in given"),
        ({"rows_out": Rows(STARTS, (-2,))}, ValueError, r"rows_out has widths \[-2\].*negative"),
        ({"original": Original(VALUES.double(), SEQUENCE)}, TypeError, "original.values has dtype"),
        ({"original": Original(VALUES[0], SEQUENCE)}, ValueError, "original.values has 2 axes"),
        ({"original": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 5 in given"),
        ({"original": Original(VALUES, SEQUENCE.long())}, TypeError, "original.sequence has dtype"),
        ({"original": Original(VALUES, SEQUENCE + 2)}, ValueError, r"original.sequence\[0\] is 2"),
        ({"pooled": Original(VALUES.double(), SEQUENCE)}, TypeError, "pooled.values has dtype"),
        ({"pooled": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 5 in given"),
        ({"pooled": Original(VALUES, SEQUENCE[1:])}, ValueError, "but S is 4 in given"),
        ({"pooled": Original(VALUES, SEQUENCE + 2)}, ValueError, r"pooled.sequence\[0\] is 2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    case: dict[str, Any] = {"given": zeros(7, 4, 3, 5), "rows_in": Rows(STARTS, (7,))}
    case |= {"rows_out": Rows(STARTS, (2,)), "original": Original(VALUES, SEQUENCE)}
    case |= {"pooled": Original(VALUES, SEQUENCE), **change}
    with pytest.raises(error, match=f"delta_max_pool: .*{message}"):
        delta_max_pool(**case, taps=3, stride=3, length_in=9, length=3)
