"""Ops between convolutions on values whose channels lie side by side, as `conv` leaves them.

torch's BatchNorm and max-pool turn such a value to have its positions side by side, which costs several times
what they compute, and the next convolution turns it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def batch_norm(
    given: Tensor,  # [N, C, L]
    weight: Tensor | None,  # [C], as the following three
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,  # noqa: ARG001 - of training
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # [N, C, L], and nothing twice
    """What torch's gives in eval mode.

    Equivalent to::

        torch.ops.aten._native_batch_norm_legit_no_training(given, weight, bias, mean, variance, momentum, eps)
    """
    scale = torch.rsqrt(variance.double() + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    scale, shift = (each.to(given.dtype)[:, None] for each in (scale, shift))
    none = given.new_empty(0)
    return torch.addcmul(shift, given, scale), none, none


def max_pool(
    given: Tensor,  # [N, C, L]
    taps: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),  # noqa: ARG001 - 0: `reads` leaves others to torch
    dilation: Sequence[int] = (1,),
) -> Tensor:  # [N, C, L']
    """What torch's max_pool1d gives, member by member.

    Equivalent to::

        torch.max_pool1d(given, taps, stride, 0, dilation)
    """
    (wide,), (step,), (apart,) = taps, stride or taps, dilation
    length = (given.shape[2] - (wide - 1) * apart - 1) // step + 1
    members = (
        given[:, :, tap * apart : tap * apart + (length - 1) * step + 1 : step]
        for tap in range(wide)
    )
    made = next(members)
    for member in members:
        made = torch.maximum(made, member)
    return made if wide > 1 else made.clone(memory_format=torch.preserve_format)


OPS: dict[Any, Callable[..., Any]] = {
    aten._native_batch_norm_legit_no_training.default: batch_norm,
    aten.max_pool1d.default: max_pool,
}


def reads(target: Any, args: Sequence[Any]) -> bool:
    """Whether an op is one of these, on such a value on a processor, of which no gradient is asked."""
    if target not in OPS or torch.is_grad_enabled():
        return False
    given = args[0]
    beside = given.ndim == 3 and given.stride()[1:] == (1, given.shape[1]) and given.shape[1] > 1
    plain = target is not aten.max_pool1d.default or (
        (len(args) < 4 or not any(args[3])) and (len(args) < 6 or not args[5])
    )
    return bool(beside and plain and given.device.type == "cpu" and given.is_floating_point())
