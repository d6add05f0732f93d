"""delta_pointwise: C++ gives what the definition gives, which is the change of the function."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Original, Rows, delta_pointwise
from tests.functions import FUNCTIONS, Function
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

SHAPES = [  # widths of the pieces, S sites, E edits, C channels
    ((1,), 1, 1, 1),
    ((7,), 5, 3, 33),
    ((3, 4), 4, 2, 17),
    ((2, 0, 5), 3, 5, 100),
    ((30,), 2, 4, 16),
    ((0,), 4, 3, 8),
    ((4,), 0, 3, 8),
    ((4,), 4, 0, 8),
    ((4,), 4, 3, 0),
]
LENGTH = 12  # small: many rows lie beyond its ends


def example(
    shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu", first: int = 0,
    name: str = "relu",
) -> dict[str, Any]:  # fmt: skip
    widths, sites, edits, channels = shape
    like = torch.empty(0, dtype=dtype, device=device)
    somewhere = torch.randint(0, LENGTH, (sites,), device=device)
    rows = random_rows(before(somewhere, widths), widths)
    return {
        "given": random_delta(rows, edits, channels, like),
        "rows": rows,
        "original": random_original(sites, LENGTH - first, channels, like, first),
        "length": LENGTH,
        **FUNCTIONS[name].named,
    }


def within_domain(case: dict[str, Any], function: Function) -> dict[str, Any]:
    """The case with z and z + d positive where the function wants that."""
    if not function.positive:
        return case
    values = case["original"].values
    original = case["original"]._replace(values=values.abs() + 0.5)
    return {**case, "original": original, "given": case["given"].clamp(min=-0.4)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_naive_is_the_change_of_the_function(name: str) -> None:
    function = FUNCTIONS[name]
    case = within_domain(example(((5, 4), 4, 3, 6), torch.float64, name=name), function)
    given, rows, (values, sequence, _) = (case[n] for n in ("given", "rows", "original"))
    z = values.mT[sequence.long()][:, None]
    change = function.plain(z + laid(given, rows, LENGTH)) - function.plain(z)
    torch.testing.assert_close(
        naive.delta_pointwise(**case), read_off(change, rows), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for first in (0, 3):  # positions before the first original that is kept are clamped
        case = example(shape, dtype, device, first)
        assert_equal(delta_pointwise(**case), naive.delta_pointwise(**case))


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    # the last is large enough to be shared between threads
    for shape in [*SHAPES[:5], ((8, 3), 31, 3, 300)]:
        case = example(shape, dtype)
        with instruction_set(isa):
            got = delta_pointwise(**case)
        assert_equal(got, naive.delta_pointwise(**case))


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    *(st.integers(1, most) for most in (5, 5, 40)),
    st.integers(0, 2**16),
)
def test_any_shape(widths: list[int], sites: int, edits: int, channels: int, seed: int) -> None:
    torch.manual_seed(seed)
    case = example((tuple(widths), sites, edits, channels))
    assert_equal(delta_pointwise(**case), naive.delta_pointwise(**case))


def changes(name: str, z: Tensor, d: Tensor) -> Tensor:
    """The op on numbers, z and d alike in shape."""
    original = Original(z.reshape(1, 1, -1), torch.zeros(1, dtype=torch.int32))
    rows = Rows(torch.tensor([[0]]), (1,))
    got = delta_pointwise(d.reshape(1, 1, 1, -1), rows, original, 1, **FUNCTIONS[name].named)
    return got.view(d.shape)


def everywhere(function: Function, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """z over many magnitudes, each with d from 1e-30 to 1e4 of both signs."""
    z = torch.cat([torch.logspace(-6, 3, 90), torch.linspace(0.01, 30.0, 211)]).to(dtype)
    d = torch.logspace(-30, 4, 103).to(dtype)
    z, d = z if function.positive else torch.cat([z, -z]), torch.cat([d, -d])
    z, d = torch.broadcast_tensors(z, d[:, None])
    if function.positive:
        d = torch.where(z + d > 1e-3 * z, d, 0.0)
    return z.contiguous(), d.contiguous()


def permitted(function: Function, z: Tensor, d: Tensor) -> Tensor:
    """How far the change goes with a unit of 1 in z and d: |z df/dz| + |d df/dd|."""

    def change(z: Tensor, d: Tensor) -> Tensor:
        return naive.change_of(function.name, z, d, *function.parameters)

    more, plain = 1.0 + 1e-4, change(z, d)
    return ((change(z * more, d) - plain).abs() + (change(z, d * more) - plain).abs()) * 1e4


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_function_keeps_its_digits(isa: str, name: str) -> None:
    function = FUNCTIONS[name]
    for dtype, digits in ((torch.float32, 1e-6), (torch.float64, 1e-11)):
        z, d = everywhere(function, dtype)
        wide, step = z.double(), d.double()
        want = naive.change_of(function.name, wide, step, *function.parameters)
        with instruction_set(isa):
            got = changes(name, z, d)
        unit, least = torch.finfo(dtype).eps, 4 * torch.finfo(dtype).tiny
        allowed = digits * want.abs() + 4 * unit * permitted(function, wide, step) + least
        # beyond a jump or a threshold, rounding of z + d decides
        error = (got.double() - want).abs() / allowed
        for kink in function.kinks if name.startswith(("threshold", "softplus")) else ():
            error[(wide + step - kink).abs() < 4 * unit * (wide.abs() + step.abs())] = 0.0
        if name == "exp":  # which may be too large for float32
            error[torch.maximum(wide, wide + step) > 88.0] = 0.0
        at = int(error.nan_to_num(nan=torch.inf).argmax())
        assert error.flatten()[at] <= 1.0, (
            f"{dtype}: {got.flatten()[at]:.9g}, not {want.flatten()[at]:.9g}, at "
            f"z={z.flatten()[at]:.9g}, d={d.flatten()[at]:.3g}"
        )


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_no_change_is_exactly_none(isa: str, name: str) -> None:
    for dtype in DTYPES:
        z = torch.tensor([0.0, 1e-42, 1e-30, 1e-3, 0.5, 1.0, 7.0, 88.0, 200.0, 1e4, 1e10, 1e18])
        z = z if FUNCTIONS[name].positive else torch.cat([z, -z])
        z = z[z.abs() > 1e-20] if name in ("log", "reciprocal") else z
        z = z[z < 88.5] if name == "exp" else z
        with instruction_set(isa):
            assert (changes(name, z.to(dtype), torch.zeros_like(z, dtype=dtype)) == 0).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_shape_of_any_function(name: str, dtype: torch.dtype, threads: Any) -> None:
    function = FUNCTIONS[name]
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    for count, shape in enumerate([*SHAPES, ((8, 3), 31, 3, 300)]):
        threads(1 + count % 2)
        case = within_domain(example(shape, dtype, name=name), function)
        want = naive.delta_pointwise(**changed(case, Tensor.double))
        got = delta_pointwise(**case).double()
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def test_a_small_delta_beside_a_large_original_is_not_lost() -> None:
    got = changes("relu", torch.tensor([1e8, -1e8, 0.0]), torch.tensor([1e-8, 1e-8, -1e-8]))
    assert got.tolist() == [torch.tensor(1e-8).item(), 0.0, 0.0]


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    for name in FUNCTIONS:
        case = example(((3, 2), 4, 3, 5), name=name)
        case["rows"] = Rows(torch.tensor([[-3] * 4, [LENGTH] * 4]), (3, 2))
        case["given"].fill_(torch.nan)
        assert_equal(delta_pointwise(**case), torch.zeros(5, 4, 3, 5))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["given", "original"])
def test_what_is_not_finite(place: str, value: float) -> None:
    case = example(((7,), 4, 3, 5), first=0)
    tensor: Tensor = case["original"].values if place == "original" else case["given"]
    tensor[::2, 1::2] = value
    expected = naive.delta_pointwise(**case)
    if value != value:
        assert 0 < expected.isnan().sum() < expected.numel()
    assert_equal(delta_pointwise(**case), expected)


@pytest.mark.parametrize("place", ["given", "original"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_and_spreads_to_nothing_else(name: str, place: str) -> None:
    for dtype in DTYPES:
        case = within_domain(example(((7,), 4, 3, 21), dtype, name=name), FUNCTIONS[name])
        case["rows"] = Rows(torch.tensor([[0, 1, 2, 3]]), (7,))
        tensor: Tensor = case["original"].values if place == "original" else case["given"]
        tensor[::2, 1::2, ..., ::3] = torch.nan
        poisoned = torch.isnan(naive.delta_pointwise(**{**case, **FUNCTIONS["relu"].named}))
        assert 0 < poisoned.sum() < poisoned.numel()
        assert torch.equal(delta_pointwise(**case).isnan(), poisoned)
        assert torch.equal(naive.delta_pointwise(**case).isnan(), poisoned)


def test_strided_arguments() -> None:
    case = example(((7, 2), 4, 3, 5))
    apart = changed(case, strided)
    apart["rows"] = Rows(case["rows"].starts.T.contiguous().T, case["rows"].widths)
    apart["original"] = apart["original"]._replace(sequence=strided(case["original"].sequence))
    assert not apart["given"].is_contiguous()
    assert_equal(delta_pointwise(**apart), naive.delta_pointwise(**case))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, device: torch.device) -> None:
    case = example(((7, 2), 4, 3, 5), dtype, device)
    given = case["given"] if dense else case["given"].mT.contiguous().mT
    args = (given, *case["rows"], *case["original"], LENGTH, "elu", (1.0, 2.0, 0.5))
    torch.library.opcheck(torch.ops.nucleoscope.delta_pointwise.default, args)


def test_meta_gives_the_shape_alone() -> None:
    case = example(((7, 2), 4, 3, 5), torch.float64)
    out = delta_pointwise(**changed(case, lambda tensor: tensor.to("meta")))
    assert out.device.type == "meta"
    assert out.dtype == torch.float64
    assert out.shape == (9, 4, 3, 5)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


LONG, INT = torch.int64, torch.int32
STARTS, SEQUENCE = zeros(1, 4, dtype=LONG), zeros(4, dtype=INT)
VALUES = zeros(2, LENGTH, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"given": zeros(7, 4, 3, 5).half()}, TypeError, "given has dtype torch.float16"),
        ({"given": zeros(7, 4, 3)}, ValueError, r"given has 3 axes.*: \[W, S, E, C\]"),
        ({"rows": Rows(STARTS.int(), (7,))}, TypeError, "rows.starts has dtype torch.int32"),
        ({"rows": Rows(STARTS[0], (7,))}, ValueError, r"rows.starts has 1 axes.*\[P, S\]"),
        ({"rows": Rows(STARTS[:, :3], (7,))}, ValueError, r"shape \[1, 3\], but S is 4 in given"),
        ({"rows": Rows(STARTS, (4, 3))}, ValueError, r"widths \[4, 3\] for 1 pieces: give one for"),
        ({"rows": Rows(STARTS, (-7,))}, ValueError, r"widths \[-7\] for 1 pieces.*none negative"),
        ({"rows": Rows(STARTS, (6,))}, ValueError, "keeps 6 rows a site, but its deltas have 7"),
        ({"original": Original(VALUES.double(), SEQUENCE)}, TypeError, "original.values has dtype"),
        ({"original": Original(VALUES[0], SEQUENCE)}, ValueError, "original.values has 2 axes"),
        ({"original": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 5 in given"),
        ({"original": Original(VALUES, SEQUENCE.long())}, TypeError, "sequence has dtype"),
        ({"original": Original(VALUES, SEQUENCE[1:])}, ValueError, "but S is 4 in given"),
        ({"function": "gulu"}, ValueError, "no function 'gulu'; one of relu, clamp, .*gelu"),
        ({"parameters": (0.0,)}, ValueError, "relu with 1 parameters, must have 0"),
        ({"function": "elu"}, ValueError, r"0 parameters, must have 3: \(alpha, scale, input_scale\)"),
    ],
    ids=[str(n) for n in range(16)],
)  # fmt: skip
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    case = {
        "given": zeros(7, 4, 3, 5),
        "rows": Rows(STARTS, (7,)),
        "length": LENGTH,
        **FUNCTIONS["relu"].named,
    }
    case["original"] = Original(VALUES, SEQUENCE)
    with pytest.raises(error, match=f"delta_pointwise: .*{message}"):
        delta_pointwise(**{**case, **change})


@pytest.mark.parametrize("value", [2, 2**31 - 1, -1, -(2**31)])
def test_a_sequence_that_is_not_there_is_refused(value: int) -> None:
    held = zeros(4, LENGTH, 5)  # around the two that are given, so that nothing foreign is read
    sequence = torch.tensor([0, 1, 1, value], dtype=INT)
    with pytest.raises(ValueError, match=rf"original.sequence\[3\] is {value}"):
        delta_pointwise(
            zeros(7, 4, 3, 5), Rows(STARTS, (7,)), Original(held[1:3], sequence), LENGTH, "relu"
        )  # fmt: skip


def test_an_original_without_positions_is_refused() -> None:
    program = """
import torch
from nucleoscope.ops import Original, Rows, delta_pointwise
none, rows = torch.zeros(1, dtype=torch.int32), Rows(torch.tensor([[0]]), (1,))
delta_pointwise(torch.zeros(1, 1, 1, 1), rows, Original(torch.zeros(1, 0, 1), none), 1, "relu")"""
    # a process of its own: what is not refused may end it
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ValueError: delta_pointwise: original" in done.stderr, done.returncode
