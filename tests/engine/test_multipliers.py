"""DeepLIFT's multipliers add up in float64, whatever the op, and are the gradient where nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.engine.gradients.multipliers import Multipliers
from nucleoscope.engine.gradients.secants.choose import NoRule
from nucleoscope.engine.tracing.trace import trace
from nucleoscope.engine.values.forward import Forward
from tests import field, nets
from tests.parts import Net, conv, lively, sequences

DOUBLE = torch.float64


def read(output: Tensor) -> Tensor:
    """Two numbers of any output; weights of changing sign keep sums on the way small, and so their rounding."""
    flat = output.flatten(1)
    return torch.stack([flat @ torch.cos(torch.arange(flat.shape[1], dtype=DOUBLE)), flat[:, 0]], 1)


def opened(
    model: nn.Module, X: Tensor, others: tuple[Tensor, ...] = (), integrate: bool = False
) -> Multipliers:
    graph = trace(model, X, others)
    return Multipliers(Forward(graph, DOUBLE, X.device, pack=False), read, integrate)


def assert_exact(
    model: nn.Module, length: int, integrate: bool = False, differentiable: bool = True
) -> None:
    X, B = (sequences(3, length, seed) for seed in (0, 5))
    assert_exact_between(model, X, B, (), integrate, differentiable)


def assert_exact_between(
    model: nn.Module, X: Tensor, B: Tensor, others: tuple[Tensor, ...] = (), integrate: bool = False,
    differentiable: bool = True,
) -> None:  # fmt: skip
    model, X, B = model.double(), X.double(), B.double()
    others = tuple(t.double() for t in others)
    held = opened(model, X, others, integrate)
    originals = held.originals(X, others)
    values, m = held(originals, B, others)
    torch.testing.assert_close(values, read(model(B, *others)).detach(), rtol=1e-9, atol=1e-11)
    change = originals.output - values
    added = (m * (X - B)[:, None]).flatten(2).sum(2)
    scale = change.abs().max() + 1e-3 * originals.output.abs().max()
    assert scale > 0
    assert (added - change).abs().max() < 1e-10 * scale
    if held.one_serves_all:
        one = held.originals(X[:1], tuple(t[:1] for t in others))
        again = held(one, B, tuple(t[:1].expand_as(t) for t in others))[1]
        assert (again[0] - m[0]).abs().max() <= 1e-10 * m[0].abs().max()
    if not differentiable:
        return
    _, still = held(originals, X, others)
    leaf = X.clone().requires_grad_()
    output = read(model(leaf, *others))
    each = [torch.autograd.grad(output[:, t].sum(), leaf, retain_graph=True)[0] for t in (0, 1)]
    gradient = torch.stack(each, 1)
    assert (still - gradient).abs().max() < 1e-6 * gradient.abs().max()


@pytest.mark.parametrize("name", [n for n in nets.ZOO if n != "recurrent"])
def test_nets(name: str) -> None:
    assert_exact(nets.build(name), nets.ZOO[name][1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in field.FIELD if n != "DanQ"])
def test_the_field(name: str) -> None:
    model, X, others, _ = field.published(name)
    assert_exact_between(model, X, X.flip(2), others)


OPS: dict[str, Callable[[Tensor], Tensor]] = {  # of [B, 6, L] -> anything [B, ...]
    "softmax over the length": lambda h: torch.softmax(h * 3, 2),
    "log-softmax": lambda h: torch.log_softmax(h, 1),
    "log-sum-exp": lambda h: torch.logsumexp(h, (1, 2)),
    "log-add-exp": lambda h: torch.logaddexp(h[:, :3], h[:, 3:]),
    "layer norm": lambda h: F.layer_norm(h, h.shape[1:]),
    "group norm": lambda h: F.group_norm(h, 3, torch.arange(6.0, dtype=DOUBLE)),
    "instance norm": lambda h: F.instance_norm(h),
    "RMS norm": lambda h: F.rms_norm(h.mT, (6,), torch.arange(6.0, dtype=DOUBLE), 1e-3),
    "length of a vector": lambda h: torch.linalg.vector_norm(h, dim=1),
    "standard deviation": lambda h: h.std(2),
    "SiLU written out": lambda h: h * torch.sigmoid(h),
    "tanh-GELU written out": lambda h: (
        0.5 * h * (1 + torch.tanh(0.7978845608 * (h + 0.044715 * h**3)))
    ),
    "GELU written out": lambda h: h * 0.5 * (1 + torch.erf(h / 2**0.5)),
    "choice by its own sign": lambda h: torch.where(h > 0, h, 0.2 * h),
    "square": lambda h: h * h,
    "product": lambda h: h[:, :3] * torch.tanh(h[:, 3:]),
    "quotient": lambda h: h[:, :3] / (1 + torch.exp(h[:, 3:])),
    "one over": lambda h: 1.0 / (2 + torch.tanh(h)),
    "over itself": lambda h: h / (1 + h.abs()),
    "larger of two": lambda h: torch.maximum(h[:, :3], h[:, 3:]),
    "smaller of a number": lambda h: torch.minimum(h, torch.tensor(0.1, dtype=DOUBLE)),
    "largest of all": lambda h: h.amax((1, 2)),
    "largest channel": lambda h: h.max(1).values,
    "overlapping pools": lambda h: F.max_pool1d(F.max_pool1d(h, 3, 1, 1), 4, 2, 1, 2),
    "adaptive pool": lambda h: F.adaptive_max_pool1d(h, 5),
    "two-dimensional pool": lambda h: F.max_pool2d(h, (2, 3)),
    "powers": lambda h: (h.abs() + 0.5) ** 1.7 + h**3 + torch.sqrt(1 + h * h),
    "sine and its kin": lambda h: torch.sin(h) + torch.cos(h) + torch.atan(h) + torch.log1p(h.exp()),
    "mish and hardswish": lambda h: F.mish(h) + F.hardswish(h) + F.selu(h) + F.softplus(h, 2.0),
    "detached": lambda h: h.detach() * 2,
    "used twice": lambda h: torch.relu(torch.relu(h - 0.1) - h),
    "product of matrices": lambda h: torch.einsum("bcl,bdl->bcd", h, torch.tanh(h)),
    "running sum, ends swapped": lambda h: torch.cumsum(h, 2).flip(2).roll(2, 2),
    "mask": lambda h: h.masked_fill(torch.arange(h.shape[2]) > 7, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_ops(name: str) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        made: Tensor = OPS[name](net.first(x))
        return made.unflatten(0, (-1, 1)).flatten(1)

    passed = name != "detached"  # by autograd
    assert_exact(lively(Net(forward, first=conv(4, 6, 5))), 21, differentiable=passed)


@pytest.mark.parametrize("how", ["plain", "causal", "mask", "bias", "one query"])
def test_attention(how: str) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(1, (2, 3)).mT for part in net.first(x).chunk(3, 1))
        if how == "one query":
            q = net.query
        mask = {"mask": net.bias > -1, "bias": net.bias}.get(how)
        made: Tensor = F.scaled_dot_product_attention(q, k, v, mask, is_causal=how == "causal")
        return made.flatten(1)

    parts = {"first": conv(4, 18, 5), "bias": torch.randn(21, 21, dtype=DOUBLE)}
    assert_exact(Net(forward, query=torch.randn(1, 2, 1, 3, dtype=DOUBLE), **parts), 21)


def test_a_softmax_that_saturates_stays_finite() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return torch.softmax(net.first(x) * 2000, 1).flatten(1)

    assert_exact(Net(forward, first=conv(4, 6, 5)), 21, differentiable=False)


def test_written_out_is_as_the_op_itself() -> None:
    """x * sigmoid(x) has SiLU's multipliers, and not those of a product."""
    first, X, B = conv(4, 6, 5), sequences(2, 21).double(), sequences(2, 21, seed=3).double()

    def multipliers(function: Callable[[Tensor], Tensor]) -> Tensor:
        net = Net(lambda net, x: function(net.first(x)).flatten(1), first=first).double()
        held = opened(net, X)
        return held(held.originals(X, ()), B, ())[1]

    torch.testing.assert_close(
        multipliers(lambda h: h * torch.sigmoid(h)), multipliers(F.silu), rtol=1e-10, atol=1e-13
    )


def test_an_op_without_a_rule_is_named() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return net.first(x).sort(2).values.flatten(1)

    with pytest.raises(NoRule, match=r"aten\.sort\.default at .*test_multipliers.*sort\(2\)"):
        opened(Net(forward, first=conv(4, 6, 5)).double(), sequences(1, 21).double())


def test_what_the_sequence_does_not_reach_is_refused() -> None:
    net = Net(lambda _net, x: torch.zeros_like(x[:, 0, :2]))
    X = sequences(1, 21).double()
    held = opened(net, X)
    with pytest.raises(NoRule, match="depends on the sequence"):
        held(held.originals(X, ()), X, ())


def test_a_recurrent_layer_is_integrated_where_that_is_asked_for() -> None:
    model = nets.build("recurrent")
    with pytest.raises(NoRule, match=r"aten\.lstm\.input at .*unknown='integrate'"):
        opened(model.double(), sequences(1, 36).double())
    assert_exact(model, 36, integrate=True)
