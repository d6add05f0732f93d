"""tangermeme's perturbations of one length: substitutions, motifs, spacings, shuffles.

With `func=predict` (the default, ours or tangermeme's own) edits go through the engine: each sequence's
original is made once, edits by what they change, and some are recomputed by the model. Any other `func` is
called on the sequences before and after, as tangermeme does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.compat.outputs import PerturbationResult, SpaceResult
from nucleoscope.compat.tangermeme.deltas import before_and_after
from nucleoscope.compat.tangermeme.inputs import hard
from nucleoscope.compat.tangermeme.predict import predict
from nucleoscope.compat.tangermeme.sequences import arranged, shuffle, written

Options = dict[str, Any]


def substitution_effect(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    substitutions: Tensor | np.ndarray[Any, Any],  # rows (example, position, letter)
    args: tuple[Tensor, ...] | None = None,
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    **kwargs: Any,
) -> PerturbationResult:  # y_before, y_after [N, *out]
    """Outputs before and after substitutions, all rows of an example at once.

    Raises ValueError where an example's position is given twice, IndexError for rows that are not there,
    and what `func` raises.
    """
    X = hard(X)
    rows = torch.as_tensor(np.asarray(substitutions)).long()
    if len(rows[:, :2].unique(dim=0)) != len(rows):
        raise ValueError(
            "substitutions: an example's position is given more than once; replicate the example so that "
            "each letter gets its own row of X"
        )
    edited = X.clone()
    edited[rows[:, 0], :, rows[:, 1]] = 0
    edited[rows[:, 0], rows[:, 2], rows[:, 1]] = 1
    options = {**(additional_func_kwargs or {}), **kwargs}
    return PerturbationResult(*before_and_after(model, X, edited, args, func, options))


def marginalize(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    motif: Tensor | str,  # letters, or one-hot [1 or N, 4, W]
    start: int | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    **kwargs: Any,
) -> PerturbationResult:  # y_before, y_after [N, *out]
    """Outputs before and after a motif is written over the sequences, in the middle where `start` is None.

    Raises ValueError for a motif of other letters or that leaves the sequence, an alphabet in another order than
    the model's own, and what `func` raises.
    """
    X = _of(model, X, alphabet)
    edited = written(X, motif, start, alphabet)
    options = {**(additional_func_kwargs or {}), **kwargs}
    args = options.pop("args", None)
    return PerturbationResult(*before_and_after(model, X, edited, args, func, options))


def space(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    motifs: Sequence[Tensor | str],
    spacing: Any,  # [K, motifs - 1]
    start: int | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    verbose: bool = False,
    **kwargs: Any,
) -> SpaceResult:  # y_before [N, *out], y_afters [N, K, *out]
    """Outputs before and after motifs are written over the sequences, at each row of spacings.

    Raises ValueError for motifs or spacings that do not fit, an alphabet in another order than the model's own,
    and what `func` raises.
    """
    del verbose  # one call makes all spacings
    X = _of(model, X, alphabet)
    gaps = torch.as_tensor(np.asarray(spacing))
    if gaps.ndim != 2 or gaps.shape[1] != len(motifs) - 1:
        raise ValueError(f"spacing: expected [K, {len(motifs) - 1}], got shape {tuple(gaps.shape)}")
    edited = torch.stack([arranged(X, motifs, own, start, alphabet) for own in gaps.tolist()], 1)
    options = {**(additional_func_kwargs or {}), **kwargs}
    args = options.pop("args", None)
    before, after = before_and_after(model, X, edited.flatten(0, 1), args, func, options)
    return SpaceResult(before, _each(after, edited.shape[:2]))


def ablate(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    start: int,
    end: int,
    n: int = 20,
    shuffle_fn: Callable[..., Any] = shuffle,
    args: Sequence[Tensor] | None = None,
    random_state: int | np.random.RandomState | None = None,
    func: Callable[..., Any] = predict,
    additional_func_kwargs: Options | None = None,
    **kwargs: Any,
) -> PerturbationResult:  # y_before [N, *out], y_after [N, n, *out]
    """Outputs before and after a region is shuffled, `n` times.

    `shuffle_fn(X, start=, end=, n=, random_state=)` gives the shuffled sequences [N, n, 4, L]. Raises
    ValueError for a region that is not there, and what `func` raises.
    """
    X = hard(X)
    options = {**(additional_func_kwargs or {}), **kwargs}
    if "random_state" in inspect.signature(func).parameters:
        options.setdefault("random_state", random_state)
    shuffled = shuffle_fn(X, start=start, end=end, n=n, random_state=random_state)
    edited = hard(shuffled.flatten(0, 1))
    before, after = before_and_after(model, X, edited, args, func, options)
    return PerturbationResult(before, _each(after, shuffled.shape[:2]))


def _of(model: Any, X: Tensor, alphabet: Sequence[str]) -> Tensor:
    X = hard(X)
    alphabet_of(model, "".join(alphabet))  # a motif in the order of another would be other letters
    if X.shape[1] != len(alphabet):
        raise ValueError(
            f"X: its axis 1 has {X.shape[1]}, and the alphabet {len(alphabet)} letters"
        )
    return X


def _each(outputs: Any, shape: Sequence[int]) -> Any:
    """[N * K, *out] -> [N, K, *out]."""
    if isinstance(outputs, Tensor):
        return outputs.unflatten(0, tuple(shape))
    return [part.unflatten(0, tuple(shape)) for part in outputs]
