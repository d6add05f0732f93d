"""Attention itself, where it is asked for: chosen queries of one layer, or the largest weights of each."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.attention.capture.run import Attention
from nucleoscope.engine.attention.fold import weight_blocks
from nucleoscope.methods.attention.attending import Attending, attending, rows_for
from nucleoscope.methods.attention.token_rows import Spans
from nucleoscope.result import Attribution, Check


class Largest(NamedTuple):
    """The largest weights of every query, and of which keys they are; largest first."""

    weights: Tensor  # [N, H, T, k]
    keys: Tensor  # [N, H, T, k] int64


def attention_maps(
    model: Any,
    X: Tensor,  # [N, 4, L] one-hot, or [N, T] numbers of tokens
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    layer: int = -1,
    rows: Any = None,
    top: int | None = None,
    tokens: Spans | None = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
) -> Attribution | Largest:  # scores [N, H, M, T]
    """The attention of one layer: of chosen queries to every key, or the `top` largest weights of every query.

    A weight is the share that a key's value has in what the head gives a query; the weights of a query sum to
    1. Memory is that of what is returned: any block or row of a matrix at any length.

    Parameters
    ----------
    model, X, args, tokens, layout, alphabet, precision
        As of `attention_rollout`.
    layer
        Which attention layer, from 0; the last by default.
    rows
        Queries, as of `attention_rollout`; weights over queries give their weighted sum. None: all, up to
        4,096 tokens.
    top
        How many of the largest weights of each query, in place of rows.

    Raises
    ------
    TypeError, ValueError, IndexError, Untraceable
        As `attention_rollout`.

    Equivalent to::

        scores = rows @ softmax(logits, -1)                       # head by head
        weights, keys = softmax(logits, -1).topk(top)             # with top
    """
    alphabet = alphabet_of(model, alphabet)
    with attending(
        model, X, args, layers=[layer], tokens=tokens, layout=layout, alphabet=alphabet, precision=precision,
        memory=None,
    ) as asked, torch.no_grad():  # fmt: skip
        taken = (next(asked.top_down(asked.inputs(at))) for at in range(len(asked.X)))
        if top is not None:
            if (
                not isinstance(top, Integral)
                or isinstance(top, bool)
                or not 1 <= top <= asked.tokens
            ):
                raise ValueError(f"top={top!r}: a number of keys from 1 to {asked.tokens}")
            found = [_largest(each, int(top)) for each in taken]
            weights, keys = (torch.cat(each).cpu() for each in zip(*found, strict=True))
            _refuse(weights)
            return Largest(weights, keys)
        wanted = rows_for(asked, rows)
        scores = torch.cat([_rows(each, wanted) for each in taken]).cpu()
        _refuse(scores)
    return _attribution(asked, scores, wanted.cpu())


def _rows(layer: Attention, wanted: Tensor) -> Tensor:  # [M, Lq] -> [1, H, M, Lk]
    made = wanted.new_zeros(1, layer.heads, len(wanted), layer.tokens[1])
    queries = wanted.abs().sum(0).nonzero()[:, 0]
    for part in queries.split(64):
        begin, end = int(part[0]), int(part[-1]) + 1
        if end - begin > 4 * len(part):  # far apart: one by one
            for at in part.tolist():
                made += wanted[:, at : at + 1] @ layer.weights(at, at + 1)
        else:
            made += wanted[:, begin:end] @ layer.weights(begin, end)
    return made


def _refuse(weights: Tensor) -> None:
    if not bool(torch.isfinite(weights).all()):
        raise ValueError(
            "the weights are not finite: logits hold a NaN or an infinity, or a query sees no key. Look at the "
            "model's queries and keys there, or ask for precision='fp64'"
        )


def _largest(layer: Attention, top: int) -> tuple[Tensor, Tensor]:
    found = [weights.topk(top, -1) for _, _, weights in weight_blocks(layer)]
    return torch.cat([each.values for each in found], 2), torch.cat(
        [each.indices for each in found], 2
    )


def _attribution(asked: Attending, scores: Tensor, rows: Tensor) -> Attribution:
    off = float((scores.sum(-1) - rows.sum(-1)).abs().max())
    facts = {
        "method": "attention_maps", "layer": asked.captured.names[asked.layers[0]],
        "token_spans": None if asked.places is None else asked.places.spans.tolist(),
    }  # fmt: skip
    check = Check("weights of a query sum to 1", off < 1e-5, f"within {off:.0e}")
    axes = ("sequence", "head", "row", "token")
    empty = torch.empty(len(scores), 0)
    return Attribution(scores, axes, "", 0, empty, facts, (check,), asked.columns)
