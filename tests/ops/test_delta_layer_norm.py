"""delta_layer_norm: C++ gives what the definition gives in float64, which is the change of LayerNorm."""

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
from nucleoscope.ops import Original, Rows, delta_layer_norm
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    assert_near,
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

SHAPES = [  # widths of the pieces, S sites, E edits, groups, channels of a group
    ((1,), 1, 1, 1, 1),
    ((7,), 5, 3, 1, 33),
    ((3, 4), 4, 2, 3, 17),
    ((2, 0, 5), 3, 5, 2, 64),
    ((30,), 2, 4, 5, 3),
    ((4,), 3, 2, 7, 1),
    ((0,), 4, 3, 1, 8),
    ((4,), 0, 3, 1, 8),
    ((4,), 4, 0, 1, 8),
    ((4,), 4, 3, 0, 8),
]
LENGTH = 12  # small: many rows lie beyond its ends


def example(
    shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu", first: int = 0
) -> dict[str, Any]:
    widths, sites, edits, groups, wide = shape
    like = torch.empty(0, dtype=dtype, device=device)
    somewhere = torch.randint(0, LENGTH, (sites,), device=device)
    rows = random_rows(before(somewhere, widths), widths)
    return {
        "given": random_delta(rows, edits, groups * wide, like),
        "rows": rows,
        "original": random_original(sites, LENGTH - first, groups * wide, like, first),
        "length": LENGTH,
        "wide": wide,
        "weight": like.new_empty(wide).normal_(),
        "eps": 1e-3,
    }


def assert_right(case: dict[str, Any]) -> None:
    assert_near(delta_layer_norm(**case), naive.delta_layer_norm(**changed(case, Tensor.double)))


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("groups", [1, 2])
def test_naive_is_the_change_of_layer_norm(groups: int, size: float) -> None:
    case = example(((5, 4), 4, 3, groups, 6), torch.float64)
    given, rows = case["given"].mul_(size), case["rows"]
    z = case["original"].values.mT[case["original"].sequence.long()][:, None]

    def norm(x: Tensor) -> Tensor:
        parts = x.mT.unflatten(-1, (groups, 6))
        return F.layer_norm(parts, (6,), case["weight"], None, case["eps"]).flatten(-2).mT

    change = norm(z + laid(given, rows, LENGTH)) - norm(z)
    got = naive.delta_layer_norm(**case)
    torch.testing.assert_close(got, read_off(change, rows), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for first in (0, 3):  # positions before the first original that is kept are clamped
        case = example(shape, dtype, device, first)
        assert_right(case)
        assert_right(case | {"weight": None})


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    # the last is large enough to be shared between threads
    for shape in [*SHAPES[:6], ((8, 3), 31, 3, 3, 100)]:
        with instruction_set(isa):
            assert_right(example(shape, dtype))


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    *(st.integers(1, most) for most in (5, 5, 4, 40)),
    st.integers(0, 2**16),
)
def test_any_shape(
    widths: list[int], sites: int, edits: int, groups: int, wide: int, seed: int
) -> None:
    torch.manual_seed(seed)
    assert_right(example((tuple(widths), sites, edits, groups, wide)))


@pytest.mark.parametrize("size", [1e-20, 1e-10, 1e-5])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_a_small_delta_beside_a_large_original_is_not_lost(isa: str, size: float) -> None:
    case = example(((7,), 5, 3, 2, 19))
    case["given"].mul_(size)
    case["original"].values.mul_(100).add_(1000)
    with instruction_set(isa):
        got = delta_layer_norm(**case)
    expected = naive.delta_layer_norm(**changed(case, Tensor.double))
    assert expected.abs().max() > size * 1e-4
    assert_near(got, expected)


@pytest.mark.parametrize("back", [False, True])
def test_a_group_that_becomes_flat_and_one_that_was(back: bool) -> None:
    # numbers of few digits, so that what is left of the group is exact and only the form can lose it
    case = example(((7,), 5, 3, 1, 32)) | {"eps": 1e-5}
    shift = torch.randint(-100, 100, (32,)).float()
    case["original"].values[:] = 3.0 if back else 3.0 + shift
    case["given"][:] = torch.randint(-8, 8, case["given"].shape) / 1024
    case["given"] += shift if back else -shift
    assert_right(case)


@pytest.mark.parametrize("limit", [0.3, 2.0, 2.5])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_groups_beyond_the_limit_are_lost(isa: str, limit: float) -> None:
    case = example(((7, 2), 4, 3, 5, 6)) | {"limit": limit}
    case["given"][:, :, 1] = 0.0  # what does not change is not lost
    case["given"][3] *= 20.0
    with instruction_set(isa):
        got = delta_layer_norm(**case)
    expected = naive.delta_layer_norm(**changed(case, Tensor.double))
    assert 0 < expected.isnan().sum() < expected.numel()
    assert_equal(got.isnan(), expected.isnan())
    assert_near(got.nan_to_num(), expected.nan_to_num())
    assert_equal(got[:, :, 1], torch.zeros(9, 4, 30))


def test_what_the_limit_measures() -> None:
    flat, apart, eps = torch.zeros(2), torch.tensor([8.0, -8.0]), 0.25

    def lost(z: Tensor, given: Tensor, limit: float) -> bool:
        rows = Rows(torch.zeros(1, 1, dtype=torch.int64), (1,))
        original = Original(z.view(1, 1, 2), torch.zeros(1, dtype=torch.int32))
        made = delta_layer_norm(
            given.view(1, 1, 1, 2), rows, original, 1, wide=2, eps=eps, limit=limit
        )
        assert made.isnan().all() == made.isnan().any()
        return bool(made.isnan().all())

    assert lost(apart, -apart, 15.9)  # 8 with an edited deviation of 0.5
    assert not lost(apart, -apart, 16.1)
    assert lost(flat + 8.0, apart, 15.9)  # 8 with an original deviation of 0.5
    assert not lost(flat + 8.0, apart, 16.1)
    assert not lost(flat, apart, 1.0)  # which became wide
    assert lost(flat, flat + 8.0, 15.9)  # one shift for all is rounded as well
    assert not lost(flat + 8.0, flat, 1.0)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = example(((3, 2), 4, 3, 1, 5))
    case["rows"] = Rows(torch.tensor([[-3] * 4, [LENGTH] * 4]), (3, 2))
    case["given"].fill_(torch.nan)
    assert_equal(delta_layer_norm(**case), torch.zeros(5, 4, 3, 5))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["given", "original"])
def test_what_is_not_finite(place: str, value: float) -> None:
    case = example(((7,), 4, 3, 2, 5), first=0)
    tensor: Tensor = case["original"].values if place == "original" else case["given"]
    tensor[::2, 1::2, ..., 2] = value
    got, expected = delta_layer_norm(**case), naive.delta_layer_norm(**case)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())
    assert_near(got.nan_to_num(), expected.nan_to_num())


def test_strided_arguments() -> None:
    case = example(((7, 2), 4, 3, 1, 5))
    apart = changed(case, strided)
    apart["rows"] = Rows(case["rows"].starts.T.contiguous().T, case["rows"].widths)
    apart["original"] = apart["original"]._replace(sequence=strided(case["original"].sequence))
    assert not apart["given"].is_contiguous()
    assert_equal(delta_layer_norm(**apart), delta_layer_norm(**case))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, device: torch.device) -> None:
    case = example(((7, 2), 4, 3, 2, 5), dtype, device)
    given = case["given"] if dense else case["given"].mT.contiguous().mT
    for weight in (case["weight"], None):
        args = (given, *case["rows"], *case["original"], weight, LENGTH, 5, 1e-3, 50.0)
        torch.library.opcheck(torch.ops.nucleoscope.delta_layer_norm.default, args)


def test_meta_gives_the_shape_alone() -> None:
    case = example(((7, 2), 4, 3, 1, 5), torch.float64)
    out = delta_layer_norm(**changed(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype, out.shape) == ("meta", torch.float64, (9, 4, 3, 5))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS, SEQUENCE = zeros(1, 4, dtype=torch.int64), zeros(4, dtype=torch.int32)
VALUES = zeros(2, LENGTH, 6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"given": zeros(7, 4, 3, 6).half()}, TypeError, "given has dtype torch.float16"),
        ({"given": zeros(7, 4, 3)}, ValueError, r"given has 3 axes.*: \[W, S, E, C\]"),
        ({"rows": Rows(STARTS.int(), (7,))}, TypeError, "rows.starts has dtype torch.int32"),
        ({"rows": Rows(STARTS[:, :3], (7,))}, ValueError, r"shape \[1, 3\], but S is 4 in given"),
        ({"rows": Rows(STARTS, (4, 3))}, ValueError, r"widths \[4, 3\] for 1 pieces: give one for"),
        ({"rows": Rows(STARTS, (6,))}, ValueError, "keeps 6 rows a site, but its deltas have 7"),
        ({"original": Original(VALUES.double(), SEQUENCE)}, TypeError, "original.values has dtype"),
        ({"original": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 6 in given"),
        ({"original": Original(VALUES[:, :0], SEQUENCE)}, ValueError, "keeps no position"),
        ({"original": Original(VALUES, SEQUENCE.long())}, TypeError, "sequence has dtype"),
        ({"original": Original(VALUES, SEQUENCE - 1)}, ValueError, r"sequence\[0\] is -1"),
        ({"original": Original(VALUES, SEQUENCE + 2)}, ValueError, r"sequence\[0\] is 2"),
        ({"weight": zeros(3).double()}, TypeError, "weight has dtype torch.float64"),
        ({"weight": zeros(3, 1)}, ValueError, "weight has 2 axes"),
        ({"weight": zeros(6)}, ValueError, r"weight \[6\] is not for wide=3 channels"),
        ({"wide": 4}, ValueError, "wide=4 channels a group do not divide 6"),
        ({"wide": 0}, ValueError, "wide=0 channels a group do not divide 6"),
    ],
    ids=[str(n) for n in range(17)],
)
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    case = {"given": zeros(7, 4, 3, 6), "rows": Rows(STARTS, (7,)), "length": LENGTH}
    case |= {"original": Original(VALUES, SEQUENCE), "wide": 3, "weight": zeros(3)}
    with pytest.raises(error, match=f"delta_layer_norm: .*{message}"):
        delta_layer_norm(**{**case, **change})
