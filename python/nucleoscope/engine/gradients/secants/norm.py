"""Normalisation by a sample's own moments: a deviation times one over its size, by the product rule."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, derivative, secant


def of_normalised(
    m: Tensor, x: Tensor, b: Tensor, dims: Any, eps: float, centred: bool = True
) -> Tensor:
    """Multipliers of v from those of c / sqrt(mean(c^2) + eps), with c = v - mean(v), or v itself.

    Exact step by step: the square by its derivative half way, the root by its slope, their product with half
    the change of each.
    """
    cx, cb = (v - v.mean(dims, keepdim=True) if centred else v for v in (x, b))
    rx, rb = (torch.rsqrt(c.square().mean(dims, keepdim=True) + eps) for c in (cx, cb))
    middle = (cx + cb) * 0.5
    slope = -(rx * rb).square() / (rx + rb)  # of the root by the mean square
    back = m * ((rx + rb) * 0.5)
    back = back + middle * (slope * 2.0 * (m * middle).mean(dims, keepdim=True))
    return back - back.mean(dims, keepdim=True) if centred else back


@secant(aten.layer_norm.default)
def layer_norm(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    weight, eps = call.argument(2, "weight"), call.argument(4, "eps", 1e-5)
    dims = list(range(-len(call.argument(1, "normalized_shape")), 0))
    return [of_normalised(m if weight is None else m * weight, x[0], b[0], dims, eps)]


@secant(aten.rms_norm.default)
def rms_norm(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    weight, eps = call.argument(2, "weight"), call.argument(3, "eps")
    dims = list(range(-len(call.argument(1, "normalized_shape")), 0))
    eps = torch.finfo(b[0].dtype).eps if eps is None else eps
    return [
        of_normalised(m if weight is None else m * weight, x[0], b[0], dims, eps, centred=False)
    ]


@secant(aten.group_norm.default)
def group_norm(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    groups, weight = call.argument(1, "num_groups"), call.argument(2, "weight")
    if weight is not None:
        m = m * weight.view(-1, *[1] * (m.ndim - 2))
    m, p, q = (v.reshape(len(v), groups, -1) for v in (m, x[0], b[0]))
    return [of_normalised(m, p, q, -1, call.argument(4, "eps", 1e-5)).view(b[0].shape)]


@secant(aten.instance_norm.default)
def instance_norm(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    if not call.argument(5, "use_input_stats"):
        return derivative(call.run, b, m)
    weight = call.argument(1, "weight")
    if weight is not None:
        m = m * weight.view(-1, *[1] * (m.ndim - 2))
    dims = list(range(2, m.ndim))
    return [of_normalised(m, x[0], b[0], dims, call.argument(7, "eps", 1e-5))]


@secant(aten.linalg_vector_norm.default)
def length(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    """Euclid's: the change of a root is that of the sum over the sum of both roots."""
    if call.argument(1, "ord", 2) != 2:
        raise NotImplementedError
    total = call.run(*x) + call.run(*b)
    share = m / torch.where(total == 0, sqrt(torch.finfo(m.dtype).tiny), total)

    def squares(v: Tensor) -> Tensor:
        made: Tensor = call.run(v).square()
        return made

    return derivative(squares, ((x[0] + b[0]) * 0.5,), share)
