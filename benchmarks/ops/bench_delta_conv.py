"""delta_conv against plain PyTorch: a product a tap over its live rows, and one wide product."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.ops.windows import LENGTH, original, rows, taken
from nucleoscope.naive import ops as naive
from nucleoscope.ops import delta_conv, pack_weight

CASES = {  # taps, dilation, channels in and out, rows given, sites; three alternatives each
    "basset-conv2": (11, 1, 300, 200, 7, 40),
    "basset-dense": (1, 1, 1000, 1000, 1, 40),
    "bpnet-dilation-128": (3, 128, 64, 64, 273, 20),
    "chrombpnet-512-dilation-8": (3, 8, 512, 512, 49, 4),
    "spliceai-k11-dilation-4": (11, 4, 32, 32, 81, 20),
}
RESIDUAL = ("bpnet", "chrombpnet")  # x + relu(conv(x))


def per_tap(*, given: Tensor, plain: Tensor, dilation: int, **rest: Any) -> Tensor:
    """Sites alike, stride 1: one tap is one product in place, from a block of rows to a block."""
    out = given.new_zeros(rest["rows_out"].widths[0], *given.shape[1:3], plain.shape[2])
    for tap, matrix in enumerate(plain):
        first = (len(plain) - 1 - tap) * dilation
        block = out[first : first + len(given)].flatten(0, 2)
        block.addmm_(given.flatten(0, 2), matrix)
    return with_head(out, given, dilation, **rest)


def wide(*, given: Tensor, plain: Tensor, dilation: int, **rest: Any) -> Tensor:
    """One product with the weights of all taps, then each tap's part is added where it belongs."""
    out = given.new_zeros(rest["rows_out"].widths[0], *given.shape[1:3], plain.shape[2])
    every = (given.flatten(0, 2) @ rest["side_by_side"]).view(*given.shape[:3], len(plain), -1)
    for tap in range(len(plain)):
        first = (len(plain) - 1 - tap) * dilation
        out[first : first + len(given)] += every[:, :, :, tap]
    return with_head(out, given, dilation, **rest)


def with_head(out: Tensor, given: Tensor, reach: int, **rest: Any) -> Tensor:
    """The ReLU's change, and the residual on the rows that were given."""
    z = taken(rest["original"], rest["rows_out"])
    torch.maximum(out.add_(z.clamp(max=0.0)), -z.clamp(min=0.0), out=out)
    if "residual" in rest:
        out[reach : reach + len(given)] += rest["residual"]
    return out


@pytest.fixture(params=[1.0, 0.5], ids=["all channels", "half the channels"])
def alive(request: pytest.FixtureRequest) -> float:
    """How many channels any edit of a site changes: behind a ReLU, far from all."""
    return float(request.param)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, alive: float) -> dict[str, Any]:
    taps, dilation, channels_in, channels, width, sites = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_conv {request.param}, {alive:.0%} alive"
    reach = (taps - 1) * dilation
    plain = torch.randn(taps, channels_in, channels) / (taps * channels_in) ** 0.5
    on = rows(sites, width)
    live = torch.rand(width, sites, 1, channels_in) < alive
    given = torch.randn(width, sites, 3, channels_in) * live
    joins = {"residual": given, "beside": on} if request.param.startswith(RESIDUAL) else {}
    return {
        "given": given, "rows_in": on, "weight": pack_weight(plain), "channels": channels,
        "rows_out": rows(sites, width + reach, 1000 - reach // 2), "dilation": dilation,
        "pad": reach // 2, "length": LENGTH, "original": original(sites, channels), **joins,
        "plain": plain, "side_by_side": plain.permute(1, 0, 2).flatten(1),
    }  # fmt: skip


def without_plain(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The op on the arguments that are its own."""

    def call(*, plain: Tensor, side_by_side: Tensor, **rest: Any) -> Tensor:
        del plain, side_by_side
        return op(**rest)

    return call


SIDES = {
    "ours": without_plain(delta_conv),
    "torch, per tap": per_tap,
    "torch, wide": wide,
    "naive": without_plain(naive.delta_conv),
}


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def bench_delta_conv(benchmark, case, side: Callable[..., Tensor]) -> None:
    # no time is reported of a wrong answer
    torch.testing.assert_close(side(**case), SIDES["naive"](**case), rtol=0, atol=1e-5)
    benchmark(side, **case)
