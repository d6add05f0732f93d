"""The coalition table: what a model answers with every subset of some regions kept, by the delta engine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.dinucleotide_shuffle import dinucleotide_shuffle
from nucleoscope.methods.edits.substitution_effect import substitution_effect

MOST = 8  # regions: 256 coalitions

Regions = Sequence[tuple[int, int]]


def read_regions(regions: Any, length: int) -> list[tuple[int, int]]:
    """Check stretches [start, end) that do not overlap, 2 to 8 of them."""
    found = [(int(start), int(end)) for start, end in regions]
    if not 2 <= len(found) <= MOST:
        raise ValueError(
            f"regions: {len(found)} of them; 2 to {MOST}, since all subsets of them are asked about"
        )
    for start, end in found:
        if not 0 <= start < end <= length:
            raise ValueError(
                f"regions: [{start}, {end}) is no stretch of a sequence of {length} bases"
            )
    for (_, end), (start, _) in itertools.pairwise(sorted(found)):
        if start < end:
            raise ValueError(f"regions: two of them overlap at {start}")
    return found


def coalition_table(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    regions: Regions,  # K stretches
    args: tuple[Tensor, ...] | None = None,
    *,
    n: int = 10,
    background: Tensor | None = None,  # [N, n, 4, L] one-hot; dinucleotide shuffles by default
    random_state: int = 0,
    target: Any = None,
    func: Func | None = None,
    precision: str = "fp32",
    verify: int = 2,
) -> Tensor:  # [N, 2 ** K] float64
    """What a model answers when some regions are there and the others are as in a background, the mean over n.

    Coalition s holds region k where bit k of s is set; the last column is the sequence itself, column 0 has
    none of the regions. Outside of them nothing is changed. All coalitions of a sequence are filled from the
    same n backgrounds, so that differences between them are not blurred by the draw. Every one is an edit of
    the sequence, carried as a delta: no forward of the model is run for it where the plan has none.

    Raises TypeError or ValueError for regions, backgrounds or what `substitution_effect` refuses.

    Equivalent to::

        for s in range(2 ** K):
            Z = X.repeat_interleave(n)
            Z[:, :, region k] = background[:, :, region k]        # for every bit k of s that is not set
            table[:, s] = model(Z).mean over n
    """
    spans = read_regions(regions, X.shape[2])
    if background is None:
        background = dinucleotide_shuffle(X, n, random_state)
    elif (
        background.ndim != 4 or background.shape[0] != len(X) or background.shape[2:] != X.shape[1:]
    ):
        raise ValueError(
            f"background: shape {tuple(background.shape)}, where [{len(X)}, n, {X.shape[1]}, "
            f"{X.shape[2]}] is needed"
        )  # fmt: skip
    whole, draws = 2 ** len(spans) - 1, background.shape[1]
    filled = background.argmax(2).masked_fill(background.amax(2) == 0, -1)  # N is no letter
    rows, sequence = _edits(filled.cpu().numpy(), spans)
    found = substitution_effect(
        model, X, rows, args, sequence=sequence, target=target, func=func, precision=precision, verify=verify,
    )  # fmt: skip
    changes = found.changes.double().cpu().view(len(X), whole, draws).mean(2)
    before = found.before.double().cpu().view(len(X), whole, draws)[:, :1, 0]
    return torch.cat([before + changes, before], 1)


def _edits(filled: np.ndarray[Any, Any], spans: Regions) -> tuple[Any, Any]:
    """Rows (edit, position, letter) of all coalitions but the whole: by sequence, coalition, draw."""
    count, draws, _ = filled.shape
    whole = 2 ** len(spans) - 1
    rows = []
    for s in range(whole):
        gone = [range(*span) for k, span in enumerate(spans) if not s >> k & 1]
        position = np.array(list(itertools.chain(*gone)))
        for n, draw in itertools.product(range(count), range(draws)):
            edit = np.full_like(position, (n * whole + s) * draws + draw)
            rows.append(np.stack([edit, position, filled[n, draw, position]], 1))
    return np.concatenate(rows), np.repeat(np.arange(count), whole * draws)


def shapley_values(table: Tensor) -> Tensor:  # [..., 2 ** K] -> [..., K]
    """Each player's Shapley value of a full table, whose column s holds the players of s's bits.

    phi_k = sum over s without k of |s|! (K - |s| - 1)! / K! (v(s + k) - v(s)). They add up to v(all) - v(none).

    Raises ValueError for a table whose last axis is not a power of 2. Source: Shapley 1953.

    Equivalent to::

        mean over orders of (v(those before k and k) - v(those before k))
    """
    size = table.shape[-1]
    players = size.bit_length() - 1
    if size != 1 << players or players < 1:
        raise ValueError(f"table: {size} coalitions; 2 ** K are needed, for K of 1 or more")
    coalition = torch.arange(size)
    count = torch.stack([coalition >> k & 1 for k in range(players)]).sum(0)
    orders = [1 / (players * math.comb(players - 1, s)) for s in range(players)]
    weights = torch.tensor([*orders, 0.0], dtype=table.dtype)  # of coalitions of 0, 1, ... players
    found = []
    for k in range(players):
        without = coalition[(coalition >> k & 1) == 0]
        gain = table[..., without | 1 << k] - table[..., without]
        found.append((gain * weights[count[without]]).sum(-1))
    return torch.stack(found, -1)


def interactions(table: Tensor) -> Tensor:  # [..., 2 ** K] -> [..., K, K]
    """What two players do together beyond each alone, all others there: v(all) - v(-j) - v(-k) + v(-j -k).

    Below 0 they can stand in for each other, above 0 they need each other; 0 on the diagonal.

    Equivalent to::

        (v(all) - v(without j)) + (v(all) - v(without k)) - (v(all) - v(without both))
    """
    size = table.shape[-1]
    players, whole = size.bit_length() - 1, size - 1
    made = table.new_zeros(*table.shape[:-1], players, players)
    for j, k in itertools.combinations(range(players), 2):
        both = whole & ~(1 << j) & ~(1 << k)
        found = (
            table[..., whole] - table[..., whole & ~(1 << j)] - table[..., whole & ~(1 << k)] + table[...,
            both]
        )  # fmt: skip
        made[..., j, k] = made[..., k, j] = found
    return made
