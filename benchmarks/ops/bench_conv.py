"""conv and conv_backward against torch's convolution and its autograd, one thread each."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.ops import conv, conv_backward, pack_backward, pack_weight

CASES = {  # samples, positions, channels in and out, taps, dilation, pad, share of gradients that are not zero
    "bpnet-letters": (6, 2114, 4, 64, 21, 1, 10, 0.5),
    "bpnet-dilation-8": (6, 2114, 64, 64, 3, 8, 8, 0.5),
    "bpnet-one-sequence": (1, 2114, 64, 64, 3, 8, 8, 0.5),
    "basset-letters": (6, 600, 4, 300, 19, 1, 0, 0.2),
    "basset-conv2": (6, 194, 300, 200, 11, 1, 0, 0.2),
    "chrombpnet-512-dilation-8": (3, 2114, 512, 512, 3, 8, 8, 0.5),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, threads: Any) -> dict[str, Any]:
    threads(1)
    many, wide, channels, made, taps, dilation, pad, alive = CASES[request.param]
    request.getfixturevalue("benchmark").group = f"conv {request.param}"
    length = wide + 2 * pad - (taps - 1) * dilation
    weight = torch.randn(taps, channels, made) / (taps * channels) ** 0.5
    x, bias = torch.randn(many, wide, channels), torch.randn(made)
    steps = {"dilation": dilation, "pad": pad}
    forward = {
        "weight": pack_weight(weight),
        "channels": made,
        "length": length,
        "bias": bias,
        "relu": True,
    }
    _, is_open = conv(x, **forward, **steps)
    # the steps of a path nearly agree on which gradients are zero
    gradient = torch.randn(many, length, made) * (torch.rand(1, length, made) < alive)
    back = {
        "weight": pack_backward(weight, 1, dilation), "channels": channels, "taps": taps, "length": wide,
        "slope": is_open,
    }  # fmt: skip
    theirs = x.mT.contiguous().requires_grad_()
    kernel = weight.permute(2, 1, 0).contiguous()
    return {
        "x": x, "forward": forward | steps, "gradient": gradient, "back": back | steps, "theirs": theirs,
        "layer": lambda: F.relu(F.conv1d(theirs, kernel, bias, 1, pad, dilation)),
        "theirs_gradient": gradient.mT.contiguous(),
    }  # fmt: skip


def forward(*, x: Tensor, forward: dict[str, Any], **_: Any) -> Tensor:
    return conv(x, **forward)[0]


def torch_forward(*, layer: Callable[[], Tensor], **_: Any) -> Tensor:
    with torch.no_grad():
        return layer().mT


def back(*, gradient: Tensor, back: dict[str, Any], **_: Any) -> Tensor:
    return conv_backward(gradient, **back)


def torch_back(*, theirs: Tensor, made: Tensor, theirs_gradient: Tensor, **_: Any) -> Tensor:
    return torch.autograd.grad(made, theirs, theirs_gradient, retain_graph=True)[0].mT


SIDES = {
    "forward": (forward, torch_forward),
    "backward": (back, torch_back),
}


@pytest.mark.parametrize("whose", ["ours", "torch"])
@pytest.mark.parametrize("way", SIDES)
def bench_conv(benchmark: Any, case: dict[str, Any], way: str, whose: str) -> None:
    if way == "backward":
        case["made"] = case["layer"]()
    ours, theirs = SIDES[way]
    torch.testing.assert_close(ours(**case), theirs(**case), rtol=0, atol=1e-4)
    benchmark(ours if whose == "ours" else theirs, **case)
