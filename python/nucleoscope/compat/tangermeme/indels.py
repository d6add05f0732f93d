"""tangermeme's deletions and insertions: what follows is shifted, so every edited sequence is predicted whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.compat.outputs import PerturbationResult
from nucleoscope.compat.tangermeme.inputs import hard
from nucleoscope.compat.tangermeme.predict import predict

Options = dict[str, Any]


def deletion_effect(
    model: nn.Module,
    X: Tensor,  # [N, 4, L + the most deletions of an example]
    deletions: Tensor | np.ndarray[Any, Any],  # rows (example, position)
    left: bool = False,
    args: tuple[Tensor, ...] | None = None,
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    **kwargs: Any,
) -> PerturbationResult:  # y_before, y_after [N, *out]
    """Outputs before and after single letters are deleted.

    Sequences are longer than the model's by the most deletions of any example. Both they and what is left of
    them are trimmed to that length at the right end, or with `left` at the left. Raises ValueError where
    nothing is left, and what `func` raises.
    """
    X = hard(X)
    rows = torch.as_tensor(np.asarray(deletions)).long()
    kept = torch.ones(len(X), X.shape[2], dtype=torch.bool)
    kept[rows[:, 0], rows[:, 1]] = False
    length = int(kept.sum(1).min())
    if length == 0:
        raise ValueError("deletions: nothing is left of an example")
    cut = slice(-length, None) if left else slice(length)
    edited = torch.stack([x[:, own][:, cut] for x, own in zip(X, kept, strict=True)])
    return _both(
        model, X[:, :, cut], edited, args, func, {**(additional_func_kwargs or {}), **kwargs}
    )


def insertion_effect(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    insertions: Tensor | np.ndarray[Any, Any],  # rows (example, position, letter)
    left: bool = False,
    args: tuple[Tensor, ...] | None = None,
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    **kwargs: Any,
) -> PerturbationResult:  # y_before, y_after [N, *out]
    """Outputs before and after single letters are inserted, each before the letter at its position.

    Of several at one position the last given comes first. What is too long is trimmed at the right end, or
    with `left` at the left. Rows of examples beyond X are passed over. Raises ValueError for positions that
    are not there, and what `func` raises.
    """
    X = hard(X)
    length = X.shape[2]
    rows = np.asarray(insertions).astype(np.int64)
    rows = rows[(rows[:, 0] >= 0) & (rows[:, 0] < len(X))]
    if ((rows[:, 1] < 0) | (rows[:, 1] >= length)).any():
        raise ValueError(f"insertions: positions run from 0 to {length - 1}")
    columns = torch.eye(X.shape[1], dtype=X.dtype)
    edited = []
    for n, x in enumerate(X):
        own = rows[rows[:, 0] == n][::-1]
        own = own[np.argsort(own[:, 1], kind="stable")]
        made = np.insert(x.numpy(), own[:, 1], columns[own[:, 2]].T.numpy(), axis=1)
        edited.append(torch.from_numpy(made[:, -length:] if left else made[:, :length]))
    options = {**(additional_func_kwargs or {}), **kwargs}
    return _both(model, X, torch.stack(edited), args, func, options)


def _both(
    model: nn.Module, X: Tensor, edited: Tensor, args: Any, func: Callable[..., Any], options: Options
) -> PerturbationResult:  # fmt: skip
    more = {} if args is None else {"args": args}
    before, after = (func(model, each, **more, **options) for each in (X, edited))
    return PerturbationResult(before, after)
