"""Attention as it is: a product, a softmax, and a product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants.registry import Call, Values, aten, secant
from nucleoscope.engine.gradients.secants.softmax import of_softmax

PARTS = ("query", "key", "value", "attn_mask")


@secant(aten.scaled_dot_product_attention.default)
def attention(call: Call, m: Tensor, x: Values, b: Values) -> Sequence[Tensor | None]:
    """Queries and keys count by half way between the two, and so do weights and values."""
    (q, q_), (k, k_), (v, v_), (mask, mask_) = (
        [call.value(i, name, values) for values in (x, b)] for i, name in enumerate(PARTS)
    )
    scale = call.argument(6, "scale") or q.shape[-1] ** -0.5
    causal = call.argument(5, "is_causal", False)
    logits, logits_ = (_logits(*each, scale, causal) for each in ((q, k, mask), (q_, k_, mask_)))
    weights = (torch.softmax(logits, -1) + torch.softmax(logits_, -1)) * 0.5
    of_value = weights.mT @ m
    of_logits = of_softmax(m @ ((v + v_) * 0.5).mT, logits, logits_, -1)
    of_query = of_logits @ ((k + k_) * 0.5) * scale
    of_key = of_logits.mT @ ((q + q_) * 0.5) * scale
    made = [torch.zeros_like(each) for each in b]
    for i, back in enumerate((of_query, of_key, of_value, of_logits)):
        part = call.node.args[i] if len(call.node.args) > i else call.node.kwargs.get(PARTS[i])
        if part in call.reached:
            at = call.reached.index(part)
            made[at] = made[at] + back.sum_to_size(b[at].shape)
    return made


def _logits(q: Tensor, k: Tensor, mask: Any, scale: float, causal: bool) -> Tensor:
    made = q @ k.mT * scale
    if causal:
        ahead = torch.ones_like(made, dtype=torch.bool).triu(1)
        made = made.masked_fill(ahead, -torch.inf)
    if mask is None:
        return made
    return made.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else made + mask
