"""Masks and biases in their smallest form: a band of keys, a slope, a table of distances; else as they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.attention.capture.layer import Layer


def simplest(layer: Layer) -> Layer:
    """The same layer with its mask and bias told in fewer numbers where they can be, exactly.

    Raises ValueError where the mask hides every key from a query.
    """
    scores = layer.scores
    if scores.mask is not None:
        if not bool(scores.mask.any(-1).all()):
            h, i = (~scores.mask.any(-1)).nonzero()[0, 1:].tolist()
            raise ValueError(
                f"the mask of attention in {layer.name or 'the model'} hides every key from query {i} (head {h}), "
                "and a softmax of nothing is not defined: leave such tokens out of X, or let them see themselves"
            )
        scores = dataclasses.replace(scores, **_band(scores.mask, *layer.tokens))
    if scores.bias is not None:
        found = _of_distance(scores.bias, dataclasses.replace(layer, scores=scores))
        scores = dataclasses.replace(scores, **found)
    return dataclasses.replace(layer, scores=scores)


def _band(mask: Tensor, queries: int, keys: int) -> dict[str, Any]:
    """A mask as the keys before and after a query that it sees, where that is all of it."""
    if bool(mask.all()):
        return {"mask": None}
    if mask.shape[-2] != queries or mask.shape[-1] != keys or queries != keys:
        return {}
    first = mask[0, 0]
    behind = int(first[-1].flip(0).long().argmin()) - 1 if not bool(first[-1].all()) else None
    ahead = int(first[0].long().argmin()) - 1 if not bool(first[0].all()) else None
    if (behind is not None and behind < 0) or (ahead is not None and ahead < 0):
        return {}
    at = torch.arange(queries, device=mask.device)
    distance = at - at[:, None]
    seen = torch.ones_like(first)
    if behind is not None:
        seen &= distance >= -behind
    if ahead is not None:
        seen &= distance <= ahead
    if not bool((mask == seen).all()):
        return {}
    return {"mask": None, "behind": behind, "ahead": ahead}


def _of_distance(bias: Tensor, layer: Layer) -> dict[str, Any]:
    """A bias that only the distance decides: ALiBi's slopes, or a table for all queries."""
    queries, keys = layer.tokens
    if layer.relative is not None or bias.shape[-2:] != (queries, keys) or queries != keys:
        return {}
    if not bool((bias[..., 1:, 1:] == bias[..., :-1, :-1]).all()):
        return {}
    of_distance = torch.cat([bias[..., 1:, 0].flip(-1), bias[..., 0, :]], -1)  # [1, H, 2 L - 1]
    distance = torch.arange(1 - keys, keys, device=bias.device)
    scores = layer.scores
    seen = torch.ones_like(distance, dtype=torch.bool)
    if scores.behind is not None:
        seen &= distance >= -scores.behind
    if scores.ahead is not None:
        seen &= distance <= scores.ahead
    if scores.softcap is None and keys > 1 and bool(seen[keys - 2]):
        slopes = -of_distance[0, :, keys - 2]  # one step away
        straight = of_distance == -slopes[:, None] * distance.abs()
        if bool((straight | ~seen).all()):
            return {"bias": None, "slopes": slopes.expand(layer.heads).contiguous()}
    return {"bias": None, "table": of_distance[:, :, None].contiguous()}
