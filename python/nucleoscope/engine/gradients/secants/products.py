"""Products: each factor counts with the mean of the other, which is the derivative half way.

``a b - a' b' = (a - a') (b + b') / 2 + (b - b') (a + a') / 2``; the same of every op that is linear in each of
two arguments, and of squares, whose derivative is linear.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, derivative, secant

# Linear where the sequence reaches one argument only. The first two of each.
PRODUCTS = (
    aten.mul.Tensor, aten.matmul.default, aten.bmm.default, aten.mm.default, aten.addmm.default,
    aten.baddbmm.default, aten.einsum.default, aten.linear.default, aten.conv1d.default,
    aten.conv1d.padding, aten.conv2d.default, aten.conv2d.padding, aten.conv3d.default,
    aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.outer.default, aten.mv.default,
    aten.dot.default,
)  # fmt: skip
QUADRATIC = (aten.square.default, aten.var.dim, aten.var.correction)


def halfway(x: Values, b: Values) -> Values:
    """Midway between the sequence and its baseline."""
    return tuple((p + q) * 0.5 for p, q in zip(x, b, strict=True))


@secant(*PRODUCTS, *QUADRATIC)
def product(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    return derivative(call.run, halfway(x, b), m)


@secant(aten.div.Tensor)
def quotient(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    """a / c as a times 1 / c, whose slope is -1 / (c c')."""
    over, under = call.node.args[:2]
    (top, top_), (low, low_) = (
        [call.value(i, name, values) for values in (x, b)]
        for i, name in enumerate(("self", "other"))
    )
    made = [torch.zeros_like(each) for each in b]
    if over in call.reached:
        at = call.reached.index(over)
        made[at] = made[at] + (m * (1.0 / low + 1.0 / low_) * 0.5).sum_to_size(b[at].shape)
    if under in call.reached:
        at = call.reached.index(under)
        made[at] = made[at] - (m * (top + top_) * 0.5 / (low * low_)).sum_to_size(b[at].shape)
    return made
