"""delta_softmax_pool: C++ gives what the definition gives, which is the change of attention pooling."""

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
from nucleoscope.ops import Original, Rows, delta_softmax_pool
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

LENGTH = 9  # cells
GEOMETRIES = [  # taps, stride, positions that the last cell lacks
    (1, 1, 0),
    (2, 2, 0),  # Enformer's
    (3, 3, 1),
    (4, 2, 3),  # cells that overlap
    (2, 5, 0),  # inputs that no cell reads
]
SHAPES = [  # widths of the pieces given, of the logits', of those asked; S sites, E edits, C channels
    ((1,), (1,), (1,), 1, 1, 1),
    ((9,), (12,), (7,), 5, 3, 33),
    ((4, 3), (5,), (3, 5), 4, 2, 17),
    ((2, 0, 5), (3, 1), (1, 2, 3), 3, 5, 64),
    ((3,), (3,), (14,), 2, 4, 16),
    ((0,), (0,), (5,), 4, 3, 8),
    ((6,), (6,), (0,), 4, 3, 8),
    ((6,), (6,), (5,), 0, 3, 8),
    ((6,), (6,), (5,), 4, 0, 8),
    ((6,), (6,), (5,), 4, 3, 0),
]


def example(
    geometry: tuple[int, ...], shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu",
    size: float = 1.0, both: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """``size``: of the logits' changes; those of ±1 and more are taken another way."""
    taps, stride, lacking = geometry
    widths, widths_logits, widths_out, sites, edits, channels = shape
    length_in = (LENGTH - 1) * stride + taps - lacking
    like = torch.empty(0, dtype=dtype, device=device)
    asked = torch.randint(0, LENGTH, (sites,), device=device)
    read = asked * stride + torch.randint(0, taps, (sites,), device=device)
    rows_in, beside = (random_rows(before(read, w), w) for w in (widths, widths_logits))
    logits = random_original(sites, length_in, channels, like)
    logits.values[:, 1::4, ::3] = -torch.finfo(torch.float32).max  # masked
    return {
        "given": random_delta(rows_in, edits, channels, like) if both else None,
        "rows_in": rows_in if both else None,
        "logits": random_delta(beside, edits, channels, like).mul_(size), "beside": beside,
        "rows_out": random_rows(before(asked, widths_out), widths_out),
        "original": random_original(sites, length_in, channels, like)._replace(
            sequence=logits.sequence
        ),
        "original_logits": logits,
        "taps": taps, "stride": stride, "length_in": length_in, "length": LENGTH,
    }  # fmt: skip


def without_logits(case: dict[str, Any]) -> dict[str, Any]:
    return case | {"logits": None, "beside": None}


def assert_right(case: dict[str, Any]) -> None:
    expected = naive.delta_softmax_pool(**changed(case, Tensor.double))
    assert_near(delta_softmax_pool(**case), expected)


def pooled(x: Tensor, logits: Tensor, taps: int, stride: int) -> Tensor:
    """Of [..., length], cells that lack members filled up with logits of -inf."""
    more = (LENGTH - 1) * stride + taps - x.shape[-1]
    x, logits = F.pad(x, (0, more)), F.pad(logits, (0, more), value=-torch.inf)
    cells = (t.unfold(-1, taps, stride) for t in (x, logits))
    x, logits = cells
    return (x * logits.softmax(-1)).sum(-1)


@pytest.mark.parametrize("size", [0.1, 20.0])
@pytest.mark.parametrize("shape", SHAPES[:5], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_naive_is_the_change_of_attention_pooling(geometry: Any, shape: Any, size: float) -> None:
    case = example(geometry, shape, torch.float64, size=size)
    which, length_in = case["original"].sequence.long(), case["length_in"]
    x, z = (case[name].values.mT[which][:, None] for name in ("original", "original_logits"))
    dx = laid(case["given"], case["rows_in"], length_in)
    dz = laid(case["logits"], case["beside"], length_in)
    for case_, edited in ((case, z + dz), (without_logits(case), z.expand_as(dz))):
        change = pooled(x + dx, edited, *geometry[:2]) - pooled(x, z, *geometry[:2])
        got = naive.delta_softmax_pool(**case_)
        torch.testing.assert_close(got, read_off(change, case["rows_out"]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: Any, dtype: torch.dtype, device: torch.device) -> None:
    for geometry in GEOMETRIES:
        for size in (0.2, 3.0):
            case = example(geometry, shape, dtype, device, size)
            assert_right(case)
            assert_right(without_logits(case))
            assert_right(case | {"given": None, "rows_in": None})


@pytest.mark.parametrize("threads_used", [2, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    threads(threads_used)
    # the last is large enough to be shared between threads
    for shape in [*SHAPES[:5], ((19,), (17,), (9,), 31, 3, 50)]:
        for size in (0.2, 3.0):
            with instruction_set(isa):
                assert_right(example(GEOMETRIES[2], shape, dtype, size=size))


widths = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    st.tuples(widths, widths, widths, *(st.integers(1, most) for most in (5, 5, 40))),
    st.sampled_from([1e-6, 0.3, 5.0, 90.0]),
    st.integers(0, 2**16),
)
def test_any_geometry(geometry: tuple[int, int], shape: Any, size: float, seed: int) -> None:
    torch.manual_seed(seed)
    assert_right(example((*geometry, seed % geometry[0]), shape, size=size))


@pytest.mark.parametrize("size", [1e-20, 1e-10, 1e-5])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_a_small_change_is_not_lost(isa: str, size: float) -> None:
    case = example(GEOMETRIES[2], SHAPES[1], size=size)
    case["given"].mul_(size)
    for one in (case, case | {"given": None, "rows_in": None}, without_logits(case)):
        expected = naive.delta_softmax_pool(**changed(one, Tensor.double))
        assert expected.abs().max() > size * 1e-2
        with instruction_set(isa):
            assert_near(delta_softmax_pool(**one), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_small_effect_of_a_large_change_is_not_lost(dtype: torch.dtype) -> None:
    # the second member's weight goes from e^-60 to e^-40; the first keeps all of the rest
    none, rows = torch.zeros(1, dtype=torch.int32), Rows(torch.tensor([[0]]), (2,))
    original = Original(torch.tensor([[[1.0], [3.0]]], dtype=dtype), none)
    logits = Original(torch.tensor([[[0.0], [-60.0]]], dtype=dtype), none)
    change = torch.tensor([0.0, 20.0], dtype=dtype).view(2, 1, 1, 1)
    got = delta_softmax_pool(
        None, None, change, rows, Rows(torch.tensor([[0]]), (1,)), original, logits,
        taps=2, stride=2, length_in=2, length=1,
    )  # fmt: skip
    expected = 2 * (torch.tensor(-40.0).double().exp() - torch.tensor(-60.0).double().exp())
    torch.testing.assert_close(got.double().squeeze(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_changes_from_end_to_end_of_the_exponent(dtype: torch.dtype) -> None:
    case = example(GEOMETRIES[2], SHAPES[1], dtype, size=1.0)
    case["original_logits"].values.mul_(100)
    case["logits"].mul_(300)
    got, expected = (
        delta_softmax_pool(**case),
        naive.delta_softmax_pool(**changed(case, Tensor.double)),
    )
    atol = (
        1000 * torch.finfo(dtype).eps * expected.abs().max().item()
    )  # as the logits' own rounding
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=atol)


def test_originals_kept_in_part() -> None:
    case = example(GEOMETRIES[2], SHAPES[2])
    for name, first in (("original", 5), ("original_logits", 2)):
        kept = case[name].values[:, first : first + 7].contiguous()
        case[name] = case[name]._replace(values=kept, first=first)
    assert_right(case)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = example(GEOMETRIES[1], SHAPES[1])
    sites = case["given"].shape[1]
    case["rows_out"] = Rows(torch.tensor([[-3] * sites, [LENGTH] * sites]), (3, 2))
    for name in ("given", "logits"):
        case[name].fill_(torch.nan)
    assert_equal(delta_softmax_pool(**case), torch.zeros(5, sites, *case["given"].shape[2:]))


def test_a_cell_without_members_is_zero() -> None:
    case = example(GEOMETRIES[1], SHAPES[1])
    case["length_in"] = 5  # of which the cells from the third on have none
    got = delta_softmax_pool(**case)
    assert_near(got, naive.delta_softmax_pool(**changed(case, Tensor.double)))
    assert not got.isnan().any()


@pytest.mark.parametrize("place", ["given", "logits", "original", "original_logits"])
def test_nan_reaches_who_reads_it_and_nobody_else(place: str) -> None:
    case = example(GEOMETRIES[2], SHAPES[1])
    held = case[place]
    tensor: Tensor = held if isinstance(held, Tensor) and place in ("given", "logits") else held[0]
    tensor[::2, 1:, ..., 1::2] = torch.nan
    got, expected = delta_softmax_pool(**case), naive.delta_softmax_pool(**case)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())


def test_strided_arguments() -> None:
    case = example(GEOMETRIES[2], SHAPES[2])
    apart = changed(case, strided)
    for name in ("rows_in", "beside", "rows_out"):
        apart[name] = Rows(case[name].starts.T.contiguous().T, case[name].widths)
    for name in ("original", "original_logits"):
        apart[name] = apart[name]._replace(sequence=strided(case[name].sequence))
    assert_equal(delta_softmax_pool(**apart), delta_softmax_pool(**case))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, dense: bool, device: torch.device) -> None:
    case = example(GEOMETRIES[2], SHAPES[2], dtype, device)
    case["given"] = case["given"] if dense else case["given"].mT.contiguous().mT
    for one in (case, without_logits(case), case | {"given": None, "rows_in": None}):
        args = (
            one["given"], *(one["rows_in"] or (None, ())),
            one["logits"], *(one["beside"] or (None, ())),
            *one["rows_out"], *one["original"], *one["original_logits"],
            [*GEOMETRIES[2][:2], one["length_in"], LENGTH],
        )  # fmt: skip
        torch.library.opcheck(torch.ops.nucleoscope.delta_softmax_pool.default, args)


def test_meta_gives_the_shape_alone() -> None:
    case = example(GEOMETRIES[2], SHAPES[2], torch.float64)
    out = delta_softmax_pool(**changed(case, lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype, out.shape) == ("meta", torch.float64, (8, 4, 2, 17))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS, SEQUENCE = zeros(1, 4, dtype=torch.int64), zeros(4, dtype=torch.int32)
VALUES = zeros(2, 9, 5)
CHANGE = zeros(7, 4, 3, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"given": CHANGE.half()}, TypeError, "given has dtype torch.float16"),
        ({"given": CHANGE[0]}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
        ({"rows_in": None}, ValueError, "given is given; say with rows_in="),
        ({"rows_in": Rows(STARTS.int(), (7,))}, TypeError, "rows_in.starts has dtype torch.int32"),
        ({"rows_in": Rows(STARTS, (6,))}, ValueError, "keeps 6 rows a site, but its deltas have 7"),
        ({"logits": CHANGE.double()}, TypeError, "logits has dtype torch.float64"),
        ({"logits": CHANGE[..., 1:]}, ValueError, "but C is 5 in given"),
        ({"logits": CHANGE[:, :, 1:]}, ValueError, "but E is 3 in given"),
        ({"given": None, "logits": CHANGE.half()}, TypeError, "logits has dtype torch.float16"),
        ({"given": None, "logits": None}, ValueError, "there is no change: give one"),
        ({"beside": None}, ValueError, "logits is given; say with beside="),
        ({"beside": Rows(STARTS[:, 1:], (7,))}, ValueError, "but S is 4 in given"),
        ({"beside": Rows(STARTS, (4, 3))}, ValueError, r"beside has widths \[4, 3\] for 1 pie"),
        ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype"),
        ({"rows_out": Rows(STARTS, (-2,))}, ValueError, r"rows_out has widths \[-2\].*negative"),
        ({"original": Original(VALUES.double(), SEQUENCE)}, TypeError, "original.values has dtype"),
        ({"original": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 5 in given"),
        ({"original": Original(VALUES[:, :0], SEQUENCE)}, ValueError, "keeps no position"),
        ({"original": Original(VALUES, SEQUENCE.long())}, TypeError, "original.sequence has dtype"),
        ({"original": Original(VALUES, SEQUENCE + 2)}, ValueError, r"original.sequence\[0\] is 2"),
        ({"original_logits": Original(VALUES.double(), SEQUENCE)}, TypeError, "logits.values has"),
        ({"original_logits": Original(VALUES[..., 1:], SEQUENCE)}, ValueError, "but C is 5"),
        ({"original_logits": Original(VALUES[:, :0], SEQUENCE)}, ValueError, "keeps no position"),
        ({"original_logits": Original(VALUES, SEQUENCE - 1)}, ValueError, r"sequence\[0\] is -1"),
        ({"taps": 0}, ValueError, "taps=0 and stride=2 must be at least 1"),
        ({"stride": 0}, ValueError, "taps=2 and stride=0 must be at least 1"),
    ],
    ids=[str(n) for n in range(26)],
)
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    on, held = Rows(STARTS, (7,)), Original(VALUES, SEQUENCE)
    case: dict[str, Any] = {"given": CHANGE, "rows_in": on, "logits": CHANGE, "beside": on}
    case |= {"rows_out": Rows(STARTS, (2,)), "original": held, "original_logits": held}
    case |= {"taps": 2, "stride": 2, "length_in": 9, "length": 4}
    with pytest.raises(error, match=f"delta_softmax_pool: .*{message}"):
        delta_softmax_pool(**{**case, **change})
