"""conv and conv_backward: C++ gives what the definitions give in float64, which are torch's own convolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from nucleoscope.ops import conv, conv_backward, pack_backward, pack_weight, pack_winograd
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    assert_near,
    changed,
    instruction_set,
    poisoned_malloc,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")


@dataclass(frozen=True)
class Case:
    """A layer: samples, positions, channels in and out of one group, and the geometry of its taps."""

    samples: int
    positions: int
    wide: int
    made: int
    taps: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    groups: int = 1
    head: str = ""

    @property
    def length(self) -> int:
        span = (self.taps - 1) * self.dilation
        return max((self.positions + 2 * self.pad - span - 1) // self.stride + 1, 1)

    def weight(self, like: Tensor) -> Tensor:
        return like.new_empty(self.taps, self.wide, self.groups * self.made).normal_()

    @property
    def steps(self) -> dict[str, int]:
        return {"stride": self.stride, "dilation": self.dilation, "pad": self.pad}

    def forward(self, dtype: torch.dtype, device: Any = "cpu") -> dict[str, Any]:
        """Random arguments of `conv`, many of the activations zero."""
        like = torch.empty(0, dtype=dtype, device=device)
        channels = self.groups * self.made
        out, weight = (self.samples, self.length, channels), self.weight(like)
        return {
            "given": self.numbers((self.samples, self.positions, self.groups * self.wide), like),
            "weight": pack_weight(weight, self.groups),
            "channels": channels, **self.steps, "length": self.length,
            "winograd": pack_winograd(weight) if "points" in self.head else None,
            "bias": like.new_empty(channels).normal_() if "bias" in self.head else None,
            "residual": like.new_empty(out).normal_() if "residual" in self.head else None,
            "residual_first": "first" in self.head, "relu": "relu" in self.head,
            "beside": self.beside(like, out),
        }  # fmt: skip

    def numbers(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Of which many are zero; at points, where zeros are not skipped, only every third sample's."""
        made = sparse(shape, like)
        if "letters" in self.head:  # at some positions none
            others = torch.arange(len(made)) % 3 == 2
            letters = torch.eye(shape[2] + 1).to(like)[
                torch.randint(0, shape[2] + 1, shape[:2]), 1:
            ]
            made = torch.where(others.to(like.device)[:, None, None], made, letters)
        if "points" in self.head:
            dense = torch.arange(len(made)) % 3 != 2
            made[dense] = torch.randn_like(made[dense])
        return made

    def beside(self, like: Tensor, out: tuple[int, ...]) -> Tensor | None:
        """Another input's value for each sample, or one for all."""
        if "beside" not in self.head:
            return None
        return like.new_empty(out if "each" in self.head else (1, *out[1:])).normal_()

    def backward(self, dtype: torch.dtype, device: Any = "cpu") -> dict[str, Any]:
        """Random arguments of `conv_backward`."""
        like = torch.empty(0, dtype=dtype, device=device)
        channels = self.groups * self.wide
        out = (self.samples, self.length, self.groups * self.made)
        slope = None
        if "relu" in self.head:
            slope = (torch.rand(out, device=device) > 0.5).to(torch.uint8)
        elif "bias" in self.head:
            slope = like.new_empty(out).normal_()
        residual = like.new_empty(self.samples, self.positions, channels).normal_()
        weight, points = self.weight(like), "points" in self.head
        return {
            "given": self.numbers(out, like),
            "weight": pack_backward(weight, self.groups, self.dilation),
            "channels": channels, "taps": self.taps, **self.steps, "length": self.positions,
            "winograd": pack_winograd(weight, backward=True) if points else None,
            "slope": slope, "residual": residual if "residual" in self.head else None,
        }  # fmt: skip


def sparse(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Numbers of which many are zero: single ones, and channels of a position in all samples."""
    alive = torch.rand(shape, device=like.device) > 0.2
    alive &= torch.rand(1, *shape[1:], device=like.device) > 0.3
    return like.new_empty(shape).normal_() * alive


CASES = [
    Case(1, 1, 1, 1, 1),
    Case(3, 33, 4, 33, 5, pad=2, head="bias relu"),  # letters: joined taps, and spread back
    Case(7, 40, 64, 32, 3, dilation=4, pad=4, head="bias relu residual"),
    Case(7, 40, 64, 35, 3, dilation=4, pad=4, head="bias relu residual beside"),
    Case(5, 20, 6, 9, 3, pad=1, head="relu residual first beside each"),
    Case(2, 40, 17, 40, 3, dilation=2, pad=1, head="relu residual first"),
    Case(1, 50, 33, 65, 7, stride=2, pad=3, head="bias"),
    Case(4, 50, 20, 24, 4, stride=3, head="residual"),
    Case(5, 9, 8, 8, 1, head="bias relu"),
    Case(3, 30, 5, 9, 3, groups=3, pad=1, head="bias relu residual"),
    Case(3, 30, 1, 1, 5, groups=19, pad=2, head="bias relu residual beside"),
    Case(2, 30, 1, 2, 5, groups=7, stride=2, dilation=2, pad=4, head="relu"),
    Case(2, 30, 2, 1, 3, groups=7, pad=1, head="bias"),
    Case(4, 20, 4, 1, 3, head="bias"),  # one channel out
    Case(2, 3, 6, 7, 3, dilation=5, pad=9, head="residual"),  # most taps meet nothing
    Case(3, 12, 4, 6, 3, pad=8, head="bias relu"),  # outputs far outside
]
POINTS = [  # four outputs at once
    Case(3, 50, 48, 48, 3, pad=1, head="points"),
    Case(4, 43, 50, 67, 3, dilation=4, pad=4, head="bias relu residual points"),
    Case(2, 74, 70, 64, 3, dilation=19, pad=20, head="bias relu residual beside each points"),
    Case(4, 70, 64, 35, 11, pad=2, head="relu residual first points"),  # three parts
    Case(3, 90, 33, 40, 9, dilation=3, pad=12, head="bias relu residual beside points"),
    Case(1, 300, 40, 40, 4, dilation=2, head="points"),
    Case(2, 500, 300, 33, 6, pad=2, head="bias points"),  # sums of several parts, several blocks
]
WIDE = [  # weights pass in several parts: of channels, of taps, or of both
    Case(4, 9, 150, 17, 9, pad=4, head="bias relu beside"),
    Case(1, 300, 385, 33, 2, head="residual"),
    Case(3, 270, 193, 40, 3, dilation=2, pad=2, groups=2, head="bias relu residual"),
]


LETTERS = [  # sums of the weights' rows
    Case(4, 60, 4, 33, 19, head="letters bias relu"),
    Case(3, 41, 4, 48, 7, stride=2, pad=3, head="letters bias residual first relu"),
    Case(5, 50, 5, 16, 4, dilation=3, pad=2, head="letters beside each relu"),
    Case(2, 600, 4, 17, 5, pad=4, head="letters residual"),
    Case(1, 9, 15, 130, 9, pad=8, head="letters bias"),
    Case(2, 30, 16, 32, 3, head="letters"),  # as many channels as letters are not
]


def assert_right(case: Case, dtype: torch.dtype, device: Any = "cpu") -> None:
    forward, back = case.forward(dtype, device), case.backward(dtype, device)
    made, is_open = conv(**forward)
    expected, truly_open = naive.conv(**changed(forward, Tensor.double))
    assert_near(made, expected)
    if forward["beside"] is not None:
        assert_chords_near(is_open, truly_open, changed(forward, Tensor.double))
    elif dtype == torch.float64:
        assert_equal(is_open, truly_open)
    assert_near(conv_backward(**back), naive.conv_backward(**changed(back, Tensor.double)))


def assert_chords_near(got: Tensor, expected: Tensor, forward: dict[str, Any]) -> None:
    """A chord is as exact as the rise that it spans: values that are near each other say little of it."""
    joined = forward["residual"] if forward["residual_first"] else None
    plain = {"residual": joined, "relu": False, "beside": None}
    entering, _ = naive.conv(**{**forward, **plain})
    way = (entering - forward["beside"]).abs()
    atol = 32 * torch.finfo(got.dtype).eps * entering.abs().max().item()
    torch.testing.assert_close(got * way, expected * way, rtol=0, atol=atol)


@pytest.mark.parametrize("case", [*CASES, *WIDE, *POINTS, *LETTERS])
def test_naive_is_torchs_convolution(case: Case) -> None:
    forward, back = case.forward(torch.float64), case.backward(torch.float64)
    weight = case.weight(forward["given"])
    forward["weight"] = pack_weight(weight, case.groups)
    back["weight"] = pack_backward(weight, case.groups, case.dilation)
    x = forward["given"].requires_grad_()
    after = (case.length - 1) * case.stride + (case.taps - 1) * case.dilation + 1
    padded = F.pad(x.mT, (case.pad, after - case.pad - case.positions))
    taps, steps = weight.permute(2, 1, 0), (case.stride, 0, case.dilation, case.groups)
    made = F.conv1d(padded, taps, None, *steps).mT
    y = made if forward["bias"] is None else made + forward["bias"]
    joined = 0.0 if forward["residual"] is None else forward["residual"]
    if forward["relu"]:
        y = F.relu(y + joined) if forward["residual_first"] else F.relu(y) + joined
    else:
        y = y + joined
    torch.testing.assert_close(naive.conv(**forward)[0], y, rtol=0, atol=1e-11)
    cotangent = back["given"] if back["slope"] is None else back["given"] * back["slope"]
    (gradient,) = torch.autograd.grad(made, x, cotangent)
    gradient = gradient if back["residual"] is None else gradient + back["residual"]
    torch.testing.assert_close(naive.conv_backward(**back), gradient, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", [*CASES, *WIDE, *POINTS, *LETTERS])
def test_equals_naive(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    with poisoned_malloc():
        assert_right(case, dtype, device)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, threads_used, threads) -> None:
    threads(threads_used)
    # the last are large enough to be shared between threads: by samples, by positions
    for case in [
        *CASES[:9],
        WIDE[0],
        *POINTS[:5],
        *LETTERS[:4],
        Case(9, 70, 16, 40, 3),
        Case(2, 900, 16, 40, 3, head="relu"),
    ]:
        for dtype in DTYPES:
            with instruction_set(isa):
                assert_right(case, dtype)


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.integers(1, 7), st.integers(1, 60), st.integers(1, 40), st.integers(1, 70), st.integers(1, 9),
    st.integers(1, 4), st.integers(1, 6), st.integers(-2, 9), st.integers(1, 3),
    st.sampled_from(
        ["", "bias relu", "relu residual first", "residual", "bias relu residual beside", "relu beside each"]
    ),
    st.integers(0, 2**16),
)  # fmt: skip
def test_any_layer(
    samples: int, positions: int, wide: int, made: int, taps: int, stride: int, dilation: int, pad: int,
    groups: int, head: str, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    case = Case(samples, positions, wide, made, taps, stride, dilation, pad, groups, head)
    assert_right(case, torch.float32)


@pytest.mark.parametrize("case", [*CASES[1:], *WIDE, *POINTS, *LETTERS])
def test_a_sample_is_the_same_to_the_bit_whatever_lies_beside_it(case: Case) -> None:
    """Tiles of samples, tiles of positions, lists of channels: none of them changes a sum's order."""
    forward, back = case.forward(torch.float32), case.backward(torch.float32)
    whole, whole_back = conv(**forward), conv_backward(**back)
    for n in (1, 2, 4):
        made, is_open = conv(**last(n, forward))
        assert_equal(made, whole[0][-n:])
        assert_equal(is_open, whole[1][-n:])
        assert_equal(conv_backward(**last(n, back)), whole_back[-n:])


@pytest.mark.parametrize("case", POINTS)
def test_four_outputs_at_once_are_made_otherwise_than_tap_by_tap(case: Case) -> None:
    """Or else the cases above would say nothing of it; behind a gate that shuts half, tap by tap is faster."""
    forward, back = case.forward(torch.float32), case.backward(torch.float32)
    made, plain = (conv(**{**forward, "winograd": w})[0] for w in (forward["winograd"], None))
    assert not torch.equal(made[0], plain[0])
    back["slope"] = None
    made, plain = (conv_backward(**{**back, "winograd": w}) for w in (back["winograd"], None))
    assert not torch.equal(made[0], plain[0])


@pytest.mark.parametrize(
    ("taps", "wide", "made", "groups", "pays"),
    [
        (1, 64, 64, 1, False), (2, 64, 64, 1, False), (3, 64, 64, 1, True), (4, 16, 16, 1, True),
        (5, 64, 64, 1, False), (6, 64, 64, 1, True), (9, 64, 64, 1, True), (21, 32, 32, 1, True),
        (3, 15, 64, 1, False), (3, 64, 15, 1, False), (3, 64, 64, 2, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backward", [False, True])
def test_weights_at_points_take_little_more_than_twice_the_memory(
    taps: int, wide: int, made: int, groups: int, pays: bool, backward: bool
) -> None:
    weight = torch.randn(taps, wide, made)
    packed = pack_winograd(weight, groups, backward=backward)
    assert (packed is not None) == pays
    assert packed is None or packed.numel() <= 2.4 * pack_weight(weight, groups).numel()


@pytest.mark.parametrize("position", [0, 17, 39])
@pytest.mark.parametrize("values", [(1.0, 1.0), (0.5, 0.0), (-1.0, 0.0), (1.0, -0.0), (1.0, 1e-30)])
def test_what_is_nearly_letters(values: tuple[float, float], position: int) -> None:
    given = torch.eye(4)[torch.randint(0, 4, (2, 40))]
    given[1, position, :2], given[1, position, 2:] = torch.tensor(values), 0.0
    weight = torch.randn(5, 4, 32)
    made, _ = conv(given, pack_weight(weight), channels=32, pad=2, length=40)
    wanted = F.conv1d(given.mT, weight.permute(2, 1, 0), padding=2).mT
    torch.testing.assert_close(made, wanted)


@pytest.mark.parametrize("case", POINTS)
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_outputs_of_the_same_inputs_are_the_same_to_the_bit(case: Case, level: float) -> None:
    """Where letters are missing, for one: a ReLU is shut at 0, and a max-pool takes the first of its largest."""
    forward = case.forward(torch.float32)
    forward |= {"relu": False, "residual": None, "beside": None}
    reach = (case.taps - 1) * case.dilation
    end = min(10 + reach + 8, case.positions - 1)
    forward["given"][:, 10:end] = level
    made, _ = conv(**forward)
    same = made[:, 10 + case.pad : end + case.pad - reach]
    assert same.shape[1] > 1
    assert_equal(same, same[:, :1].expand_as(same))
    if level == 0:
        bias = forward["bias"]
        assert_equal(same, (torch.zeros(1) if bias is None else bias).expand_as(same))


def last(n: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same of the last n samples."""
    of_samples = ("given", "residual", "slope", "beside")
    return {k: v[-n:] if k in of_samples and v is not None else v for k, v in arguments.items()}


def test_no_samples_and_no_positions() -> None:
    case = Case(3, 12, 4, 6, 3, pad=1, head="bias relu residual")
    forward, back = case.forward(torch.float32), case.backward(torch.float32)
    for name in ("given", "residual", "slope"):
        forward[name] = forward[name][:0] if name in forward else None
        back[name] = back[name][:0]
    forward.pop("slope")
    assert conv(**forward)[0].shape == (0, 12, 6)
    assert conv_backward(**back).shape == (0, 12, 4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    "case",
    [
        *(Case(n, 20, 8, 6, 3, pad=1, head="relu") for n in (2, 3)),
        replace(POINTS[1], head="relu points"),
        LETTERS[0],
    ],
)
def test_what_is_not_finite(value: float, case: Case) -> None:
    forward, back = case.forward(torch.float32), case.backward(torch.float32)
    forward["given"][0, 7, 2] = value
    back["given"][0, 7, 2] = value
    for got, expected in (
        *zip(conv(**forward), naive.conv(**forward), strict=True),
        (conv_backward(**back), naive.conv_backward(**back)),
    ):
        assert torch.equal(got.isnan(), expected.isnan())
        torch.testing.assert_close(got, expected, equal_nan=True, rtol=1e-5, atol=1e-5)


def test_a_closed_gate_stops_what_is_not_finite() -> None:
    back = Case(3, 20, 8, 6, 3, pad=1, head="relu").backward(torch.float32)
    back["given"][0, 7, 2] = torch.nan
    back["slope"][0, 7, 2] = 0
    assert conv_backward(**back).isfinite().all()


def test_the_chord_between_like_values_and_unlike_ones() -> None:
    a = torch.tensor([2.0, 2.0, -1.0, 0.0, 0.0, 3.0, -3.0, 1e-30, torch.nan, 1.0])
    b = torch.tensor([2.0, 1.0, -2.0, 0.0, -1.0, -1.0, 1.0, -1e-30, 1.0, 0.0])
    expected = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.75, 0.25, 0.5, 0.0, 1.0])
    _, slope = conv(
        a.view(1, -1, 1), pack_weight(torch.ones(1, 1, 1)), channels=1, length=len(a), relu=True,
        beside=b.view(1, -1, 1),
    )  # fmt: skip
    assert_equal(slope.flatten(), expected)


def test_strided_arguments() -> None:
    case = CASES[2]
    for op, arguments in (
        (conv, case.forward(torch.float32)),
        (conv_backward, case.backward(torch.float32)),
    ):
        apart = changed(arguments, strided)
        assert not apart["given"].is_contiguous()
        for got, expected in zip(op(**apart), op(**arguments), strict=True):
            assert_equal(got, expected)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[10], POINTS[1]])
def test_opcheck(case: Case, dense: bool, device: torch.device) -> None:
    a, b = case.forward(torch.float32, device), case.backward(torch.float32, device)
    if not dense:
        a["given"], b["given"] = (t["given"].mT.contiguous().mT for t in (a, b))
    sizes = [a["channels"], case.stride, case.dilation, case.pad, a["length"]]
    forward = (
        a["given"],
        a["weight"],
        a["winograd"],
        a["bias"],
        a["residual"],
        a["beside"],
        a["residual_first"],
        a["relu"],
        sizes,
    )
    torch.library.opcheck(torch.ops.nucleoscope.conv.default, forward)
    sizes = [b["channels"], case.taps, case.stride, case.dilation, case.pad, b["length"]]
    back = (b["given"], b["weight"], b["winograd"], b["slope"], b["residual"], sizes)
    torch.library.opcheck(torch.ops.nucleoscope.conv_backward.default, back)


def test_meta_gives_the_shape_alone() -> None:
    def there(arguments: dict[str, Any]) -> dict[str, Any]:
        return {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in arguments.items()}

    case = CASES[2]
    made, is_open = conv(**there(case.forward(torch.float64)))
    assert (made.device.type, made.dtype, made.shape) == ("meta", torch.float64, (7, 40, 32))
    assert (is_open.dtype, is_open.shape) == (torch.uint8, (7, 40, 32))
    assert conv_backward(**there(case.backward(torch.float64))).shape == (7, 40, 64)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


WEIGHT = zeros(3, 4, 6)
FORWARD = {
    "given": zeros(2, 9, 4), "weight": pack_weight(WEIGHT), "channels": 6, "pad": 1, "length": 9, "relu": True,
    "bias": zeros(6), "residual": zeros(2, 9, 6),
}  # fmt: skip
BACK = {
    "given": zeros(2, 9, 6), "weight": pack_backward(WEIGHT), "channels": 4, "taps": 3, "pad": 1, "length": 9,
    "slope": zeros(2, 9, 6, dtype=torch.uint8), "residual": zeros(2, 9, 4),
}  # fmt: skip
OPS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "conv": (conv, FORWARD),
    "conv_backward": (conv_backward, BACK),
}


@pytest.mark.parametrize(
    ("op", "change", "error", "message"),
    [
        ("conv", {"given": zeros(2, 9, 4).half()}, TypeError, "given has dtype torch.float16"),
        ("conv", {"given": zeros(9, 4)}, ValueError, "given has 2 axes"),
        ("conv", {"weight": FORWARD["weight"].double()}, TypeError, "weight has dtype torch.float64"),
        ("conv", {"weight": WEIGHT}, ValueError, "weight has 3 axes"),
        ("conv", {"weight": pack_weight(zeros(3, 5, 6))}, ValueError, "does not take 4 channels to 6"),
        ("conv", {"channels": 60}, ValueError, r"make it with pack_weight\(weight"),
        ("conv", {"winograd": zeros(6, 1, 1, 4, 16).double()}, TypeError, "winograd has dtype torch.float64"),
        ("conv", {"winograd": zeros(7, 1, 1, 4, 16)}, ValueError, "is not of 3 taps from 4 channels to 6 in 1"),
        ("conv", {"winograd": pack_weight(WEIGHT)}, ValueError, "make it with pack_winograd of the same"),
        ("conv_backward", {"winograd": zeros(6, 1, 1, 4, 16)}, ValueError, "from 6 channels to 4 in 1 groups"),
        ("conv", {"stride": 0}, ValueError, "stride=0 and dilation=1 must be at least 1"),
        ("conv", {"length": 0}, ValueError, "length=0 must be at least 1"),
        ("conv", {"bias": zeros(5)}, ValueError, r"bias has shape \[5\], must have \[6\]"),
        ("conv", {"bias": zeros(6).double()}, TypeError, "bias has dtype torch.float64"),
        ("conv", {"residual": zeros(2, 8, 6)}, ValueError, r"shape \[2, 8, 6\], must have \[2, 9, 6\]"),
        ("conv", {"residual": zeros(3, 9, 6)}, ValueError, "but N is 2 in given"),
        ("conv", {"beside": zeros(3, 9, 6)}, ValueError, r"beside has shape \[3, 9, 6\], must have \[2"),
        ("conv", {"beside": zeros(1, 9, 6).double()}, TypeError, "beside has dtype torch.float64"),
        ("conv", {"beside": zeros(1, 9, 6), "relu": False}, ValueError, "give it with relu=True"),
        ("conv_backward", {"given": zeros(2, 9, 5)}, ValueError, "does not take 5 channels to 4"),
        ("conv_backward", {"weight": pack_weight(WEIGHT)}, ValueError, r"pack_backward\(weight"),
        ("conv_backward", {"taps": 5}, ValueError, "does not take 6 channels to 4"),
        ("conv_backward", {"dilation": 2}, ValueError, r"pack_backward\(weight, dilation=2\)"),
        (
            "conv_backward",
            {"taps": 4, "weight": pack_backward(WEIGHT, dilation=2), "dilation": 2},
            ValueError,
            "taps=4, but weight .* was packed of others",
        ),
        ("conv_backward", {"slope": zeros(2, 9, 6).double()}, TypeError, "slope has dtype"),
        ("conv_backward", {"slope": zeros(2, 9, 5)}, ValueError, "slope .* has shape"),
        ("conv_backward", {"residual": zeros(2, 9, 6)}, ValueError, r"must have \[2, 9, 4\]"),
        ("conv_backward", {"dilation": 0}, ValueError, "stride=1 and dilation=0"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(
    op: str, change: dict[str, Any], error: Any, message: str
) -> None:
    call, accepted = OPS[op]
    call(**accepted)
    with pytest.raises(error, match=f"{op}: .*{message}"):
        call(**{**accepted, **change})
