"""A chain of layers: which op each is, on which earlier values, with what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from nucleoscope.naive.ops._rows import Rows

OPS = (
    "edit_lookup", "delta_conv", "delta_max_pool", "delta_pointwise", "delta_sum", "delta_product",
    "delta_concat",
    "delta_layer_norm", "delta_softmax_pool",
)  # fmt: skip


class Letters(NamedTuple):
    """Single-base substitutions: E letters at each of S sites. -1 is no letter, an all-zero column."""

    sequence: Tensor  # [S] int32: which original each site edits
    site: Tensor  # [S] int64: its position
    old: Tensor  # [S] int32: the letter that stands there
    new: Tensor  # [S, E] int32: the letters put in


class Kept(NamedTuple):
    """Original activations of one layer, at positions first, first + 1, ... of N sequences."""

    values: Tensor  # [N, L, C]
    first: int = 0


@dataclass(frozen=True)
class Link:
    """One layer of a chain. What its op has no use for stays as it is.

    Values are numbered: first those that come from outside, then one a link.
    """

    op: str  # one of OPS
    rows: Rows  # of its output
    channels: int  # of its output
    length: int  # of its output
    given: int = -1  # the value it takes; an edit_lookup takes the letters
    beside: int = -1  # a second value: delta_conv's residual, delta_softmax_pool's logits, ...
    weight: Tensor | None = None  # also edit_lookup's table, delta_sum's scale
    original: Kept | None = None  # of the input of what is not linear: a function, a pool, a norm
    second: Kept | None = (
        None  # a second original: a pool's output, a product's other factor, a softmax's logits
    )
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    length_in: int = 0
    residual_first: bool = False
    factors: tuple[float, float] = (1.0, 1.0)  # of delta_sum's terms
    function: str = "relu"  # delta_pointwise's, or what follows an edit_lookup
    parameters: tuple[float, ...] = ()  # of the function
    wide: int = 1  # channels of a delta_layer_norm's group
    eps: float = 0.0  # of a delta_layer_norm
    limit: float = math.inf  # of a delta_layer_norm
    relu: bool = False  # whether a delta_max_pool stands behind a ReLU whose input it takes
    tf32: bool = False  # whether a delta_conv rounds what it multiplies to TF32; on a GPU only
