"""Cases of ops that change the length, copy or lay out channels: see rule_cases."""

# ruff: noqa: ARG005 - every case is called alike, whatever it uses

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.engine.rule_cases import Make, aten, case

TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {}, "pad": {"padding": [2]}, "wide pad": {"padding": [5]},
    "dilation": {"dilation": [3], "padding": [1]}, "groups": {"groups": 3},
    "stride": {"stride": [2]}, "left over": {"stride": [2], "padding": [1], "output_padding": [1]},
    "stride, dilation": {"stride": [3], "dilation": [2], "padding": [3]},
    "gaps": {"stride": [7]}, "stride, groups": {"stride": [2], "groups": 2, "padding": [2]},
    "depthwise": {"stride": [4], "groups": 6, "output_padding": [3]},
}  # fmt: skip


def transposed(settings: dict[str, Any]) -> Make:
    """A transposed convolution with these settings."""
    wide = 6 // settings.get("groups", 1)
    return lambda op: lambda net, h: op(h, net.wide[:, :wide], **settings)


for _name, _settings in TRANSPOSED.items():
    case(aten.conv_transpose1d.default, name=_name)(transposed(_settings))
case(aten.conv_transpose1d.default, name="folded")(
    lambda op: lambda net, h: torch.relu(net.norm(op(h, net.wide, net.bias, padding=[2]))) + h
)

NEAREST = (aten.upsample_nearest1d.vec, aten._upsample_nearest_exact1d.vec)
for _scale in (2.0, 3.0, 2.5, 0.5, 1.7):
    case(*NEAREST, name=f"times {_scale}")(
        lambda op, scale=_scale: lambda net, h: op(h, None, [scale])
    )
    case(aten.upsample_linear1d.vec, name=f"times {_scale}")(
        lambda op, scale=_scale: lambda net, h: op(h, None, False, [scale])
    )
for _size in (16, 17, 41, 5):
    case(*NEAREST, name=f"to {_size}")(lambda op, size=_size: lambda net, h: op(h, [size], None))
    for _corners in (False, True):
        case(aten.upsample_linear1d.vec, name=f"to {_size}, {_corners}")(
            lambda op, size=_size, corners=_corners: lambda net, h: op(h, [size], corners, None)
        )
case(aten.repeat_interleave.self_int)(lambda op: lambda net, h: torch.tanh(op(h, 3, 2)))
case(aten.adaptive_avg_pool1d.default)(lambda op: lambda net, h: op(h, [1]).squeeze(2))
for _size in (4, 5, 7, 16):
    case(aten.adaptive_avg_pool1d.default, name=f"to {_size}")(
        lambda op, size=_size: lambda net, h: op(torch.relu(h), [size])
    )
case(aten.adaptive_max_pool1d.default)(lambda op: lambda net, h: op(h, [1])[0].squeeze(2))
for _size in (4, 5, 7, 16):
    case(aten.adaptive_max_pool1d.default, name=f"to {_size}")(
        lambda op, size=_size: lambda net, h: op(torch.tanh(h), [size])[0]
    )

_ORDER = torch.tensor([5, 0, 0, 3])
case(aten.index_select.default)(lambda op: lambda net, h: torch.tanh(op(h, 1, _ORDER)))
case(aten.index_select.default, name="channels last")(
    lambda op: lambda net, h: torch.tanh(op(h.transpose(1, 2), -1, _ORDER)).transpose(1, 2)
)
case(aten.index_select.default, name="vector")(lambda op: lambda net, h: op(h.amax(2), 1, _ORDER))
case(aten.index.Tensor)(lambda op: lambda net, h: torch.relu(op(h, [None, _ORDER - 6])))
case(aten.index.Tensor, name="of two axes")(
    lambda op: (
        lambda net, h: op(h.unflatten(1, (2, 3)), [None, None, _ORDER % 3]).flatten(1, 2).relu()
    )
)

case(aten.expand.default)(
    lambda op: lambda net, h: torch.tanh(op(h[:, 1:2], [-1, 4, -1])) * h[:, :4]
)
case(aten.expand.default, name="laid between positions")(
    lambda op: lambda net, h: torch.tanh(op(h.unsqueeze(3), [-1, -1, -1, 2]).flatten(2))
)
case(aten.expand.default, name="vector")(
    lambda op: lambda net, h: torch.tanh(op(h.mean((1, 2), keepdim=True).flatten(1), [-1, 3]))
)
case(aten.view.default, name="channels laid between positions")(
    lambda op: (
        lambda net, h: torch.relu(
            op(h.view(-1, 2, 3, h.shape[2]).transpose(2, 3).contiguous(), [-1, 2, 3 * h.shape[2]])
        )
    )
)
case(aten.permute.default, name="of cells")(
    lambda op: lambda net, h: op(h.unflatten(2, (-1, 2)), [0, 3, 1, 2]).flatten(1, 2)
)
case(aten.transpose.int, name="of cells")(
    lambda op: lambda net, h: op(h.unflatten(2, (-1, 2)), 1, 2).flatten(2).mT
)
case(aten.select.int, name="of cells")(
    lambda op: lambda net, h: torch.relu(op(h.unflatten(2, (-1, 4)), 3, 1))
)
case(aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, name="of cells")(
    lambda op: lambda net, h: torch.tanh(op(h.unflatten(2, (-1, 4)), [3]))
)

case(aten.expand.default, name="weights of cells")(
    lambda op: lambda net, h: _one_logit(op, torch.tanh(h), net)
)


def _one_logit(op: Any, h: Tensor, net: Any) -> Tensor:
    """Cells averaged with the softmax of one logit for all channels."""
    cells = h.unflatten(2, (-1, 4))
    logit = torch.einsum("ncl,c->nl", h, net.bias).unflatten(1, (-1, 4))[:, None]
    return (cells * op(torch.softmax(logit * 3, -1), [-1, 6, -1, -1])).sum(-1)


case(aten.split.Tensor)(lambda op: lambda net, h: torch.mul(*op(h, 3, 1)))
case(aten.split_with_sizes.default)(lambda op: lambda net, h: torch.mul(*op(h, [2, 2, 2], 1)[1:]))
case(aten.chunk.default)(lambda op: lambda net, h: torch.cat([p.tanh() for p in op(h, 4, 1)], 1))
case(aten.unbind.int)(lambda op: lambda net, h: torch.mul(*op(h.view(-1, 2, 3, h.shape[2]), 1)))
case(aten.stack.default)(lambda op: lambda net, h: op([h, net.pair(h)], 2).flatten(1, 2))
case(aten.channel_shuffle.default)(lambda op: lambda net, h: torch.relu(op(h, 2)))

case(aten.einsum.default)(lambda op: lambda net, h: op("ncl,cd->ndl", [h, net.square]))
case(aten.einsum.default, name="length between")(
    lambda op: lambda net, h: op("dc,nlc->nld", [net.square, h.mT]).tanh().mT
)
case(aten.einsum.default, name="groups")(
    lambda op: (
        lambda net, h: op(
            "ngcl,gcd->ngdl", [h.view(-1, 2, 3, h.shape[2]), net.square.view(2, 3, 6)]
        ).flatten(1, 2)
    )
)
case(aten.einsum.default, name="over the length")(
    lambda op: lambda net, h: op("ncl,cl->nc", [h, net.place[0]])
)
case(aten.einsum.default, name="per position")(
    lambda op: lambda net, h: op("ncl,dcl->ndl", [h, net.square[:, :, None] * net.place]).tanh()
)
case(aten.einsum.default, name="vector")(
    lambda op: lambda net, h: op("nc,dc->nd", [h.mean(2), net.square])
)
case(aten.matmul.default)(lambda op: lambda net, h: op(h.mT, net.square).tanh().mT)
case(aten.matmul.default, name="from the left")(lambda op: lambda net, h: op(net.square, h).tanh())
case(aten.matmul.default, name="a few channels")(
    lambda op: lambda net, h: op(h.mT.unflatten(2, (2, 3)), net.square[:3]).flatten(2).mT
)
case(aten.matmul.default, name="flattened")(
    lambda op: lambda net, h: op(h.flatten(1), net.flat.t())
)
case(aten.mm.default)(lambda op: lambda net, h: torch.tanh(op(h.mean(2), net.square)))
case(aten.addmm.default)(lambda op: lambda net, h: torch.tanh(op(net.bias, h.mean(2), net.square)))
