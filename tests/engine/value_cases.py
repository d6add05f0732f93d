"""Cases of elementwise functions, of choices and of what whole axes come to: see rule_cases."""

# ruff: noqa: ARG005 - every case is called alike, whatever it uses

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.engine.rule_cases import aten, case, pointwise

pointwise(
    aten.erf.default, aten.sin.default, aten.cos.default, aten.atan.default, aten.expm1.default,
    aten.mish.default, aten.hardswish.default, aten.hardsigmoid.default, aten.log_sigmoid.default,
    aten.selu.default, aten.celu.default,
)  # fmt: skip
pointwise(aten.celu.default, args=(2.0,), name="alpha")
pointwise(aten.pow.Tensor_Scalar, args=(3,), name="cube")
pointwise(aten.pow.Tensor_Scalar, args=(4,), name="fourth")
case(aten.pow.Tensor_Scalar, name="any")(lambda op: lambda net, h: op(h.abs() + 0.2, 1.5))
case(aten.pow.Tensor_Scalar, name="any, negative")(
    lambda op: lambda net, h: op(F.softplus(h) + 0.3, -2)
)
case(aten.pow.Scalar)(lambda op: lambda net, h: op(2.0, torch.tanh(h)))
case(aten.log2.default, aten.log10.default, aten.rsqrt.default)(
    lambda op: lambda net, h: op(torch.relu(h * 3) + 0.1)
)
case(aten.glu.default)(lambda op: lambda net, h: op(h, 1))
case(aten.prelu.default)(lambda op: lambda net, h: op(h, net.bias))
case(aten.prelu.default, name="one slope")(lambda op: lambda net, h: op(h, net.bias[:1]))
case(aten.addcmul.default)(lambda op: lambda net, h: op(h, torch.tanh(h), net.pair(h)))
case(aten.addcmul.default, name="value")(lambda op: lambda net, h: op(h, h, h.flip(1), value=0.3))
case(aten.lerp.Scalar)(lambda op: lambda net, h: op(h, net.pair(h), 0.3))
case(aten.logaddexp.default)(lambda op: lambda net, h: op(h * 3, net.pair(h)))

for _op in (aten.maximum.default, aten.minimum.default, aten.max.other, aten.min.other):
    case(_op)(lambda op: lambda net, h: op(torch.tanh(h), net.pair(h)))
    case(_op, name="column")(lambda op: lambda net, h: op(h, net.column))
    case(_op, name="per position")(lambda op: lambda net, h: op(net.place, h))
    case(_op, name="strands")(lambda op: lambda net, h: op(h, h.flip(2)))
for _op in (aten.maximum.default, aten.minimum.default, aten.add.Tensor, aten.sub.Tensor,
            aten.mul.Tensor):  # fmt: skip
    case(_op, name="broadcast")(
        lambda op: lambda net, h: torch.tanh(op(h, h.mean(1, keepdim=True)))
    )
case(aten.div.Tensor, name="broadcast")(
    lambda op: lambda net, h: op(h, h.abs().sum(1, keepdim=True) + 1.0)
)
case(aten.clamp.Tensor)(lambda op: lambda net, h: op(h, net.column - 1, net.column))

case(aten.masked_fill.Scalar)(
    lambda op: lambda net, h: torch.relu(op(h, torch.arange(h.shape[2]) > 9, 0.3))
)
case(aten.masked_fill.Tensor)(
    lambda op: lambda net, h: torch.relu(op(h, net.column > 0, net.bias[0]))
)
case(aten.masked_fill.Scalar, name="of the batch's size")(
    lambda op: (
        lambda net, h: op(
            h, F.pad(torch.zeros(h.shape[0], 1, 12, dtype=torch.bool), (0, 4), value=True), -9.0
        )
    )
)
case(aten.where.self)(
    lambda op: lambda net, h: op(torch.arange(h.shape[2]) % 3 > 0, torch.tanh(h), net.pair(h))
)
case(aten.where.self, name="constant")(
    lambda op: lambda net, h: torch.tanh(op(net.place > 0, net.column, h))
)
case(aten.where.ScalarOther)(
    lambda op: lambda net, h: torch.tanh(op(torch.arange(h.shape[2]) < 5, h, 0.2))
)
case(aten.where.ScalarSelf)(
    lambda op: lambda net, h: torch.tanh(op(torch.arange(h.shape[2]) < 5, 0.2, h))
)

for _op in (aten.amax.default, aten.amin.default, aten.logsumexp.default):
    case(_op, name="length")(lambda op: lambda net, h: op(h, [2]))
    case(_op, name="length, kept")(lambda op: lambda net, h: op(h * 9, [-1], True).squeeze(2))
    case(_op, name="strands")(lambda op: lambda net, h: op(h + h.flip(2), [2]))
    case(_op, name="channels")(lambda op: lambda net, h: op(h, [1], True).tanh())
    case(_op, name="a few channels")(
        lambda op: lambda net, h: op(h.view(-1, 2, 3, h.shape[-1]) * 9, [2])
    )
    case(_op, name="vector")(lambda op: lambda net, h: op(h.mean(2), [1], True))
for _op in (aten.max.dim, aten.min.dim):
    case(_op)(lambda op: lambda net, h: op(h, 2)[0])
    case(_op, name="channels")(lambda op: lambda net, h: op(h, 1, True)[0].tanh())
for _op in (aten.var.dim, aten.var.correction, aten.std.dim, aten.std.correction):
    case(_op, name="length")(lambda op: lambda net, h: op(h, [2]))
    case(_op, name="strands")(lambda op: lambda net, h: op(h + h.flip(2), [2]))
    case(_op, name="channels")(lambda op: lambda net, h: op(h, [1], keepdim=True).tanh())
case(aten.var.dim, name="biased")(lambda op: lambda net, h: op(h, [-1], False, True).squeeze(2))
case(aten.var.correction, name="biased")(
    lambda op: lambda net, h: op(h, [1], correction=0)[:, None]
)

case(aten.cumsum.default)(lambda op: lambda net, h: op(h, 2))
case(aten.cumsum.default, name="cut, then on")(
    lambda op: lambda net, h: F.max_pool1d(torch.tanh(op(h, -1)), 3)[:, :, 1:4]
)
case(aten.cumsum.default, name="strands")(lambda op: lambda net, h: op(h + h.flip(2), 2))
case(aten.rms_norm.default)(lambda op: lambda net, h: op(h.mT, [6], net.norm.weight, 1e-5).mT)
case(aten.rms_norm.default, name="plain")(
    lambda op: lambda net, h: op(h.mT, [3 * 2], None, 1e-6).mT
)
case(aten.rms_norm.default, name="vector")(
    lambda op: lambda net, h: op(h.mean(2), [6], net.bias, 1e-6)
)
