"""delta_conv's Triton twin, without a GPU: interpreted against the definition, and compiled ahead of time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from nucleoscope.kernels import _matrix
from nucleoscope.kernels._products import round_tf32
from nucleoscope.kernels._tiles import TILES, Tile, tile_of
from nucleoscope.kernels.delta_conv import delta_conv as launch
from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops.delta_conv import from_bf16, unpack_weight
from nucleoscope.naive.ops.delta_conv import round_tf32 as naive_round_tf32
from nucleoscope.ops import Rows, pack_weight, to_bf16, to_tf32
from tests.ops.conv_cases import CASES, HEADS, judged, tolerance
from tests.ops.rows import assert_equal, changed

GPU = torch.device("cuda")
DEVICE = GPU if torch.cuda.is_available() else torch.device("cpu")  # there triton interprets
SMALL = Tile(16, 32, 16, 4, 1, 2, "ieee")
FEWER: dict[str, dict[str, Any]] = {  # rows than in C++: the interpreter takes a tenth of a second a program
    "dilation 128": {"rows_out": (14, 13)}, "depthwise, shared": {"rows_out": (4,)},
    "300 channels": {"rows_out": (2,), "sites": 9},
}  # fmt: skip
EVERY_HEAD = ("two pieces", "groups", "depthwise, multiplied")
SHARED = {80: 101376, 90: 232448, "gfx942": 65536}  # bytes a block; of sm_86 and sm_89 for sm_80


def example(name: str, head: str, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """A case's arguments, its weights laid out as for a GPU."""
    case = CASES[name].with_({**HEADS[head], **FEWER.get(name, {})})
    arguments = case.arguments(dtype, DEVICE)
    if arguments["weight"].ndim > 2:
        plain = unpack_weight(arguments["weight"], case.channels, case.wide_part)
        arguments["weight"] = pack_weight(plain, case.groups, GPU)
    return arguments


def launched(arguments: dict[str, Any], precision: str = "fp32") -> Tensor:
    """What the kernel writes, into memory that holds NaN."""
    a = arguments
    shape = (sum(a["rows_out"].widths), *a["given"].shape[1:3], a["channels"])
    out = torch.full(shape, torch.nan, dtype=a["given"].dtype, device=DEVICE)
    launch(out=out, **a, precision=precision)
    return out


def assert_close(got: Tensor, arguments: dict[str, Any], expected: Tensor | None = None) -> None:
    expected = judged(arguments) if expected is None else expected
    error, allowed = (got.double() - expected).abs(), tolerance(arguments)
    assert (error <= allowed).all(), (error - allowed).max()


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that every case has several blocks of pairs, of channels in and of channels out."""
    monkeypatch.setattr(_matrix, "tile_of", lambda *_: SMALL)


@pytest.fixture
def bf16_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter multiplies bfloat16 by its bits; here by its value."""
    if torch.cuda.is_available():
        return
    from triton.runtime import interpreter

    original = interpreter.InterpreterBuilder.create_dot

    def widened(handle: Any) -> Any:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        wide = interpreter._convert_float(handle.data, tl.bfloat16, tl.float32, None)
        return interpreter.TensorHandle(wide.view(np.float32), tl.float32)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return original(self, widened(a), widened(b), *rest)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


def each_case() -> Iterator[tuple[str, str]]:
    """Every case, with the heads in turn; some with every head."""
    for index, name in enumerate(CASES):
        turn = [list(HEADS)[index % len(HEADS)]]
        yield from ((name, head) for head in (HEADS if name in EVERY_HEAD else turn))


@pytest.mark.parametrize(("name", "head"), list(each_case()))
def test_equals_naive(name: str, head: str) -> None:
    arguments = example(name, head)
    assert_close(launched(arguments), arguments)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", ["odd", "two pieces", "groups of many columns", "groups"])
def test_blocks_meet(name: str) -> None:
    arguments = example(name, "relu, residual behind")
    assert_close(launched(arguments), arguments)


@pytest.mark.parametrize("name", ["odd", "depthwise", "groups"])
def test_float64(name: str) -> None:
    arguments = example(name, "relu, residual before", torch.float64)
    assert_close(launched(arguments), arguments)


@pytest.mark.parametrize("name", ["odd", "two pieces", "groups", "depthwise"])
def test_tf32_is_naive_of_rounded_operands(name: str) -> None:
    arguments = example(name, "relu, residual behind")
    arguments["weight"] = to_tf32(arguments["weight"])
    expected = naive.delta_conv(**changed(arguments, Tensor.double), tf32=True)
    assert (expected - judged(arguments)).abs().max() > 1e-6 or name == "depthwise"
    assert_close(launched(arguments, "tf32"), arguments, expected)


@pytest.mark.usefixtures("bf16_dot")
@pytest.mark.parametrize("name", ["odd", "two pieces", "groups", "depthwise"])
def test_bf16_is_naive_of_rounded_operands(name: str) -> None:
    arguments = example(name, "relu, residual behind")
    if name != "depthwise":  # the interpreter truncates: given are deltas that need no rounding
        arguments["given"] = arguments["given"].bfloat16().float()
    arguments["weight"] = to_bf16(arguments["weight"])
    expected = naive.delta_conv(**changed(arguments, Tensor.double))
    got = launched(arguments)
    if name != "depthwise":
        arguments["weight"] = from_bf16(arguments["weight"], CASES[name].wide_part).float()
    assert_close(got, arguments, expected)


@pytest.mark.parametrize("name", ["basset", "groups", "depthwise", "two pieces"])
def test_nan_reaches_who_reads_it_and_nobody_else(name: str) -> None:
    arguments = example(name, "relu, residual behind")
    arguments["given"][1:5, :, 1, 3] = torch.nan
    expected = naive.delta_conv(**arguments)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(launched(arguments).isnan(), expected.isnan())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["residual", "original"])
def test_what_joins_may_be_not_finite(place: str, value: float) -> None:
    arguments = example("depthwise, multiplied", "relu, residual before", torch.float64)
    tensor = arguments["residual"] if place == "residual" else arguments["original"].values
    tensor[1:9:2, ..., 1::3] = value
    expected = naive.delta_conv(**arguments)
    torch.testing.assert_close(launched(arguments), expected, rtol=0, atol=1e-12, equal_nan=True)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    arguments = example("two pieces", "relu, residual behind")
    sites = arguments["given"].shape[1]
    beyond = torch.tensor([[-3] * sites, [arguments["length"]] * sites], device=DEVICE)
    arguments["rows_out"] = Rows(beyond, (3, 5))
    arguments["rows_in"].starts.zero_()
    arguments["given"].fill_(torch.nan)
    assert not launched(arguments).any()


@triton.jit
def rounding(x_ptr, out_ptr, BLOCK: tl.constexpr):
    o_x = tl.arange(0, BLOCK)
    tl.store(out_ptr + o_x, round_tf32(tl.load(x_ptr + o_x)))


def test_tf32_is_rounded_not_truncated() -> None:
    special = [0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-40, -1e-40, 3.4e38, -3.4e38]
    bits = torch.tensor(
        [0x7FFFFFFF, -1, 0x3F800FFF, 0x3F801000, 0x3F801001, 0x3F803000, 0x7F7FFFFF]
    )
    x = torch.cat([torch.tensor(special), bits.int().view(torch.float32)])
    x = torch.cat(
        [x, torch.randn(1024 - len(x)) * 10.0 ** torch.randint(-30, 30, (1024 - len(x),))]
    )
    x = x.to(DEVICE)
    out = torch.empty_like(x)
    rounding[(1,)](x, out, BLOCK=1024)
    expected = torch.tensor([nearest(value) for value in x.tolist()], device=DEVICE)
    assert_equal(out, expected)
    assert_equal(naive_round_tf32(x), expected)
    assert torch.equal(out.signbit() | out.isnan(), x.signbit() | x.isnan())


def nearest(value: float) -> float:
    """The nearest number with 10 bits behind the point, half away from zero; by arithmetic, not by bits."""
    if value == 0 or not math.isfinite(value):
        return value
    step = math.ldexp(1.0, max(math.frexp(value)[1] - 1, -126) - 10)
    made = math.copysign(math.floor(abs(value) / step + 0.5) * step, value)
    return made if abs(made) < 2.0**128 else math.copysign(math.inf, value)


def full_launch(
    precision: str, made: int, wide: int, taps: int = 3, groups: int = 1
) -> dict[str, Any]:
    """Arguments of a layer with everything: ReLU, residual, pieces."""
    number = "float64" if precision == "fp64" else "float32"
    sites, kept, padded = 400, 7, -(-wide // 16) * 16
    rows = (("int64", (1, sites)), (kept,))
    layer = (number, (kept, sites, 3, groups * made))
    weight = (number, (groups, taps, made, padded))
    if precision == "bf16":
        weight = ("int32", (groups, taps, made, padded // 2))
    if wide == 1:
        weight = (number, (taps, groups * made))
    return {
        "given": (number, (kept, sites, 3, groups * wide)), "rows_in": rows, "weight": weight,
        "rows_out": rows, "out": layer, "channels": groups * made, "dilation": 2, "length": 2000,
        "original": ((number, (4, 2000, groups * made)), ("int32", (sites,)), 0), "residual": layer,
        "beside": rows, "precision": precision,
    }  # fmt: skip


@pytest.mark.parametrize("capability", [pytest.param(80, marks=pytest.mark.slow), 90])
@pytest.mark.parametrize(
    "precision", ["fp32", "tf32", "bf16", pytest.param("fp64", marks=pytest.mark.slow)]
)
def test_every_tile_fits(precision: str, capability: int, compile_ahead: Any) -> None:
    tiles = TILES[f"sm_{capability}"][precision]
    assert [tile_of(f"sm_{capability}", precision, t.channels) for t in tiles] == list(tiles)
    launches = [full_launch(precision, tile.channels, 64) for tile in tiles]
    kernels = compile_ahead("delta_conv", *launches, capabilities=(capability,))
    assert len(kernels) == len(tiles)
    for tile, kernel in zip(tiles, kernels, strict=True):
        wide = precision != "fp64" and capability == 90
        assert kernel["spilled"] == 0, (tile, kernel)
        assert kernel["shared"] <= SHARED[capability], (tile, kernel)
        assert kernel["matrix"] == ["wgmma.mma_async" if wide else "mma.sync"], (tile, kernel)
        assert min(kernel["copied"]) >= 8, (
            tile,
            kernel,
        )  # vectors, past the registers; 16 columns make 8


def test_groups_of_few_channels_fit(compile_ahead: Any) -> None:
    narrow = [full_launch(p, 1, 1, groups=256) for p in ("fp32", "fp64")]
    narrow += [full_launch(p, 5, 3, groups=40) for p in ("fp32", "bf16")]
    for kernel in compile_ahead("delta_conv", *narrow):
        assert kernel["name"] == "_delta_conv_few_kernel"
        assert kernel["spilled"] == 0, kernel
        assert kernel["registers"] <= 128, kernel  # so that a multiprocessor holds 16 warps


def test_amd_compiles(compile_ahead: Any) -> None:
    launches = [full_launch(precision, 64, 64) for precision in ("fp32", "tf32", "bf16")]
    for kernel in compile_ahead("delta_conv", *launches, capabilities=("gfx942",)):
        assert kernel["spilled"] == 0, kernel
        assert kernel["shared"] <= SHARED["gfx942"], kernel
        assert kernel["matrix"] == ["v_mfma"], kernel


def test_narrow_tiles_for_narrow_layers() -> None:
    assert tile_of("sm_90", "fp32", 1).channels == 16
    assert tile_of("sm_90", "fp32", 64).channels == 64
    assert tile_of("sm_90", "bf16", 512).channels == 256
