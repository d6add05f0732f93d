"""edit_lookup: C++ and Triton give what the naive look-up gives, and bad arguments are refused."""

import pytest
import torch
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import edit_lookup

pytestmark = pytest.mark.usefixtures("poisoned_empty")

SHAPES = [  # K taps, A letters, C channels, W window rows, S sites, E edits a site
    (1, 4, 1, 1, 1, 1),
    (3, 4, 7, 3, 5, 3),
    (19, 4, 33, 19, 11, 3),
    (5, 4, 1, 5, 3, 4),
    (21, 5, 16, 1, 9, 1),
    (4, 4, 8, 6, 0, 3),
    (4, 4, 8, 6, 2, 0),
    (4, 4, 0, 6, 2, 3),
]
DTYPES = [torch.float32, torch.float64]
ARGUMENTS = ("table", "taps", "old", "new")


def example(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> dict[str, Tensor]:
    taps, letters, channels, window, sites, edits = shape

    def indices(length: int, *size: int) -> Tensor:
        return torch.randint(-1, length, size, dtype=torch.int32, device=device)

    return {
        "table": torch.randn(taps, letters, channels, dtype=dtype, device=device),
        "taps": indices(taps, window, sites),
        "old": indices(letters, sites),
        "new": indices(letters, sites, edits),
    }


def assert_same(got: Tensor, expected: Tensor) -> None:
    """One subtraction has one right rounding, so nothing less than equality will do."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert torch.equal(got, expected), (got - expected).abs().max()


def test_naive_is_the_change_of_a_convolution() -> None:
    # what the look-up is for: a real convolution, edited at one column
    letters, kernel, length, site = 4, 5, 20, 8
    conv = torch.nn.Conv1d(letters, 3, kernel, dtype=torch.float64)
    original = torch.nn.functional.one_hot(torch.randint(4, (length,)), 4).T.double()
    before = int(original[:, site].argmax())
    rows = range(site - kernel + 1, site + 1)  # output rows that see the column
    out = naive.edit_lookup(
        conv.weight.detach().permute(2, 1, 0),
        torch.tensor([[site - row] for row in rows], dtype=torch.int32),
        torch.tensor([before], dtype=torch.int32),
        torch.tensor([[0, 1, 2, 3, -1]], dtype=torch.int32),
    )
    for after in range(5):
        edited = original.clone()
        edited[:, site] = 0
        if after < 4:
            edited[after, site] = 1
        change = (conv(edited[None]) - conv(original[None]))[0, :, rows.start : rows.stop].T
        torch.testing.assert_close(out[:, 0, after], change.detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    case = example(shape, dtype, device)
    assert_same(edit_lookup(**case), naive.edit_lookup(**case))


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, dtype, threads_used, threads) -> None:
    case = example((19, 4, 300, 19, 31, 3), dtype)  # large enough to be shared between threads
    chosen = _C.isa()
    threads(threads_used)
    try:
        _C.use_isa(isa)
        assert _C.isa() == isa
        got = edit_lookup(**case)
    finally:
        _C.use_isa(chosen)
    assert_same(got, naive.edit_lookup(**case))


def test_none_everywhere_is_zero_everywhere() -> None:
    case = example((3, 4, 7, 3, 5, 3))
    for name in ("taps", "old", "new"):
        case[name] = torch.full_like(case[name], -1)
    assert_same(edit_lookup(**case), torch.zeros(3, 5, 3, 7))


def test_strided_arguments() -> None:
    case = example((5, 4, 9, 5, 6, 3))
    strided = {
        "table": case["table"].permute(2, 1, 0).contiguous().permute(2, 1, 0),
        "taps": case["taps"].T.contiguous().T,
        "old": case["old"].repeat_interleave(2)[::2],
        "new": case["new"].T.contiguous().T,
    }
    assert not any(each.is_contiguous() for each in strided.values())
    assert_same(edit_lookup(**strided), naive.edit_lookup(**case))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 in s] + [(3, 4, 70, 2, 35, 3)], ids=str)
def test_triton_equals_naive(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    from nucleoscope.kernels.edit_lookup import edit_lookup as launch

    device = "cuda" if torch.cuda.is_available() else "cpu"  # on the CPU triton interprets
    case = example(shape, dtype, device)
    _, _, channels, window, sites, edits = shape
    out = torch.full((window, sites, edits, channels), torch.nan, dtype=dtype, device=device)
    launch(**case, out=out)
    assert_same(out, naive.edit_lookup(**case))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_triton_compiles_without_spilling(dtype: str, compile_ahead) -> None:
    launches = compile_ahead(
        "edit_lookup",
        (
            (dtype, (19, 4, 300)),
            ("int32", (19, 600)),
            ("int32", (600,)),
            ("int32", (600, 3)),
            (dtype, (19, 600, 3, 300)),
        ),
    )
    for launch in launches:
        assert launch["spilled"] == 0, launch
        assert launch["registers"] <= 64, launch  # so that a multiprocessor holds 1,024 threads


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, device: torch.device) -> None:
    case = example((3, 4, 7, 3, 5, 3), dtype, device)
    torch.library.opcheck(torch.ops.nucleoscope.edit_lookup.default, tuple(case.values()))


def test_meta_gives_the_shape_alone() -> None:
    out = edit_lookup(**example((3, 4, 7, 2, 5, 6), torch.float64, "meta"))
    assert out.device.type == "meta"
    assert out.dtype == torch.float64
    assert out.shape == (2, 5, 6, 7)


@pytest.mark.parametrize(
    ("name", "wrong", "error", "message"),
    [
        ("table", torch.float16, TypeError, "table has dtype torch.float16, must be torch.float32"),
        ("taps", torch.int64, TypeError, r"convert it with taps\.to\(torch\.int32\)"),
        ("old", torch.int64, TypeError, "old has dtype torch.int64"),
        ("new", torch.float32, TypeError, "new has dtype torch.float32"),
        (
            "table",
            (3, 4),
            ValueError,
            r"table has 2 axes, shape \[3, 4\]; must have 3: \[K, A, C\]",
        ),
        ("taps", (3,), ValueError, r"must have 2: \[W, S\]"),
        ("old", (5, 1), ValueError, r"must have 1: \[S\]"),
        ("new", (5,), ValueError, r"must have 2: \[S, E\]"),
        ("old", (4,), ValueError, r"old \[S\] has shape \[4\], but S is 5 in taps \[W, S\]"),
        ("new", (6, 3), ValueError, r"new \[S, E\] has shape \[6, 3\], but S is 5 in taps"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_wrong_dtype_or_shape(name, wrong, error, message, device) -> None:
    case = example((3, 4, 7, 2, 5, 3), device=device)
    change = {"dtype": wrong} if isinstance(wrong, torch.dtype) else {"size": wrong}
    case[name] = torch.zeros(
        **{"size": case[name].shape, "dtype": case[name].dtype, "device": device, **change}
    )
    with pytest.raises(error, match=f"edit_lookup: .*{message}"):
        edit_lookup(**case)


@pytest.mark.parametrize("value", [-2, "length", 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(
    ("name", "axis", "length"), [("taps", "K", 3), ("old", "A", 4), ("new", "A", 4)]
)
@pytest.mark.parametrize("strided", [False, True])
def test_index_out_of_range(name, axis, length, value, strided, device) -> None:
    value = length if value == "length" else value
    case = example((3, 4, 7, 2, 5, 3), device=device)
    place = (1, 2) if case[name].dim() == 2 else (3,)
    if strided:
        case[name] = case[name].repeat_interleave(2, -1)[..., ::2]
    case[name][place] = value
    message = rf"{name}\[{', '.join(map(str, place))}\] is {value}; must be an index of axis {axis}"
    with pytest.raises(ValueError, match=message):
        edit_lookup(**case)


def test_empty_table_has_no_index() -> None:
    case = example((3, 4, 7, 2, 5, 3))
    with pytest.raises(ValueError, match="must be an index of axis K, which has length 0"):
        edit_lookup(
            **{**case, "table": torch.zeros(0, 4, 7), "taps": torch.zeros_like(case["taps"])}
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to put an argument on")
def test_arguments_on_two_devices() -> None:
    case = example((3, 4, 7, 2, 5, 3), device="cuda")
    with pytest.raises(ValueError, match=r"taps is on cpu, but table is on cuda:0: move it"):
        edit_lookup(**{**case, "taps": case["taps"].cpu()})
