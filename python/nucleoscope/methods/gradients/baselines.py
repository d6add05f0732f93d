"""Where a path starts: sequences that a model's answer for X is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.shuffle import shuffles
from nucleoscope.methods.ensemble import View
from nucleoscope.reading import Sequences

ROUNDING = 1e-3  # what a column of probabilities may be off by in its sum


@dataclass(frozen=True)
class Baselines:
    """Checked baselines, which are made for some sequences at a time."""

    sequences: Sequences
    given: Tensor | None  # [N or 1, n, A, L]; None: shuffles
    count: int  # for each sequence
    seed: int = 0

    def of(self, rows: slice) -> Tensor:  # [rows or 1, n, A, L]
        """Those of some sequences, letters first."""
        if self.given is not None:
            return self.given[rows] if len(self.given) > 1 else self.given
        part = replace(
            self.sequences, values=self.sequences.values[rows], letters=self.sequences.letters[rows]
        )
        return shuffles(part, self.count, self.seed, torch.float32)


def read_baselines(
    baselines: Any, sequences: Sequences, count: int | None = None, seed: int = 0
) -> Baselines:
    """What was asked for as sequences or mixtures of letters.

    "uniform": equal parts of all letters; "zeros": none (N); "dinucleotide", where `count` says how many: shuffles
    that keep each sequence's dinucleotides, from `seed` on. Or a tensor laid out as X: one for all
    [1, A, L], one for each [N, A, L], or several for each [N, n, A, L]; its columns must be letters, mixtures
    of them, or empty.

    Raises TypeError or ValueError that names `baselines` for anything else.
    """
    length, size = sequences.letters.shape[1], sequences.size
    if isinstance(baselines, str) and baselines == "dinucleotide" and count is not None:
        return Baselines(sequences, None, count, seed)
    if isinstance(baselines, str) and baselines in ("uniform", "zeros"):
        share = 1.0 / size if baselines == "uniform" else 0.0
        return Baselines(sequences, torch.full((1, 1, size, length), share, dtype=torch.float64), 1)
    if not isinstance(baselines, Tensor):
        names = ["uniform", "zeros"] + ["dinucleotide"] * (count is not None)
        raise TypeError(
            f"baselines={baselines!r}: use one of {', '.join(map(repr, names))}, or a tensor laid out as X"
        )
    made = _given(baselines.detach(), sequences)
    return Baselines(sequences, made, made.shape[1])


def one_for_each(starts: Baselines) -> Baselines:
    """The same, where a path can start from them; raises ValueError for several of one sequence."""
    if starts.count != 1:
        raise ValueError(
            f"baselines: {starts.count} for each sequence; a path has one. nucleoscope.expected_gradients "
            "averages over several."
        )
    return starts


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
