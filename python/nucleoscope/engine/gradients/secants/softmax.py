"""Softmax and its kin: their own derivatives, with the logarithmic mean of two probabilities for each.

A probability is p = exp(u - lse). With L the logarithmic mean (p - p') / (log p - log p'), its change is
L (du - dlse), and since all changes add up to nothing, dlse = sum(L du) / sum(L): exact, unmoved by a constant
that is added to all logits, and the derivative where nothing changes. (The weights are those of Sato and Vartia's
price index, 1976.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, secant
from nucleoscope.engine.rules.norm import LOG_SOFTMAX
from nucleoscope.engine.rules.steep import SOFTMAX


def logarithmic_means(x: Tensor, b: Tensor, dims: Any) -> Tensor:
    """Of the probabilities of two sets of logits."""
    p, q = (v - torch.logsumexp(v, dims, keepdim=True) for v in (x, b))
    same = p == q  # both may be minus infinity
    d = torch.where(same, 1.0, (p - q).abs())
    return torch.exp(torch.maximum(p, q)) * torch.where(same, 1.0, -torch.expm1(-d) / d)


def of_softmax(m: Tensor, x: Tensor, b: Tensor, dim: int) -> Tensor:
    """Multipliers of the logits from those of the probabilities."""
    means = logarithmic_means(x, b, dim)
    scaled = m * means
    return scaled - means * (scaled.sum(dim, keepdim=True) / means.sum(dim, keepdim=True))


@secant(*SOFTMAX)
def softmax(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    return [of_softmax(m, x[0], b[0], call.argument(1, "dim"))]


@secant(*LOG_SOFTMAX)
def log_softmax(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    dim = call.argument(1, "dim")
    means = logarithmic_means(x[0], b[0], dim)
    return [m - means * (m.sum(dim, keepdim=True) / means.sum(dim, keepdim=True))]


@secant(aten.logsumexp.default)
def log_sum_exp(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    given = call.argument(1, "dim")
    dims = [d % b[0].ndim for d in ([given] if isinstance(given, int) else given)]
    means = logarithmic_means(x[0], b[0], dims)
    m = m.reshape([1 if d in dims else n for d, n in enumerate(b[0].shape)])
    return [m * means / means.sum(dims, keepdim=True)]
