"""delta_relu: C++ gives what the definition gives, which is the change of ReLU."""

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
from nucleoscope.ops import Original, Rows, delta_relu
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
    shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu", first: int = 0
) -> dict[str, Any]:
    widths, sites, edits, channels = shape
    like = torch.empty(0, dtype=dtype, device=device)
    somewhere = torch.randint(0, LENGTH, (sites,), device=device)
    rows = random_rows(before(somewhere, widths), widths)
    return {
        "given": random_delta(rows, edits, channels, like),
        "rows": rows,
        "original": random_original(sites, LENGTH - first, channels, like, first),
        "length": LENGTH,
    }


def test_naive_is_the_change_of_relu() -> None:
    x = torch.randn(3, 6, LENGTH, dtype=torch.float64)
    case = example(((5, 4), 4, 3, 6), torch.float64)
    given, rows = case["given"], case["rows"]
    sequence = case["original"].sequence
    original = x[sequence.long()][:, None]
    change = torch.relu(original + laid(given, rows, LENGTH)) - torch.relu(original)
    got = naive.delta_relu(given, rows, Original(x.mT.contiguous(), sequence), LENGTH)
    torch.testing.assert_close(got, read_off(change, rows), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for first in (0, 3):  # positions before the first original that is kept are clamped
        case = example(shape, dtype, device, first)
        assert_equal(delta_relu(**case), naive.delta_relu(**case))


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    # the last is large enough to be shared between threads
    for shape in [*SHAPES[:5], ((8, 3), 31, 3, 300)]:
        case = example(shape, dtype)
        with instruction_set(isa):
            got = delta_relu(**case)
        assert_equal(got, naive.delta_relu(**case))


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
    assert_equal(delta_relu(**case), naive.delta_relu(**case))


def test_a_small_delta_beside_a_large_original_is_not_lost() -> None:
    values = torch.tensor([[[1e8, -1e8, 0.0]]])
    original = Original(values, torch.zeros(1, dtype=torch.int32))
    given = torch.tensor([[[[1e-8, 1e-8, -1e-8]]]])
    got = delta_relu(given, Rows(torch.tensor([[0]]), (1,)), original, 1)
    assert got.flatten().tolist() == [given[0, 0, 0, 0].item(), 0.0, 0.0]


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = example(((3, 2), 4, 3, 5))
    case["rows"] = Rows(torch.tensor([[-3] * 4, [LENGTH] * 4]), (3, 2))
    case["given"].fill_(torch.nan)
    assert_equal(delta_relu(**case), torch.zeros(5, 4, 3, 5))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["given", "original"])
def test_what_is_not_finite(place: str, value: float) -> None:
    case = example(((7,), 4, 3, 5), first=0)
    tensor: Tensor = case["original"].values if place == "original" else case["given"]
    tensor[::2, 1::2] = value
    expected = naive.delta_relu(**case)
    if value != value:
        assert 0 < expected.isnan().sum() < expected.numel()
    assert_equal(delta_relu(**case), expected)


def test_strided_arguments() -> None:
    case = example(((7, 2), 4, 3, 5))
    apart = changed(case, strided)
    apart["rows"] = Rows(case["rows"].starts.T.contiguous().T, case["rows"].widths)
    apart["original"] = apart["original"]._replace(sequence=strided(case["original"].sequence))
    assert not apart["given"].is_contiguous()
    assert_equal(delta_relu(**apart), naive.delta_relu(**case))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, device: torch.device) -> None:
    case = example(((7, 2), 4, 3, 5), dtype, device)
    given = case["given"] if dense else case["given"].mT.contiguous().mT
    args = (given, *case["rows"], *case["original"], LENGTH)
    torch.library.opcheck(torch.ops.nucleoscope.delta_relu.default, args)


def test_meta_gives_the_shape_alone() -> None:
    case = example(((7, 2), 4, 3, 5), torch.float64)
    out = delta_relu(**changed(case, lambda tensor: tensor.to("meta")))
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
    ],
    ids=[str(n) for n in range(13)],
)  # fmt: skip
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    case = {"given": zeros(7, 4, 3, 5), "rows": Rows(STARTS, (7,)), "length": LENGTH}
    case["original"] = Original(VALUES, SEQUENCE)
    with pytest.raises(error, match=f"delta_relu: .*{message}"):
        delta_relu(**{**case, **change})


@pytest.mark.parametrize("value", [2, 2**31 - 1, -1, -(2**31)])
def test_a_sequence_that_is_not_there_is_refused(value: int) -> None:
    held = zeros(4, LENGTH, 5)  # around the two that are given, so that nothing foreign is read
    sequence = torch.tensor([0, 1, 1, value], dtype=INT)
    with pytest.raises(ValueError, match=rf"original.sequence\[3\] is {value}"):
        delta_relu(
            zeros(7, 4, 3, 5), Rows(STARTS, (7,)), Original(held[1:3], sequence), LENGTH
        )  # fmt: skip


def test_an_original_without_positions_is_refused() -> None:
    program = """
import torch
from nucleoscope.ops import Original, Rows, delta_relu
none, rows = torch.zeros(1, dtype=torch.int32), Rows(torch.tensor([[0]]), (1,))
delta_relu(torch.zeros(1, 1, 1, 1), rows, Original(torch.zeros(1, 0, 1), none), 1)"""
    # a process of its own: what is not refused may end it
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ValueError: delta_relu: original" in done.stderr, done.returncode
