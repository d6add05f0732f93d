"""delta_conv: C++ gives what the definition gives, which is the change of a real convolution."""

from __future__ import annotations

from dataclasses import replace
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
from nucleoscope.naive.ops.delta_conv import unpack_weight
from nucleoscope.ops import Original, Rows, delta_conv, pack_weight, to_bf16, to_tf32
from tests.ops.conv_cases import CASES, HEADS, Case, in_full, judged, tolerance
from tests.ops.conv_refusals import REFUSED, accepted
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    changed,
    instruction_set,
    laid,
    poisoned_malloc,
    read_off,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")


def assert_close(got: Tensor, case: dict[str, Any]) -> None:
    """As close to the definition in float64 as sums of this many products can be."""
    expected = judged(case)
    assert got.dtype == case["given"].dtype
    assert got.shape == expected.shape
    error, allowed = (got.double() - expected).abs(), tolerance(case)
    assert (error <= allowed).all(), (error - allowed).max()


def real_layer(case: Case, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The layer itself, on original and edited inputs: its change, and its ReLU's originals."""
    weight = unpack_weight(arguments["weight"], case.channels)
    x = torch.randn(case.sites, 1, case.wide, case.length_in, dtype=torch.float64)
    y = torch.randn(case.sites, 1, case.channels, case.length, dtype=torch.float64)
    edited = x + laid(arguments["given"], arguments["rows_in"], case.length_in)
    both = y
    if case.residual:
        both = y + laid(arguments["residual"], arguments["beside"], case.length)

    def convolved(x: Tensor) -> Tensor:
        padded = F.pad(x.flatten(0, 1), (case.pad, case.pad))
        made = F.conv1d(
            padded, weight.permute(2, 1, 0), None, case.stride, 0, case.dilation, case.groups
        )
        return made.unflatten(0, x.shape[:2])

    z = convolved(x) + (y if case.residual_first else 0.0)
    after = convolved(edited) + (both if case.residual_first else 0.0)
    change = torch.relu(after) - torch.relu(z) if case.relu else after - z
    return (change if case.residual_first else change + (both - y)), z[:, 0].mT.contiguous()


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("no ")])
def test_naive_is_the_change_of_a_convolution(name: str) -> None:
    for head in HEADS.values():
        case = CASES[name].with_(head)
        arguments = case.arguments(torch.float64)
        inside = read_off(torch.ones(case.sites, 1, 1, case.length_in), arguments["rows_in"])
        arguments["given"] *= inside  # a delta beyond the ends would change nothing
        change, z = real_layer(case, arguments)
        if case.relu:
            sequence = torch.arange(case.sites, dtype=torch.int32)
            arguments["original"] = Original(z, sequence)
        got = naive.delta_conv(**arguments)
        expected = read_off(change, arguments["rows_out"])
        assert expected.any() or case.relu  # or else nothing is tested
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", CASES)
def test_equals_naive(name: str, head: str, device: torch.device) -> None:
    for dtype in DTYPES:
        arguments = CASES[name].with_(HEADS[head]).arguments(dtype, device)
        assert_close(delta_conv(**arguments), arguments)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set(isa: str, dtype: torch.dtype) -> None:
    for case in CASES.values():
        arguments = case.with_(HEADS["relu, residual behind"]).arguments(dtype)
        with instruction_set(isa), poisoned_malloc():
            got = delta_conv(**arguments)
        assert_close(got, arguments)


def test_naive_of_bfloat16_is_naive_of_rounded_numbers() -> None:
    for name in ("odd", "groups"):  # channels that do not make pairs
        arguments = CASES[name].with_(HEADS["relu"]).arguments(torch.float32)
        channels = arguments["given"].shape[3]
        narrow = {**arguments, "weight": to_bf16(arguments["weight"])}
        rounded = {**arguments, "given": arguments["given"].bfloat16().float()}
        rounded["weight"] = in_full(narrow["weight"], channels)
        apart = (rounded["weight"] - arguments["weight"]).abs().max()
        assert 0 < apart < arguments["weight"].abs().max() / 200
        assert_equal(naive.delta_conv(**narrow), naive.delta_conv(**rounded))


def test_groups_of_one_channel_are_not_rounded() -> None:
    arguments = CASES["depthwise, shared"].arguments(torch.float32)
    assert to_bf16(arguments["weight"]) is arguments["weight"]


@pytest.mark.parametrize("isa", _C.available_isas())
def test_products_of_bfloat16(isa: str) -> None:
    for case in CASES.values():
        arguments = case.with_(HEADS["relu, residual behind"]).arguments(torch.float32)
        arguments["weight"] = to_bf16(arguments["weight"])
        with instruction_set(isa), poisoned_malloc():
            got = delta_conv(**arguments)
        assert_close(got, arguments)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_two_threads(isa: str, dtype: torch.dtype, threads: Any) -> None:
    # large enough to be shared: lists of channels, and rows; in one pass and in several
    for name in ("300 channels", "basset", "dilation 128", "depthwise, shared"):
        arguments = CASES[name].with_(HEADS["relu, residual before"]).arguments(dtype)
        made = []
        for many in (1, 2):
            threads(many)
            with instruction_set(isa), poisoned_malloc():
                made.append(delta_conv(**arguments))
        assert_equal(*made)
        assert_close(made[1], arguments)


ALIKE = {
    "a window narrower than the taps": Case((6,), (14,), 8, 1, 33, 70, 9, pad=4, length=60),
    "several passes": Case((5,), (15,), 7, 1, 300, 40, 11, pad=5, length=60),
    "stride": Case((9,), (6,), 5, 1, 17, 33, 4, 3, 1, pad=2, length=40),
    "pieces": Case((4, 3), (9, 5), 6, 1, 20, 20, 5, 1, 2, pad=4, length=80),
    "groups": Case((6,), (10,), 4, 1, 5, 17, 5, 1, 1, 3, pad=2, length=50),
    "two sites": Case((6,), (14,), 2, 1, 9, 17, 9, pad=4, length=60),
}


def of_sites_alike(
    case: Case, dtype: torch.dtype, apart: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Every site's rows lie alike around it, some beyond the ends; of one site there is no delta.

    Sites lie anywhere, or so many positions behind the one before, as many at one position.
    """
    arguments = case.arguments(dtype)
    site = torch.randint(-3, case.length + 3, (case.sites,))
    if apart:
        site = case.length // 3 + torch.arange(case.sites) // apart[1] * apart[0]
    reach = (case.taps - 1) * case.dilation - case.pad
    for name, places in (
        ("rows_in", site * case.stride),
        ("rows_out", site - reach // case.stride),
    ):
        rows = arguments[name]
        gaps = torch.tensor([11 * piece for piece in range(len(rows.widths))])
        arguments[name] = Rows((places + gaps[:, None]).contiguous(), rows.widths)
    arguments["given"][:, case.sites // 2] = 0
    return arguments


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_sites_side_by_side_are_as_each_alone(isa: str, name: str, head: str) -> None:
    """Of one alternative, where neighbouring sites meet the same taps, one tile takes several of them."""
    for dtype in DTYPES:
        arguments = of_sites_alike(ALIKE[name].with_(HEADS[head]), dtype)
        with instruction_set(isa), poisoned_malloc():
            together = delta_conv(**arguments)
            assert_close(together, arguments)
            for site in range(ALIKE[name].sites):
                assert_equal(delta_conv(**of_site(arguments, site)), together[:, site : site + 1])


@pytest.mark.parametrize("edits", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("apart", [(1, 1), (1, 3), (2, 1), (0, 1)])
@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_neighbours_at_one_position_are_as_each_alone(
    isa: str, name: str, apart: tuple[int, int], edits: int
) -> None:
    """A tile of six rows takes the alternatives of two sites at one position, or the sites of one."""
    case = replace(ALIKE[name], edits=edits, sites=ALIKE[name].sites + 7)
    for dtype in DTYPES:
        arguments = of_sites_alike(case.with_(HEADS["relu, residual behind"]), dtype, apart)
        arguments["given"] *= torch.rand(arguments["given"].shape) < 0.4
        with instruction_set(isa), poisoned_malloc():
            together = delta_conv(**arguments)
            assert_close(together, arguments)
            for site in range(case.sites):
                assert_equal(delta_conv(**of_site(arguments, site)), together[:, site : site + 1])


@pytest.mark.parametrize("edits", [1, 3])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_nan_of_a_site_reaches_no_neighbour(isa: str, edits: int) -> None:
    case = replace(ALIKE["several passes"], edits=edits, sites=8)
    arguments = of_sites_alike(case, torch.float32, (1, 1))
    with instruction_set(isa):
        before = delta_conv(**arguments)
        arguments["given"][:, 3] = torch.nan
        after = delta_conv(**arguments)
    assert after[:, 3].isnan().any()
    others = [0, 1, 2, 4, 5, 6, 7]
    assert_equal(after[:, others], before[:, others])


def of_site(arguments: dict[str, Any], site: int) -> dict[str, Any]:
    """The same arguments for one of the sites."""
    one, here = dict(arguments), slice(site, site + 1)
    for name in ("rows_in", "rows_out", "beside"):
        if name in one:
            one[name] = Rows(one[name].starts[:, here].contiguous(), one[name].widths)
    for name in ("given", "residual"):
        if name in one:
            one[name] = one[name][:, here].contiguous()
    if "original" in one:
        one["original"] = one["original"]._replace(sequence=one["original"].sequence[here])
    return one


counts = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.builds(
        Case, counts, counts, *(st.integers(1, most) for most in (4, 5, 9, 9, 7, 4, 3, 5)),
        pad=st.integers(0, 9), residual=st.just(()) | counts, relu=st.booleans(),
        residual_first=st.booleans(), first=st.integers(-1, 3),
    ),
    st.integers(0, 2**16),
)  # fmt: skip
def test_any_geometry(case: Case, seed: int) -> None:
    torch.manual_seed(seed)
    arguments = case.arguments(torch.float32)
    assert_close(delta_conv(**arguments), arguments)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    case = CASES["two pieces"].with_(HEADS["relu, residual behind"])
    arguments = case.arguments(torch.float32)
    sites = case.sites
    arguments["rows_out"] = Rows(torch.tensor([[-3] * sites, [case.length] * sites]), (3, 5))
    arguments["rows_in"].starts.zero_()
    arguments["given"].fill_(torch.nan)
    assert_equal(delta_conv(**arguments), torch.zeros(8, sites, case.edits, case.channels))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["basset", "groups", "depthwise", "two pieces"])
def test_nan_reaches_who_reads_it_and_nobody_else(name: str, head: str) -> None:
    case = CASES[name].with_(HEADS[head])
    arguments = case.arguments(torch.float32)
    arguments["given"][1:5, :, 1, 3] = torch.nan
    expected, got = naive.delta_conv(**arguments), delta_conv(**arguments)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["residual", "original"])
@pytest.mark.parametrize("head", ["relu, residual before", "relu, residual behind"])
def test_what_joins_may_be_not_finite(head: str, place: str, value: float) -> None:
    arguments = CASES["odd"].with_(HEADS[head]).arguments(torch.float64)
    tensor = arguments["residual"] if place == "residual" else arguments["original"].values
    tensor[1:9:2, ..., 1::3] = value
    got, expected = delta_conv(**arguments), naive.delta_conv(**arguments)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_no_delta_at_all_is_zero_to_the_bit() -> None:
    arguments = CASES["basset"].with_(HEADS["relu"]).arguments(torch.float32)
    arguments["given"].zero_()
    assert_equal(delta_conv(**arguments), torch.zeros_like(judged(arguments)).float())


def test_strided_arguments() -> None:
    arguments = CASES["two pieces"].with_(HEADS["relu, residual behind"]).arguments(torch.float32)
    apart = changed(arguments, strided)
    for name in ("rows_in", "rows_out", "beside"):
        rows = arguments[name]
        apart[name] = Rows(rows.starts.T.contiguous().T, rows.widths)
    apart["original"] = apart["original"]._replace(sequence=strided(arguments["original"].sequence))
    assert_equal(delta_conv(**apart), delta_conv(**arguments))
    assert_close(delta_conv(**apart), arguments)


def test_a_linear_over_a_flattened_layer() -> None:
    case = CASES["flatten, linear"]
    arguments = case.arguments(torch.float64)
    flat = laid(arguments["given"], arguments["rows_in"], case.taps)  # [S, E, C_in, K]
    weight = unpack_weight(arguments["weight"], case.channels)
    expected = F.linear(flat.flatten(2), weight.permute(2, 1, 0).flatten(1))
    arguments["rows_out"] = Rows(torch.zeros(1, case.sites, dtype=torch.int64), (1,))
    torch.testing.assert_close(delta_conv(**arguments)[0], expected, rtol=0, atol=1e-11)


def schema(arguments: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments as torch.ops takes them."""
    a = arguments
    sizes = [*(a[name] for name in ("channels", "stride", "dilation", "pad", "length")), 0]
    return (
        a["given"], *a["rows_in"], *a["rows_out"], a["weight"],
        *a.get("original", (None, None, 0)), a.get("residual"), *a.get("beside", (None, ())),
        a.get("residual_first", False), sizes,
    )  # fmt: skip


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("head", ["plain", "relu, residual behind"])
def test_opcheck(head: str, dense: bool, device: torch.device) -> None:
    arguments = CASES["groups"].with_(HEADS[head]).arguments(torch.float32, device)
    if not dense:
        arguments["given"] = arguments["given"].mT.contiguous().mT
    torch.library.opcheck(torch.ops.nucleoscope.delta_conv.default, schema(arguments))


def test_meta_gives_the_shape_alone() -> None:
    case = CASES["two pieces"].with_(HEADS["relu, residual behind"])
    out = delta_conv(**changed(case.arguments(torch.float64), lambda tensor: tensor.to("meta")))
    assert (out.device.type, out.dtype) == ("meta", torch.float64)
    assert out.shape == (sum(case.rows_out), case.sites, case.edits, case.channels)


@pytest.mark.parametrize(("wide", "channels", "groups"), [(5, 33, 1), (2, 34, 2), (3, 7, 7)])
def test_pack_weight(wide: int, channels: int, groups: int) -> None:
    weight, made = torch.randn(3, wide, channels), channels // groups
    packed = pack_weight(weight, groups)
    assert packed.shape == (groups, -(-made // 16), 3, wide, 16)
    for g, part in enumerate(packed.permute(0, 2, 3, 1, 4).flatten(3)):
        assert_equal(part[..., :made], weight[..., g * made : (g + 1) * made])
        assert not part[..., made:].any()


@pytest.mark.parametrize("groups", [1, 7])
def test_pack_weight_of_one_channel_a_group(groups: int) -> None:
    weight = torch.randn(3, 1, 14)
    packed = pack_weight(weight, groups)
    assert_equal(packed, weight[:, 0])
    assert_equal(unpack_weight(packed, 14), weight)


@pytest.mark.parametrize("name", ["odd", "groups", "depthwise, multiplied", "no channels out"])
def test_weights_packed_for_a_gpu_mean_the_same(name: str) -> None:
    arguments = CASES[name].with_(HEADS["relu"]).arguments(torch.float32)
    case, packed = CASES[name], arguments["weight"]
    plain = unpack_weight(packed, case.channels)
    for_gpu = pack_weight(plain, case.groups, torch.device("cuda"))
    if case.wide_part > 1:
        padded = -(-case.wide_part // 16) * 16
        assert for_gpu.shape == (case.groups, case.taps, case.made_part, padded)
        assert not for_gpu[..., case.wide_part :].any()
    assert_equal(unpack_weight(for_gpu, case.channels, case.wide_part), plain)
    for change in (lambda weight: weight, to_bf16, to_tf32):
        same = [
            naive.delta_conv(**{**arguments, "weight": change(each)}) for each in (packed, for_gpu)
        ]
        assert_equal(*same)


def test_naive_of_tf32_is_naive_of_rounded_numbers() -> None:
    arguments = CASES["odd"].with_(HEADS["relu"]).arguments(torch.float32)
    rounded = {**arguments, "given": to_tf32(arguments["given"])}
    rounded["weight"] = to_tf32(arguments["weight"])
    apart = (arguments["given"] - rounded["given"]).abs()
    assert apart.any()
    assert (apart <= arguments["given"].abs() * 2.0**-11).all()
    assert_equal(naive.delta_conv(**arguments, tf32=True), naive.delta_conv(**rounded))
    shared = CASES["depthwise, shared"].arguments(torch.float32)
    assert to_tf32(shared["weight"]) is shared["weight"]
    assert_equal(naive.delta_conv(**shared, tf32=True), naive.delta_conv(**shared))


def test_a_small_delta_keeps_its_digits_where_groups_have_one_channel() -> None:
    arguments = CASES["depthwise"].with_(HEADS["relu"]).arguments(torch.float32)
    arguments["given"] *= 1e-20
    arguments["original"].values.abs_().add_(1.0)  # above the kink
    assert_close(delta_conv(**arguments), arguments)


def test_what_the_refusals_change_is_accepted() -> None:
    assert delta_conv(**accepted()).shape == (2, 4, 3, 20)


@pytest.mark.parametrize(("change", "error", "message"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_bad_arguments_are_refused(change: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"delta_conv: .*{message}"):
        delta_conv(**{**accepted(), **change})
