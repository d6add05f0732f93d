"""Elementwise functions: how delta_pointwise names them, and what PyTorch calls them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Function(NamedTuple):
    name: str
    parameters: tuple[float, ...]
    plain: Callable[[Tensor], Tensor]
    positive: bool = False  # whether it is defined, or smooth, for positive values alone
    kinks: tuple[float, ...] = ()

    @property
    def named(self) -> dict[str, Any]:
        """As arguments of the op."""
        return {"function": self.name, "parameters": self.parameters}


FUNCTIONS = {
    "relu": Function("relu", (), torch.relu, kinks=(0.0,)),
    "relu6": Function("clamp", (0.0, 6.0), nn.functional.relu6, kinks=(0.0, 6.0)),
    "clamp": Function("clamp", (-1.5, 2.0), lambda x: x.clamp(-1.5, 2.0), kinks=(-1.5, 2.0)),
    "clamp_min": Function("clamp", (-1.5, math.inf), lambda x: x.clamp(min=-1.5), kinks=(-1.5,)),
    "clamp_max": Function("clamp", (-math.inf, 2.0), lambda x: x.clamp(max=2.0), kinks=(2.0,)),
    "leaky_relu": Function("leaky_relu", (0.01,), nn.functional.leaky_relu, kinks=(0.0,)),
    "elu": Function("elu", (1.0, 1.0, 1.0), nn.functional.elu, kinks=(0.0,)),
    "selu": Function(
        "elu", (1.6732632423543772, 1.0507009873554805, 1.0), nn.functional.selu, kinks=(0.0,)
    ),
    "celu": Function("elu", (2.0, 1.0, 0.5), lambda x: nn.functional.celu(x, 2.0), kinks=(0.0,)),
    "sigmoid": Function("sigmoid", (), torch.sigmoid),
    "tanh": Function("tanh", (), torch.tanh),
    "silu": Function("silu", (), nn.functional.silu),
    "gelu": Function("gelu", (), nn.functional.gelu),
    "gelu_tanh": Function("gelu_tanh", (), lambda x: nn.functional.gelu(x, approximate="tanh")),
    "softplus": Function(
        "softplus", (1.0, 20.0), lambda x: nn.functional.softplus(x), kinks=(20.0,)
    ),
    "softplus_steep": Function(
        "softplus", (3.0, 2.0), lambda x: nn.functional.softplus(x, 3.0, 2.0), kinks=(2.0 / 3,)
    ),
    "threshold": Function(
        "threshold", (0.125, 0.3), lambda x: nn.functional.threshold(x, 0.125, 0.3), kinks=(0.125,)
    ),
    "abs": Function("abs", (), torch.abs, kinks=(0.0,)),
    "square": Function("square", (), torch.square),
    "exp": Function("exp", (), torch.exp),
    "log": Function("log", (), torch.log, positive=True),
    "log1p": Function("log1p", (), torch.log1p, positive=True),
    "sqrt": Function("sqrt", (), torch.sqrt, positive=True),
    "reciprocal": Function("reciprocal", (), torch.reciprocal, positive=True),
}  # fmt: skip
