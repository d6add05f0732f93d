"""Models that are a sum of motifs' effects before their last function: its terms, exactly, and their bases."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Protocol

import torch
from torch import Tensor

Tracks = slice | list[int] | int


class Additive(Protocol):
    """What such a model has, as `Puffin`: maps of motifs, a linear layer for each bank of them, and a link.

    The functions here hold a model to it: link(sum of all banks' effects) has to be what the model answers.
    """

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """Each bank's maps, [N, C, L]."""

    def effect(self, bank: str, maps: Tensor) -> Tensor:
        """What a bank adds to the sum, [N, T, L], bias included; linear in the maps."""

    def link(self, total: Tensor) -> Tensor:
        """The outputs, from the sum of all banks' effects."""

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs, [N, T, L]."""


def channel_effects(
    model: Additive,
    x: Tensor,  # [N, 4, L] one-hot
    bank: str = "motif",
) -> tuple[Tensor, Tensor]:  # [N, C, T, L], [T, L]
    """What each motif of a bank adds to every output before the link, and the constant beside them.

    Exact: with the constants, the terms of all banks are the sum that the model takes. In the units of the
    outputs before the link (Puffin: before softplus). Raises TypeError for a model of another form, ValueError
    for one whose effects are not linear or do not make its answer, and for a bank that there is not.

    Source: Dudnyk et al. 2024.

    Equivalent to::

        model.effect(bank, maps with all but channel c at 0) - model.effect(bank, 0)
    """
    _check(model, x)
    with torch.no_grad():
        every = model.activations(x)
        maps = _maps(every, bank)
        _total(model, x, every)
        constant = model.effect(bank, torch.zeros_like(maps[:1]))
        each = []
        for c in range(maps.shape[1]):
            alone = torch.zeros_like(maps)
            alone[:, c] = maps[:, c]
            each.append(model.effect(bank, alone) - constant)
        terms = torch.stack(each, 1)
        _same(
            terms.sum(1) + constant,
            model.effect(bank, maps),
            f"effect({bank!r}, maps) is not linear",
        )
    return terms, constant[0]


@torch.enable_grad()  # whatever the caller is under
def base_contributions(
    model: Additive,
    x: Tensor,  # [N, 4, L] one-hot
    start: int,
    end: int,
    tracks: Tracks = slice(None),
    *,
    bank: str = "motif",
    channel: int | None = None,
    counts: Callable[[Tensor], Tensor] = torch.expm1,
) -> Tensor:  # [N, L]
    """What each base adds to the outputs in a window [start, end), through the motifs of a bank.

    A motif's weight g is the slope of the window's counts by its map, and is held; what the bases add is the slope
    of sum(map ** 2 * g), the letter there against the mean of the others. `channel` keeps one motif. `counts`
    makes counts of outputs: by default these are ln(count + 1), as Puffin's.

    Raises TypeError for a model of another form, ValueError for one whose answer is not the link of the sum of its
    effects, for a bank that there is not and a window that does not lie in the outputs, IndexError for a channel
    or a track that there is not.

    Source: Dudnyk et al. 2024.

    Equivalent to::

        total = sum(model.effect(bank, maps) for bank, maps in model.activations(x).items())
        g = grad(counts(model.link(total))[:, tracks, start:end].sum(), maps of the bank)
        slope = grad((maps ** 2 * g).sum(), x)
        (x * slope).sum(1) - ((1 - x) * slope).sum(1) / 3
    """
    _check(model, x)
    given = x.detach().clone().requires_grad_()
    every = model.activations(given)
    maps = _maps(every, bank)
    if channel is not None and (not _is_whole(channel) or not 0 <= channel < maps.shape[1]):
        raise IndexError(
            f"channel={channel!r}: bank {bank!r} has channels 0 to {maps.shape[1] - 1}"
        )
    leaf = maps.detach().clone().requires_grad_()
    held = {b: leaf if b == bank else m.detach() for b, m in every.items()}
    outputs = model.link(_total(model, x, held))
    if not (_is_whole(start) and _is_whole(end)) or not 0 <= start < end <= outputs.shape[2]:
        raise ValueError(
            f"start={start!r}, end={end!r}: a window of the {outputs.shape[2]} positions of the outputs is needed"
        )
    read = counts(outputs[:, _chosen(tracks, outputs.shape[1]), start:end])
    (weight,) = torch.autograd.grad(read.sum(), leaf)
    of = slice(None) if channel is None else slice(channel, channel + 1)
    (slope,) = torch.autograd.grad((maps[:, of] ** 2 * weight[:, of]).sum(), given)
    return (x * slope).sum(1) - ((1 - x) * slope).sum(1) / (x.shape[1] - 1)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check(model: Additive, x: Tensor) -> None:
    lacks = [name for name in ("activations", "effect", "link") if not hasattr(model, name)]
    if lacks:
        raise TypeError(
            f"model: a {type(model).__name__} has no {', '.join(lacks)}; a model that is a sum of motifs' effects "
            "is needed, as Puffin, with the methods of nucleoscope.models.additive.Additive"
        )
    if x.ndim != 3 or not len(x) or not x.is_floating_point():
        raise ValueError(
            f"x: {x.dtype} of shape {tuple(x.shape)}, where floating-point [N, letters, L] is needed, with a "
            "sequence in it"
        )


def _maps(every: dict[str, Tensor], bank: str) -> Tensor:
    if bank not in every:
        raise ValueError(f"bank={bank!r}: use one of {', '.join(map(repr, every))}")
    return every[bank]


def _total(model: Additive, x: Tensor, every: dict[str, Tensor]) -> Tensor:
    """The sum of all banks' effects, once its link is the model's answer."""
    first, *others = (model.effect(bank, maps) for bank, maps in every.items())
    total = sum(others, first)
    with torch.no_grad():
        _same(model.link(total), model(x), "link(sum of effects) is not what it answers")
    return total


def _same(made: Tensor, wanted: Tensor, otherwise: str) -> None:
    """Refuse two tensors that differ by more than rounding."""
    if made.shape != wanted.shape:
        raise ValueError(
            f"model: {otherwise}: shapes {tuple(made.shape)} and {tuple(wanted.shape)}"
        )
    off = (made - wanted).abs()
    most = float(off.max())
    if not most <= torch.finfo(wanted.dtype).eps ** 0.5 * float(wanted.abs().max()):
        where = [int(i) for i in torch.unravel_index(off.argmax(), off.shape)]
        raise ValueError(
            f"model: {otherwise}: they differ by {most:.3g}, the most at [sequence, track, position] {where}. Its "
            "methods activations, effect and link have to say what its forward does"
        )


def _chosen(tracks: Tracks, there: int) -> list[int]:
    """The tracks that are asked for, by number."""
    every = range(there)
    if isinstance(tracks, slice):
        chosen = list(every[tracks])
    else:
        chosen = [tracks] if isinstance(tracks, int) else list(tracks)
    wrong = [track for track in chosen if not -there <= track < there]
    if wrong or not chosen:
        raise IndexError(
            f"tracks={tracks!r}: the outputs have tracks 0 to {there - 1}, of which one or more are needed"
        )
    return chosen
