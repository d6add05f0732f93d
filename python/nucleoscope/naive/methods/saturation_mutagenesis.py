"""Saturation mutagenesis as it is defined: edit, predict, subtract."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nucleoscope.naive.methods.full_float32 import full_float32


def saturation_mutagenesis(
    model: nn.Module,
    X: Tensor,  # [N, A, L], or [N, L, A] with letters=2
    args: tuple[Tensor, ...] = (),
    *,
    sites: range,
    letters: int = 1,
    read: Callable[[Tensor], Tensor] = lambda output: output.reshape(len(output), -1).mean(
        1, keepdim=True
    ),
    batch: int = 64,
    between: Callable[[int], object] = lambda _edits: None,
) -> Tensor:  # [N, T, A, sites]
    """read(model(edited)) - read(model(X)) for every letter at every site; 0 at the letter there.

    `letters` is the axis of X that holds the letters; `read` [B, *out] -> [B, T]; `between` hears how
    many edits each batch took. Torch's TF32 is off meanwhile, whatever it is set to.
    """
    _warn_of_rounding(X.device)
    size = X.shape[letters]
    with torch.no_grad(), full_float32(()):
        result = []
        for n in range(len(X)):
            own = tuple(a[n : n + 1] for a in args)
            before = read(model(X[n : n + 1].clone(), *(a.clone() for a in own)))  # [1, T]
            scores = before.new_zeros(size * len(sites), before.shape[1])
            edits = [(a, s) for a in range(size) for s in range(len(sites))]
            for first in range(0, len(edits), batch):
                part = edits[first : first + batch]
                edited = X[n : n + 1].repeat(len(part), 1, 1)
                columns = edited if letters == 1 else edited.transpose(1, 2)
                for row, (letter, site) in enumerate(part):
                    columns[row, :, sites[site]] = 0
                    columns[row, letter, sites[site]] = 1
                after = read(model(edited, *(a.repeat_interleave(len(part), 0) for a in own)))
                scores[first : first + len(part)] = after - before
                between(len(part))
            same = (X[n] if letters == 1 else X[n].t())[:, list(sites)] == 1  # [A, sites]
            scores[same.reshape(-1)] = 0
            result.append(scores.view(size, len(sites), -1).permute(2, 0, 1))
        return torch.stack(result)


def _warn_of_rounding(place: torch.device) -> None:
    """Differences of outputs are mostly noise where those were rounded to 8 or 11 bits."""
    if torch.is_autocast_enabled(place.type):
        warnings.warn(
            "two outputs computed under autocast are subtracted: small effects drown in their rounding. "
            "Call it outside torch.autocast.",
            UserWarning,
            stacklevel=3,
        )
