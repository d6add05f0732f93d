"""Ops that are none of torch's own: tried at random numbers for whether they mix tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx import Node
from torch.utils._pytree import tree_map_only

from nucleoscope.engine.attention.capture.axes import TOKENS, Along, shape_of

OWN = ("aten", "prim", "prims", "quantized")


def foreign(node: Node, found: dict[Node, Along]) -> str | None:
    """Why an op may be attention that is not looked into; None of torch's own, and where tokens stay apart."""
    if node.op != "call_function" or not any(found[n].tokens for n in node.all_input_nodes):
        return None
    name = str(node.target)
    if isinstance(node.target, HigherOrderOperator):
        if name.startswith("flex_attention"):
            return (
                "flex_attention makes its logits by a function of its own; with the same as attn_mask of "
                "scaled_dot_product_attention it could be taken apart"
            )
        return f"{name} runs a graph of its own, which is not looked into"
    if not isinstance(node.target, OpOverload):
        return None
    if node.target.namespace in OWN:
        inside = "attention" in name and "scaled_dot_product_attention.default" not in name
        return f"{name} is no op that could be taken apart" if inside else None
    try:
        mixes = _mixes(node, found)
    except Exception as error:  # whatever somebody else's op raises at random numbers
        return f"{name} is no op that could be taken apart, nor be tried: {type(error).__name__}"
    return f"{name} is no op that could be taken apart, and it mixes tokens" if mixes else None


def _mixes(node: Node, found: dict[Node, Along]) -> bool:
    """Whether a change of one token of any tensor that it reads changes what it gives at others."""
    numbers = torch.Generator().manual_seed(0)
    held = {n: _drawn(n.meta["val"], numbers) for n in node.all_input_nodes}
    before = _run(node, held)
    for each, tensor in held.items():
        if not tensor.is_floating_point():
            continue
        for axis, bits in enumerate(found[each].axes):
            count = tensor.shape[axis]
            if not (bits & TOKENS and count > 1):
                continue
            moved = tensor.clone()
            moved.select(axis, count // 2).add_(1.0)
            changed = _run(node, {**held, each: moved}) != before
            for at, of in enumerate(found[node].axes):
                if of & TOKENS and shape_of(node)[at] == count:
                    rest = [a for a in range(changed.ndim) if a != at]
                    places = changed.any(dim=rest) if rest else changed
                    if int(places.sum()) > int(places[count // 2]):
                        return True
    return False


def _drawn(like: Any, numbers: torch.Generator) -> Tensor:
    if not isinstance(like, Tensor):
        raise TypeError("no tensor")
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype, device=like.device)
    drawn = torch.randn(like.shape, generator=numbers)
    return drawn.to(like.device, like.dtype)


def _run(node: Node, held: dict[Node, Tensor]) -> Tensor:
    args, kwargs = tree_map_only(Node, held.__getitem__, (list(node.args), dict(node.kwargs)))
    with torch.no_grad():
        made = node.target(*args, **kwargs)  # type: ignore[operator]
    return made if isinstance(made, Tensor) else made[0]
