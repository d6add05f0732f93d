"""Ops that are others in few words: written out before rules are looked up.

`REWRITES` goes to torch.export's decomposition. A form here is no less exact than the op itself, since
what lies behind a seam is computed by it; where a form does not fit the op is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope.engine.rules.registry import aten

Form = Callable[..., Any]
REWRITES: dict[Any, Form] = {}


def rewrite(*targets: Any) -> Callable[[Form], Form]:
    """Enter a form for these ops; NotImplemented leaves the call as it is."""

    def enter(form: Form) -> Form:
        REWRITES.update(dict.fromkeys(targets, form))
        return form

    return enter


# Pieces of a tensor.


@rewrite(aten.split_with_sizes.default)
def split_with_sizes(x: Tensor, sizes: list[int], dim: int = 0) -> list[Tensor]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [aten.slice.Tensor(x, dim, b - n, b) for n, b in zip(sizes, ends, strict=True)]


@rewrite(aten.split.Tensor)
def split(x: Tensor, size: int, dim: int = 0) -> Any:
    whole = x.shape[dim]
    if not isinstance(whole, int):
        return NotImplemented
    return [aten.slice.Tensor(x, dim, a, min(a + size, whole)) for a in range(0, whole, size)]


@rewrite(aten.chunk.default)
def chunk(x: Tensor, chunks: int, dim: int = 0) -> list[Tensor]:
    made: list[Tensor] = split(x, -(-x.shape[dim] // chunks), dim)
    return made


@rewrite(aten.unbind.int)
def unbind(x: Tensor, dim: int = 0) -> Any:
    if not isinstance(x.shape[dim], int):
        return NotImplemented
    return [aten.select.int(x, dim, i) for i in range(x.shape[dim])]


@rewrite(aten.stack.default)
def stack(parts: list[Tensor], dim: int = 0) -> Tensor:
    dim = dim % (parts[0].ndim + 1)
    return torch.cat([part.unsqueeze(dim) for part in parts], dim)


@rewrite(aten.channel_shuffle.default)
def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    made: Tensor = x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    return made


# Elementwise functions made of others.


@rewrite(aten.glu.default)
def glu(x: Tensor, dim: int = -1) -> Tensor:
    value: Tensor
    gate: Tensor
    value, gate = chunk(x, 2, dim)
    return value * torch.sigmoid(gate)


@rewrite(aten.mish.default)
def mish(x: Tensor) -> Tensor:
    return x * torch.tanh(F.softplus(x))


@rewrite(aten.hardsigmoid.default)
def hardsigmoid(x: Tensor) -> Tensor:
    return torch.clamp(x + 3.0, 0.0, 6.0) / 6.0


@rewrite(aten.hardswish.default)
def hardswish(x: Tensor) -> Tensor:
    return x * torch.clamp(x + 3.0, 0.0, 6.0) / 6.0


@rewrite(aten.log_sigmoid.default)
def log_sigmoid(x: Tensor) -> Tensor:
    return -F.softplus(-x, threshold=50.0)  # beyond it nothing of 1 + e^x but e^x is left


@rewrite(aten.selu.default)
def selu(x: Tensor) -> Tensor:
    return aten.elu.default(x, 1.6732632423543772, 1.0507009873554805)  # type: ignore[no-any-return]


@rewrite(aten.celu.default)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return aten.elu.default(x, alpha, 1.0, 1.0 / alpha)  # type: ignore[no-any-return]


@rewrite(aten.prelu.default)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    if slope.numel() > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return torch.relu(x) - slope * torch.relu(-x)


@rewrite(aten.pow.Scalar)
def power_of(base: float, x: Tensor) -> Any:
    return torch.exp(x * math.log(base)) if base > 0 else NotImplemented


@rewrite(aten.addcmul.default)
def addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return x + a * b if value == 1 else x + a * b * value


@rewrite(aten.lerp.Scalar)
def lerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    return a + (b - a) * weight


@rewrite(aten.clamp.Tensor)
def clamp(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


@rewrite(aten.logaddexp.default)
def logaddexp(a: Tensor, b: Tensor) -> Any:
    return torch.logsumexp(stack([a, b], -1), -1) if a.shape == b.shape else NotImplemented


# Reductions.


@rewrite(aten.max.dim)
def maximum_of(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return torch.amax(x, dim, keepdim), torch.argmax(x, dim, keepdim)


@rewrite(aten.min.dim)
def minimum_of(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return least(x, [dim], keepdim), torch.argmin(x, dim, keepdim)


@rewrite(aten.amin.default)
def least(x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return -torch.amax(-x, dim, keepdim)


@rewrite(aten.std.dim)
def std(x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return torch.sqrt(torch.var(x, dim, unbiased=unbiased, keepdim=keepdim))


@rewrite(aten.std.correction)
def std_corrected(
    x: Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return torch.sqrt(torch.var(x, dim, correction=correction, keepdim=keepdim))


# Matrix products. What has no axis of symbolic size has no batch, and so is a weight.


def is_weight(x: Tensor) -> bool:
    """Whether a value has no axis of symbolic size."""
    return all(isinstance(size, int) for size in x.shape)


@rewrite(aten.mm.default)
def product(a: Tensor, b: Tensor) -> Any:
    return F.linear(a, b.t()) if is_weight(b) and not is_weight(a) else NotImplemented


@rewrite(aten.addmm.default)
def product_and_bias(
    bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> Any:
    plain = beta == alpha == 1 and bias.ndim == 1 and is_weight(b) and not is_weight(a)
    return F.linear(a, b.t(), bias) if plain else NotImplemented
