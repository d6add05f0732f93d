"""delta_chain against the same ops called singly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.ops.windows import LENGTH, rows
from nucleoscope import ops
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Kept, Letters, Link, Rows, delta_chain, pack_weight


def kept(channels: int, length: int = LENGTH) -> Kept:
    return Kept(torch.randn(1, length, channels))


def filters(taps: int, wide: int, channels: int) -> Tensor:
    return pack_weight(torch.randn(taps, wide, channels) / (taps * wide) ** 0.5)


def halved(given: Tensor) -> Tensor:
    """Half the channels are not changed by any edit of a site, as behind a ReLU."""
    return given * (torch.rand(*given.shape[:2], 1, given.shape[3]) < 0.5)


def cells(sites: int, first: int, width: int, stride: int) -> Rows:
    """The cells that windows of neighbouring sites reach: at most so many."""
    return Rows(rows(sites, 1, first).starts // stride, ((width + stride - 2) // stride + 1,))


def pool(link: int, on: Rows, channels: int, taps: int, length_in: int) -> Link:
    values = torch.randn(1, length_in, channels)
    pooled = F.max_pool1d(values.mT, taps).mT.contiguous()
    return Link(
        "delta_max_pool", on, channels, length_in // taps, link, original=Kept(values),
        second=Kept(pooled), taps=taps, stride=taps, length_in=length_in,
    )  # fmt: skip


def basset(sites: int) -> tuple[list[Link], list[Any]]:
    """Its three convolutions and the pools between them."""
    x, third, twelfth = rows(sites, 19), LENGTH // 3, LENGTH // 12
    y = cells(sites, 1000, 19, 3)
    z = Rows(y.starts - 5, (y.widths[0] + 10,))
    p = Rows(z.starts // 4, ((z.widths[0] + 2) // 4 + 1,))
    last = Rows(p.starts - 3, (p.widths[0] + 6,))
    table = torch.randn(19, 4, 300)
    return [
        Link("edit_lookup", x, 300, LENGTH, weight=table, original=kept(300), taps=19, pad=9),
        pool(0, y, 300, 3, LENGTH),
        Link("delta_conv", z, 200, third, 1, -1, filters(11, 300, 200), kept(200, third), pad=5),
        pool(2, p, 200, 4, third),
        Link("delta_conv", last, 200, twelfth, 3, -1, filters(7, 200, 200), kept(200, twelfth), pad=3),
    ], []  # fmt: skip


def bpnet(sites: int, channels: int, *dilations: int) -> tuple[list[Link], list[Any]]:
    """The last dilated layers, each x + relu(conv(x)), and the mean over the length."""
    first, width = 1000, 2 * dilations[0] + 17
    x = rows(sites, width, first)
    given, links = halved(torch.randn(width, sites, 3, channels)), []
    for at, dilation in enumerate(dilations):
        first, width = first - dilation, width + 2 * dilation
        links.append(
            Link("delta_conv", rows(sites, width, first), channels, LENGTH, at, at,
                 filters(3, channels, channels), kept(channels), dilation=dilation, pad=dilation)
        )  # fmt: skip
    none, scales = Rows(torch.zeros(1, sites, dtype=torch.int64), (1,)), (1 / LENGTH, 1.0)
    links.append(Link("delta_sum", none, channels, 1, len(dilations), taps=LENGTH, factors=scales))
    return links, [(given, x)]


def spliceai(sites: int) -> tuple[list[Link], list[Any]]:
    """One residual block of dilation 4: ReLU, convolution, ReLU, convolution, and the sum."""
    x, y, z = rows(sites, 81), rows(sites, 121, 980), rows(sites, 161, 960)
    weights = [filters(11, 32, 32) for _ in range(2)]
    return [
        Link("delta_pointwise", x, 32, LENGTH, 0, original=kept(32)),
        Link("delta_conv", y, 32, LENGTH, 1, -1, weights[0], kept(32), dilation=4, pad=20),
        Link("delta_conv", z, 32, LENGTH, 2, 0, weights[1], dilation=4, pad=20),
    ], [(halved(torch.randn(81, sites, 3, 32)), x)]


CASES: dict[str, tuple[int, Callable[[int], tuple[list[Link], list[Any]]]]] = {
    "basset-first-three-layers": (40, basset),
    "bpnet-last-two-layers-and-mean": (20, lambda sites: bpnet(sites, 64, 128, 256)),
    "chrombpnet-512-two-layers-and-mean": (4, lambda sites: bpnet(sites, 512, 8, 16)),
    "spliceai-residual-block": (40, spliceai),
}
SIDES = {"ours": delta_chain, "op by op": partial(naive.delta_chain, by=ops)}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    sites, make = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"delta_chain {request.param}"
    links, given = make(sites)
    old = torch.randint(0, 4, (sites,), dtype=torch.int32)
    new = (old[:, None] + torch.arange(1, 4, dtype=torch.int32)) % 4
    site = torch.arange(1009, 1009 + sites)
    letters = Letters(torch.zeros(sites, dtype=torch.int32), site, old, new)
    return {
        "links": links,
        "letters": letters,
        "given": given,
        "asked": [len(given) + len(links) - 1],
    }


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def bench_delta_chain(benchmark, case, side: Callable[..., list[Tensor]]) -> None:
    (got,), (expected,) = side(**case), naive.delta_chain(**case)
    assert expected.any()
    # no time is reported of a wrong answer
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    benchmark(side, **case)
