"""The meaning of ``delta_pointwise``: g(z + d) - g(z), in a form that does not cancel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, positions


def delta_pointwise(
    given: Tensor,  # [W, S, E, C]
    rows: Rows,
    original: Original,
    length: int,
    function: str,
    parameters: tuple[float, ...] = (),
) -> Tensor:  # [W, S, E, C]
    """Change of an elementwise function where its input z changes by the given delta."""
    where = positions(rows)
    change = change_of(function, at(original, where), given, *parameters)
    return zero_outside(change, where, length)


def change_of(function: str, z: Tensor, d: Tensor, *parameters: float) -> Tensor:
    """g(z + d) - g(z), for tensors of any shapes that go together."""
    return FUNCTIONS[function](z, d, *parameters)


def zero_outside(delta: Tensor, where: Tensor, length: int) -> Tensor:
    """Positions beyond the layer's ends do not exist: their delta is zero."""
    return torch.where(((where >= 0) & (where < length))[:, :, None, None], delta, 0.0)


def clamp(z: Tensor, d: Tensor, low: float, high: float) -> Tensor:
    """As ReLU's: min(max(d + (z - z'), low - z'), high - z'), z' the clamped z."""
    held = z.clamp(low, high)
    moved = d + (z - held)
    if low > -math.inf:
        moved = torch.maximum(moved, low - held)
    if high < math.inf:
        moved = torch.minimum(moved, high - held)
    return moved


def relu(z: Tensor, d: Tensor) -> Tensor:
    return torch.maximum(d + z.clamp(max=0.0), -z.clamp(min=0.0))


def leaky_relu(z: Tensor, d: Tensor, slope: float) -> Tensor:
    return d * slope + relu(z, d) * (1.0 - slope)


def elu(z: Tensor, d: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    """elu(x) = scale * (max(x, 0) + alpha * expm1(input_scale * min(x, 0)))."""
    positive = relu(z, d)
    negative = d - positive  # the change of min(x, 0)
    decay = exp(z.clamp(max=0.0) * input_scale, negative * input_scale)
    return (positive + decay * alpha) * scale


def sigmoid(z: Tensor, d: Tensor) -> Tensor:
    """With h, l the larger and smaller of z, z + d: s(h) - s(l) = -s(h) s(-l) expm1(-|d|)."""
    edited = z + d
    high, low = torch.maximum(z, edited), torch.minimum(z, edited)
    return torch.sigmoid(high) * torch.sigmoid(-low) * torch.expm1(-d.abs()) * -d.sign()


def tanh(z: Tensor, d: Tensor) -> Tensor:
    """tanh(x) = 2 s(2x) - 1."""
    return sigmoid(z * 2.0, d * 2.0) * 2.0


def silu(z: Tensor, d: Tensor) -> Tensor:
    """x s(x), by the product rule."""
    return torch.sigmoid(z + d) * d + sigmoid(z, d) * z


# Gauss-Legendre on [0, 1] with five nodes: exact to rounding for the integral of a bell over a width of
# 0.5 in float32 and of 0.1 in float64; beyond these widths the plain difference is.
_NODES = tuple(
    0.5 + 0.5 * x
    for x in (-0.906179845938664, -0.538469310105683, 0.0, 0.538469310105683, 0.906179845938664)
)
_WEIGHTS = tuple(
    0.5 * w
    for w in (
        0.236926885056189, 0.478628670499366, 0.568888888888889, 0.478628670499366, 0.236926885056189
    )
)  # fmt: skip
_WIDE = {torch.float32: 0.5, torch.float64: 0.1}


def normal_cdf(z: Tensor, d: Tensor) -> Tensor:
    """Phi(z + d) - Phi(z): the integral of the bell for a small d, the difference for a large one."""
    small = torch.zeros_like(d)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        small = small + torch.exp((z + d * node).square() * -0.5) * weight
    small = small * d / math.sqrt(2.0 * math.pi)
    side = torch.where(z > 0.0, 1.0, -1.0).to(z) * math.sqrt(0.5)  # both from the tail z is in
    large = (torch.erfc((z + d) * side) - torch.erfc(z * side)) * -math.sqrt(0.5) * side
    return torch.where(d.abs() < _WIDE[d.dtype], small, large)


def gelu(z: Tensor, d: Tensor) -> Tensor:
    """x Phi(x), by the product rule."""
    return torch.erfc((z + d) * -math.sqrt(0.5)) * 0.5 * d + normal_cdf(z, d) * z


def gelu_tanh(z: Tensor, d: Tensor) -> Tensor:
    """x s(2 y(x)) with y = sqrt(2/pi) (x + 0.044715 x^3): the change of y by its divided difference."""
    c, k = 2.0 * math.sqrt(2.0 / math.pi), 0.044715
    edited = z + d
    slope = (c + (edited * edited + edited * z + z * z) * (c * k)).clamp(max=1e30)  # no 0 * inf
    change = sigmoid(c * (z + k * z**3), slope * d)
    small = torch.sigmoid(c * (edited + k * edited**3)) * d + change * z

    def tail(x: Tensor) -> Tensor:  # gelu(x) - max(x, 0)
        size = x.abs()
        return -size * torch.sigmoid(-c * (size + k * size**3))

    large = relu(z, d) + (tail(edited) - tail(z))  # y of a large |z| has no digits left
    return torch.where(d.abs() < 1.0, small, large)


def softplus(z: Tensor, d: Tensor, beta: float, threshold: float) -> Tensor:
    """log(1 + e^x), and x itself above `threshold`, of beta x and over beta.

    With h, l the larger and smaller of both and s the sigmoid, (1 + e^h) / (1 + e^l) is one of::

        e^(h-l) (1 + s(-l) expm1(l - h))   for l > 0
        1 - e^h s(-l) expm1(l - h)         for h <= 1
        e^h (1 + s(-l) (e^-h - e^l))       between

    Where h alone is beyond the threshold, its e^-h is left out.
    """
    was, step = z * beta, d * beta
    edited = was + step
    high, low, rise = torch.maximum(was, edited), torch.minimum(was, edited), step.abs()
    shut, fall = torch.sigmoid(-low), torch.expm1(-rise)
    crosses = (high > threshold) & (low <= threshold)
    above = rise + torch.log1p(shut * torch.where(crosses, -1.0, fall))
    near = torch.log1p(-torch.exp(high.clamp(max=1.0)) * shut * fall)
    peak = torch.where(crosses, 0.0, torch.exp(-high))
    between = high + torch.log1p(shut * (peak - torch.exp(low)))
    size = torch.where(low > 0.0, above, torch.where(crosses | (high > 1.0), between, near))
    return torch.where(low > threshold, d, size * step.sign() / beta)


def threshold(z: Tensor, d: Tensor, limit: float, value: float) -> Tensor:
    """x if x > limit else value: Torch7's Threshold."""
    edited = z + d
    kept = torch.where(z > limit, d, edited - value)
    lost = torch.where(z > limit, value - z, 0.0)
    return torch.where(edited <= limit, lost, kept)  # a NaN stays


def exp(z: Tensor, d: Tensor) -> Tensor:
    """-sign(d) e^h expm1(-|d|), h the larger of z and z + d: nothing overflows on the way."""
    return torch.exp(torch.maximum(z, z + d)) * torch.expm1(-d.abs()) * -d.sign()


def log(z: Tensor, d: Tensor) -> Tensor:
    return torch.log1p(d / z)


def log1p(z: Tensor, d: Tensor) -> Tensor:
    return torch.log1p(d / (1.0 + z))


def sqrt(z: Tensor, d: Tensor) -> Tensor:
    both = torch.sqrt(z + d) + torch.sqrt(z)
    return torch.where(both == 0.0, d, d / both)  # not 0 / 0 at 0


def reciprocal(z: Tensor, d: Tensor) -> Tensor:
    return -d / ((z + d) * z)


def square(z: Tensor, d: Tensor) -> Tensor:
    return (2.0 * z + d) * d


def absolute(z: Tensor, d: Tensor) -> Tensor:
    return relu(z, d) + relu(-z, -d)


# In the order of csrc/ops/delta_pointwise.h.
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "relu": relu, "clamp": clamp, "leaky_relu": leaky_relu, "elu": elu, "sigmoid": sigmoid,
    "tanh": tanh, "silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "softplus": softplus,
    "threshold": threshold, "exp": exp, "log": log, "log1p": log1p, "sqrt": sqrt,
    "reciprocal": reciprocal, "square": square, "abs": absolute,
}  # fmt: skip
# Names of the parameters; none where a function has no entry.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "clamp": ("low", "high"),
    "leaky_relu": ("slope",),
    "elu": ("alpha", "scale", "input_scale"),
    "softplus": ("beta", "threshold"),
    "threshold": ("limit", "value"),
}
