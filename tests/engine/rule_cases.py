"""What stands between two convolutions in tests of each op: op -> named cases.

A case takes the op and gives a function of the net and of h [B, 6, L]; it calls the op itself.
"""

# ruff: noqa: ARG005 - every case is called alike, whatever it uses

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten
Make = Callable[
    [Any], Callable[..., Tensor]
]  # op -> (net, h [B, 6, L]) -> tensor [B, C, L'] or [B, C]

CASES: dict[Any, list[tuple[str, Make]]] = {}


def case(*ops: Any, name: str = "") -> Callable[[Make], Make]:
    """Enter a case for these ops: what stands between the two convolutions."""

    def enter(make: Make) -> Make:
        for op in ops:
            CASES.setdefault(op, []).append((name, make))
        return make

    return enter


def pointwise(*ops: Any, args: tuple[Any, ...] = (), name: str = "") -> None:
    case(*ops, name=name)(lambda op: lambda net, h: op(h * 3, *args))


pointwise(
    aten.relu.default, aten.relu6.default, aten.sigmoid.default, aten.tanh.default,
    aten.silu.default,
    aten.exp.default, aten.square.default, aten.abs.default, aten.gelu.default,
    aten.leaky_relu.default,
    aten.elu.default, aten.softplus.default, aten.hardtanh.default, aten.neg.default,
)  # fmt: skip
pointwise(aten.leaky_relu.default, args=(0.2,), name="0.2")
pointwise(aten.elu.default, args=(1.67, 1.05, 0.5), name="scales")
pointwise(aten.softplus.default, args=(3.0, 2.0), name="early threshold")
pointwise(aten.hardtanh.default, args=(-0.2, 0.4), name="narrow")
pointwise(aten.threshold.default, args=(0.1, 0.3))
pointwise(aten.clamp.default, args=(-0.2, 0.3))
pointwise(aten.clamp.default, args=(None, 0.3), name="above")
pointwise(aten.clamp_min.default, args=(-0.1,))
pointwise(aten.clamp_max.default, args=(0.1,))
pointwise(aten.mul.Scalar, args=(-1.5,))
pointwise(aten.div.Scalar, args=(3.0,))
pointwise(aten.rsub.Scalar, args=(1.0,))
pointwise(aten.rsub.Scalar, args=(1.0, 2.0), name="alpha")
pointwise(aten.add.Scalar, aten.sub.Scalar, args=(0.7,))
pointwise(aten.add.Scalar, aten.sub.Scalar, args=(0.7, 2.0), name="alpha")
pointwise(aten.pow.Tensor_Scalar, args=(2,))
pointwise(aten.pow.Tensor_Scalar, args=(1,), name="itself")
case(aten.gelu.default, name="tanh")(lambda op: lambda net, h: op(h * 3, approximate="tanh"))
case(aten.log.default, aten.log1p.default, aten.sqrt.default, aten.reciprocal.default)(
    lambda op: lambda net, h: op(torch.relu(h * 3) + 0.1)
)
case(aten.log.default, aten.log1p.default, aten.sqrt.default, aten.reciprocal.default, name="exp")(
    lambda op: lambda net, h: op(torch.exp(torch.tanh(h)))
)
case(aten.log.default, name="of a softmax")(lambda op: lambda net, h: op(torch.softmax(h * 20, 1)))
case(aten.pow.Tensor_Scalar, name="root")(lambda op: lambda net, h: op(h.abs() + 0.2, 0.5))
case(aten.pow.Tensor_Scalar, name="inverse")(lambda op: lambda net, h: op(h.clamp(0.2, None), -1))


case(aten.add.Tensor, aten.sub.Tensor)(lambda op: lambda net, h: op(h, net.pair(h)))
case(aten.add.Tensor, aten.sub.Tensor, name="alpha")(
    lambda op: lambda net, h: op(net.pair(h), h, alpha=2)
)
case(aten.add.Tensor, aten.sub.Tensor, name="itself")(lambda op: lambda net, h: op(h, h, alpha=3))
case(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, name="constant")(
    lambda op: lambda net, h: torch.relu(op(h, net.column))
)
case(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, name="per position")(
    lambda op: lambda net, h: torch.relu(op(h, net.place))
)
case(aten.sub.Tensor, aten.rsub.Tensor, name="from a constant")(
    lambda op: (
        lambda net, h: torch.relu(op(net.column, h) if op is aten.sub.Tensor else op(h, net.column))
    )
)
case(aten.mul.Tensor, name="two")(lambda op: lambda net, h: op(torch.tanh(h), net.pair(h)))
case(aten.mul.Tensor, name="itself")(lambda op: lambda net, h: op(h, h))
case(aten.div.Tensor, name="two")(lambda op: lambda net, h: op(net.pair(h), F.softplus(h) + 0.2))
case(aten.div.Tensor, name="by a constant")(lambda op: lambda net, h: torch.tanh(op(h, net.column)))
case(aten._native_batch_norm_legit_no_training.default)(
    lambda op: lambda net, h: torch.relu(net.norm(torch.tanh(h)))
)
case(aten._native_batch_norm_legit_no_training.default, name="folded")(
    lambda op: lambda net, h: torch.relu(net.norm(h))
)
case(aten._native_batch_norm_legit_no_training.default, name="read twice")(
    lambda op: lambda net, h: torch.relu(net.norm(h)) + h
)
case(aten._native_batch_norm_legit_no_training.default, name="no affine")(
    lambda op: (
        lambda net, h: op(h, None, None, net.norm.running_mean, net.norm.running_var, 0.1, 1e-3)[0]
    )
)

STEPS: dict[str, dict[str, int]] = {
    "plain": {}, "stride": {"stride": 2, "padding": 3}, "dilation": {"dilation": 3},
    "wide pad": {"padding": 9},
    "to one position": {"stride": 5, "dilation": 3, "padding": 1}, "groups": {"groups": 3},
    "depthwise": {"groups": 6}, "beyond": {"stride": 7, "dilation": 2},
}  # fmt: skip


def stepped(settings: dict[str, int], spatial: int) -> Make:
    """A convolution with these settings, over a dummy axis in front if it has two."""
    groups = settings.get("groups", 1)
    dummy = {"stride": 1, "padding": 0, "dilation": 1}
    given = {k: [dummy[k]] * (spatial - 1) + [v] for k, v in settings.items() if k != "groups"}
    if spatial == 1:
        return lambda op: lambda net, h: op(h, net.wide[:, : 6 // groups], groups=groups, **given)
    return lambda op: (
        lambda net, h: op(
            h.unsqueeze(2), net.wide[:, : 6 // groups].unsqueeze(2), groups=groups, **given
        ).squeeze(2)
    )


for _name, _settings in STEPS.items():
    case(aten.conv1d.default, name=_name)(stepped(_settings, 1))
    case(aten.conv2d.default, name=_name)(stepped(_settings, 2))
case(aten.conv1d.padding)(
    lambda op: lambda net, h: op(h, net.wide, net.bias, padding="same", dilation=[3])
)
case(aten.conv1d.padding, name="valid")(
    lambda op: lambda net, h: op(h, net.wide, padding="valid", stride=[2])
)
case(aten.conv2d.padding)(
    lambda op: (
        lambda net, h: op(h.unsqueeze(3), net.wide.unsqueeze(3), net.bias, padding="same").squeeze(
            3
        )
    )
)
case(aten.conv2d.default, name="letters as rows")(
    lambda op: lambda net, h: op(h.unsqueeze(1), net.wide.unsqueeze(1)).squeeze(2)
)
case(aten.linear.default, name="positions")(
    lambda op: lambda net, h: op(h.transpose(1, 2), net.square).transpose(1, 2)
)
case(aten.linear.default, name="flattened")(lambda op: lambda net, h: op(h.flatten(1), net.flat))
case(aten.linear.default, name="flattened, length first")(
    lambda op: lambda net, h: torch.tanh(op(h.transpose(1, 2).flatten(1), net.flat, net.bias))
)
case(aten.linear.default, name="vector")(
    lambda op: lambda net, h: op(torch.relu(op(h.mean(2), net.square, net.bias)), net.square)
)

case(aten.max_pool1d.default, aten.avg_pool1d.default)(lambda op: lambda net, h: op(h, 3))
case(aten.max_pool1d.default, aten.avg_pool1d.default, name="overlap")(
    lambda op: lambda net, h: op(h, 5, 2, 2)
)
case(aten.max_pool1d.default, aten.avg_pool1d.default, name="gaps")(
    lambda op: lambda net, h: op(h, 2, 3)
)
case(aten.max_pool1d.default, name="ceil, dilated")(
    lambda op: lambda net, h: op(h, 3, 2, 1, 2, True)
)
case(aten.avg_pool1d.default, name="ceil, pads not counted")(
    lambda op: lambda net, h: op(h, 4, 3, 2, True, False)
)
case(aten.avg_pool1d.default, name="ceil")(lambda op: lambda net, h: op(h, 4, 3, 2, True))
case(aten.max_pool2d.default, aten.avg_pool2d.default)(
    lambda op: lambda net, h: op(h.unsqueeze(2), [1, 3], [1, 2], [0, 1]).squeeze(2)
)
case(aten.avg_pool2d.default, name="divisor")(
    lambda op: lambda net, h: op(h.unsqueeze(3), [3, 1], [2, 1], [0, 0], False, True, 2).squeeze(3)
)

case(aten.mean.dim, aten.sum.dim_IntList, name="length")(lambda op: lambda net, h: op(h, [2]))
case(aten.mean.dim, aten.sum.dim_IntList, name="length, kept")(
    lambda op: lambda net, h: op(h, [-1], True).squeeze(2)
)
case(aten.mean.dim, aten.sum.dim_IntList, name="channels")(
    lambda op: lambda net, h: torch.tanh(op(h, [1], True))
)
case(aten.mean.dim, aten.sum.dim_IntList, name="channels, dropped")(
    lambda op: lambda net, h: op(h, [1]).unsqueeze(1).tanh()
)
case(aten.mean.dim, aten.sum.dim_IntList, name="both")(
    lambda op: lambda net, h: op(torch.relu(h), [1, 2]).unsqueeze(1)
)
case(aten.mean.dim, name="a few channels")(
    lambda op: lambda net, h: op(h.view(-1, 2, 3, h.shape[-1]), [2])
)

for _op in (aten.softmax.int, aten.log_softmax.int):
    case(_op)(lambda op: lambda net, h: op(h * 5, 1))
    case(_op, name="last")(lambda op: lambda net, h: op(h.transpose(1, 2), -1).transpose(1, 2))
    case(_op, name="a few")(
        lambda op: lambda net, h: op(h.view(-1, 2, 3, h.shape[-1]), 2).flatten(1, 2)
    )
    case(_op, name="vector")(lambda op: lambda net, h: op(h.mean(2), 1))


def _weighed(
    net: Any,
    h: Tensor,
    softmax: Any = torch.softmax,
    total: Any = torch.sum,
    mix: Any = torch.conv2d,
) -> Tensor:
    """Cells of four positions, averaged with weights from the softmax of a linear layer."""
    cells = h.unflatten(2, (-1, 4))
    return total(cells * softmax(mix(cells, net.square[:, :, None, None]) * 3, -1), [-1])  # type: ignore[no-any-return]


case(aten.softmax.int, name="of cells")(
    lambda op: lambda net, h: _weighed(net, torch.tanh(h), softmax=op)
)
case(aten.sum.dim_IntList, name="of cells")(
    lambda op: lambda net, h: _weighed(net, torch.tanh(h), total=op)
)
case(aten.conv2d.default, name="of cells")(
    lambda op: lambda net, h: _weighed(net, torch.tanh(h), mix=op)
)


@case(aten.linear.default, name="of cells")
def _channels_last(op: Any) -> Callable[..., Tensor]:
    def between(net: Any, h: Tensor) -> Tensor:
        cells = h.transpose(1, 2).unflatten(1, (-1, 2))
        weights = torch.softmax(op(cells, net.square, net.bias) * 5, 2)
        return (weights * cells).sum(2, keepdim=True).squeeze(2).transpose(1, 2)

    return between


for _op in (aten._softmax.default, aten._log_softmax.default):
    case(_op)(lambda op: lambda net, h: op(h * 5, 1, False))
case(aten.layer_norm.default)(
    lambda op: (
        lambda net, h: op(h.transpose(1, 2), [6], net.norm.weight, net.norm.bias).transpose(1, 2)
    )
)
case(aten.layer_norm.default, name="plain")(
    lambda op: lambda net, h: op(h.transpose(1, 2), [6], None, None, 0.1).transpose(1, 2)
)
case(aten.layer_norm.default, name="vector")(
    lambda op: lambda net, h: op(h.mean(2), [6], net.norm.weight)
)

case(aten.view.default, aten.reshape.default, aten._unsafe_view.default)(
    lambda op: lambda net, h: torch.relu(op(op(h, [h.shape[0], 2, 3, h.shape[2]]), list(h.shape)))
)
case(aten.flatten.using_ints)(lambda op: lambda net, h: op(h.unsqueeze(1), 1, 2).tanh())
case(aten.squeeze.dim)(lambda op: lambda net, h: op(torch.relu(h.unsqueeze(2)), 2))
case(aten.squeeze.dims)(lambda op: lambda net, h: op(torch.relu(h[:, None, :, None]), [1, 3]))
case(aten.squeeze.default)(
    lambda op: lambda net, h: op(torch.relu(h.unsqueeze(2))).reshape(h.shape)
)
case(aten.unsqueeze.default)(lambda op: lambda net, h: torch.relu(op(h, 3)).squeeze(3))
case(aten.unflatten.int)(lambda op: lambda net, h: torch.relu(op(h, 1, [3, 2])).flatten(1, 2))
case(
    aten.clone.default,
    aten.contiguous.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
)(lambda op: lambda net, h: torch.relu(op(h.transpose(1, 2))).transpose(1, 2))
case(aten.dropout.default)(lambda op: lambda net, h: torch.relu(op(h, 0.5, False)))
case(aten._to_copy.default)(lambda op: lambda net, h: torch.relu(op(h)))
case(aten.to.dtype)(lambda op: lambda net, h: torch.relu(op(h, h.dtype)))
case(aten.permute.default)(lambda op: lambda net, h: op(torch.relu(op(h, [0, 2, 1])), [0, 2, 1]))
case(aten.permute.default, name="channels too")(
    lambda op: (
        lambda net, h: op(h.view(-1, 2, 3, h.shape[2]), [0, 3, 2, 1]).flatten(2).transpose(1, 2)
    )
)
case(aten.transpose.int)(lambda op: lambda net, h: op(torch.relu(op(h, 1, 2)), -1, -2))
case(aten.select.int, name="channel")(
    lambda op: lambda net, h: torch.relu(op(h, 1, -2)).unsqueeze(1)
)
case(aten.select.int, name="position")(lambda op: lambda net, h: torch.relu(op(h, 2, -4)))
case(aten.flip.default, name="length")(lambda op: lambda net, h: op(h, [2]) * h)
case(aten.flip.default, name="both")(lambda op: lambda net, h: torch.relu(op(h, [1, 2])) + h)
case(aten.flip.default, name="channels")(lambda op: lambda net, h: torch.relu(op(h, [1])))
case(aten.slice.Tensor, name="length")(lambda op: lambda net, h: op(h, 2, 2, -3))
case(aten.slice.Tensor, name="steps")(lambda op: lambda net, h: op(h, 2, 1, 100000, 3))
case(aten.slice.Tensor, name="channels")(lambda op: lambda net, h: torch.relu(op(h, 1, 1, 5, 2)))
case(aten.constant_pad_nd.default, aten.pad.default)(
    lambda op: lambda net, h: torch.sigmoid(op(h, [3, 1]))
)
case(aten.constant_pad_nd.default, name="crop")(lambda op: lambda net, h: op(h, [-2, -1]))
case(aten.constant_pad_nd.default, name="value")(
    lambda op: lambda net, h: torch.relu(op(h, [0, 4], 0.7))
)
case(aten.cat.default)(lambda op: lambda net, h: op([torch.relu(h), h[:, 2:4], net.pair(h)], 1))
case(aten.cat.default, name="constant")(
    lambda op: lambda net, h: torch.relu(op([h, net.place.expand(h.shape[0], -1, -1)], 1))
)
case(aten.cat.default, name="vectors")(
    lambda op: lambda net, h: torch.tanh(op([h.mean(2), h[:, :, 3]], -1))
)
