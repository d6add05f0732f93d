"""DeepLIFT's rescale rule as it is defined: layer by layer, backward through a plain sequence of layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LINEAR = (nn.Conv1d, nn.Linear, nn.Flatten, nn.AvgPool1d, nn.Identity)


def deep_lift_shap(
    model: nn.Sequential,  # to [B, T]
    X: Tensor,  # [N, A, L]
    baselines: Tensor,  # [N, n, A, L]
    target: int = 0,
) -> Tensor:  # [N, A, L]
    """What each letter would add if it stood there, averaged over a sequence's baselines."""
    scores = torch.zeros_like(X)
    for i, x in enumerate(X):
        for b in baselines[i]:
            m = multipliers(model, x[None], b[None], target)[0]
            scores[i] += (m - (m * b).sum(0)) / len(baselines[i])
    return scores


def multipliers(model: nn.Sequential, x: Tensor, b: Tensor, target: int) -> Tensor:
    """Of one sequence [1, A, L] and one baseline."""
    values = [(x, b)]
    for layer in model:
        values.append((layer(values[-1][0]), layer(values[-1][1])))
    m = torch.zeros_like(values[-1][0])
    m[:, target] = 1.0
    for layer, given, made in zip(reversed(model), values[-2::-1], values[:0:-1], strict=True):
        m = _through(layer, m, given, made)
    return m


def _through(
    layer: nn.Module, m: Tensor, given: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor]
) -> Tensor:
    (x, b), (y, z) = given, made
    if isinstance(layer, LINEAR):
        derivative: Tensor = torch.autograd.functional.vjp(layer, b, m)[1]
        return derivative
    if isinstance(layer, nn.MaxPool1d):
        return _through_maxima(layer, m, x, b)
    slope = (y - z) / (x - b)
    tangent = torch.autograd.functional.vjp(layer, b, m)[1]
    return torch.where(x == b, tangent, m * slope)


def _through_maxima(pool: nn.MaxPool1d, m: Tensor, x: Tensor, b: Tensor) -> Tensor:
    """A rise goes to the sequence's maximum of the cell, a fall to the baseline's; what stays has slope 1."""
    out, wide, step = torch.zeros_like(b), pool.kernel_size, pool.stride
    assert isinstance(wide, int)
    assert isinstance(step, int)
    for c in range(x.shape[1]):
        for o in range(m.shape[2]):
            cell = slice(o * step, o * step + wide)
            here, there = x[0, c, cell], b[0, c, cell]
            change, d = here.max() - there.max(), here - there
            if d[here.argmax()] == 0:
                out[0, c, o * step + int(here.argmax())] += m[0, c, o]
            if change != 0:
                at = int(here.argmax()) if change > 0 else int(there.argmax())
                out[0, c, o * step + at] += m[0, c, o] * change / d[at]
    return out
