"""Models that are a sum of motifs' effects before their last function: its terms, exactly, and their bases."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Additive(Protocol):
    """What such a model has, as `Puffin`: maps of motifs, and a linear layer for each bank of them."""

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """Each bank's maps, [N, C, L]."""

    def effect(self, bank: str, maps: Tensor) -> Tensor:
        """What a bank adds to the outputs, [N, T, L], bias included; linear in the maps."""


def channel_effects(
    model: Additive,
    x: Tensor,  # [N, 4, L] one-hot
    bank: str = "motif",
) -> tuple[Tensor, Tensor]:  # [N, C, T, L], [T, L]
    """What each motif of a bank adds to every output before the last function, and the constant beside them.

    Exact: with the constants, the terms of all banks are the sum that the model takes. In the units of the
    outputs before that function (Puffin: before softplus). Raises ValueError for a bank that there is not.

    Source: Dudnyk et al. 2024.

    Equivalent to::

        model.effect(bank, maps with all but channel c at 0) - model.effect(bank, 0)
    """
    with torch.no_grad():
        maps = _maps(model, x, bank)
        constant = model.effect(bank, torch.zeros_like(maps[:1]))
        each = []
        for c in range(maps.shape[1]):
            alone = torch.zeros_like(maps)
            alone[:, c] = maps[:, c]
            each.append(model.effect(bank, alone) - constant)
    return torch.stack(each, 1), constant[0]


def base_contributions(
    model: Additive,
    x: Tensor,  # [N, 4, L] one-hot
    start: int,
    end: int,
    tracks: slice | list[int] | int = slice(None),
    *,
    bank: str = "motif",
    channel: int | None = None,
) -> Tensor:  # [N, L]
    """What each base adds to the outputs in a window [start, end), through the motifs of a bank.

    A motif's weight g is the slope of the window's counts, sum(e ** output - 1), by its map, and is held; what
    the bases add is the slope of sum(map ** 2 * g), the letter there against the mean of the others. `channel`
    keeps one motif. The model's outputs are ln(count + 1).

    Raises ValueError for a bank that there is not and a window that does not lie in the sequence, IndexError for
    a channel that there is not.

    Source: Dudnyk et al. 2024.

    Equivalent to::

        slope = grad((maps ** 2 * g).sum(), x)
        (x * slope).sum(1) - ((1 - x) * slope).sum(1) / 3
    """
    if not 0 <= start < end <= x.shape[2]:
        raise ValueError(f"start={start}, end={end}: a window of the {x.shape[2]} bases is needed")
    given = x.detach().clone().requires_grad_()
    every = model.activations(given)
    maps = _maps(model, given, bank, every)
    if channel is not None and not 0 <= channel < maps.shape[1]:
        raise IndexError(f"channel={channel}: bank {bank!r} has channels 0 to {maps.shape[1] - 1}")
    leaf = maps.detach().clone().requires_grad_()
    total = sum(model.effect(b, leaf if b == bank else m.detach()) for b, m in every.items())
    counts = torch.expm1(torch.nn.functional.softplus(total))  # type: ignore[arg-type]
    chosen = [tracks] if isinstance(tracks, int) else tracks
    (weight,) = torch.autograd.grad(counts[:, chosen, start:end].sum(), leaf)
    used = maps if channel is None else maps[:, channel : channel + 1]
    held = weight if channel is None else weight[:, channel : channel + 1]
    (slope,) = torch.autograd.grad((used**2 * held).sum(), given)
    return (x * slope).sum(1) - ((1 - x) * slope).sum(1) / (x.shape[1] - 1)


def _maps(model: Additive, x: Tensor, bank: str, every: dict[str, Tensor] | None = None) -> Tensor:
    found = model.activations(x) if every is None else every
    if bank not in found:
        raise ValueError(f"bank={bank!r}: use one of {', '.join(map(repr, found))}")
    return found[bank]
