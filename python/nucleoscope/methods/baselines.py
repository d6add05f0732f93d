"""Where a path starts: sequences that a model's answer for X is compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.methods.ensemble import View
from nucleoscope.reading import Sequences

NAMES = ("uniform", "zeros")
ROUNDING = 1e-3  # what a column of probabilities may be off by in its sum


def read_baselines(baselines: Any, sequences: Sequences) -> Tensor:  # [N or 1, n, A, L]
    """What was asked for as sequences or mixtures, n for each sequence, letters first.

    "uniform": equal parts of all letters; "zeros": none (N). Or a tensor laid out as X: one for all
    [1, A, L], one for each [N, A, L], or several for each [N, n, A, L]; its columns must be letters,
    mixtures of them, or empty.

    Raises TypeError or ValueError that names `baselines` for anything else.
    """
    columns = sequences.columns
    length = columns.shape[2]
    if isinstance(baselines, str):
        if baselines == "uniform":
            return columns.new_full((1, 1, sequences.size, length), 1.0 / sequences.size).float()
        if baselines == "zeros":
            return torch.zeros(1, 1, sequences.size, length, device=columns.device)
    if not isinstance(baselines, Tensor):
        raise TypeError(
            f"baselines={baselines!r}: use one of {', '.join(map(repr, NAMES))}, or a tensor laid out as X"
        )
    return _given(baselines.detach(), sequences)


def in_view(baselines: Any, view: View, layout: str, alphabet: str) -> Any:
    """Baselines as a view shows its sequences."""
    if (
        not isinstance(baselines, Tensor)
        or baselines.ndim not in (3, 4)
        or view == View(view.member)
    ):
        return baselines
    flat = view.of(baselines.reshape(-1, *baselines.shape[-2:]), layout, alphabet)
    return flat.view(*baselines.shape[:-2], *flat.shape[1:])


def one_for_each(baselines: Tensor) -> Tensor:  # [N or 1, n, A, L] -> [N or 1, A, L]
    """The same where there is one a sequence. Raises ValueError where there are several."""
    if baselines.shape[1] != 1:
        raise ValueError(
            f"baselines: {baselines.shape[1]} for each sequence; one path has one. "
            "nucleoscope.expected_gradients averages over several."
        )
    return baselines[:, 0]


def _given(baselines: Tensor, sequences: Sequences) -> Tensor:
    shape, count = tuple(sequences.values.shape), len(sequences.values)
    got = tuple(baselines.shape)
    fits = got[-2:] == shape[1:] and baselines.ndim in (3, 4) and got[0] in (1, count)
    if not fits or baselines.numel() == 0:
        a, b = shape[1:]
        raise ValueError(
            f"baselines: its shape is {got}; for X of shape {shape} it must be [1, {a}, {b}] (one for all), "
            f"[{count}, {a}, {b}] (one for each), or [{count}, n, {a}, {b}] (several for each)"
        )
    if not baselines.is_floating_point():
        baselines = baselines.float()
    made = baselines if sequences.layout == "NCL" else baselines.transpose(-1, -2)
    made = made if made.ndim == 4 else made[:, None]
    total = made.sum(2)
    off = (made < -ROUNDING).any(2) | ~(((total - 1).abs() <= ROUNDING) | (made == 0).all(2))
    if off.any():  # NaN is among them
        n, k, site = off.nonzero()[0].tolist()
        shown = [round(v, 4) for v in made[n, k, :, site].tolist()]
        raise ValueError(
            f"baselines: of sequence {n}, baseline {k}, position {site} is {shown}: off the simplex. A column "
            "holds shares of letters, which are not negative and add up to 1, or only zeros (N)."
        )
    return made
