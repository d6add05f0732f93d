"""Marginalization: a motif put into background sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.letters import place_motifs, read_motif, read_positions
from nucleoscope.methods.edits.several import Models, several


def marginalize(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    motif: str | Tensor,  # letters, or one-hot [4, W]
    positions: int | Sequence[int] | None = None,
    args: tuple[Tensor, ...] | None = None,
    *,
    target: Any = None,
    func: Func | None = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    shifts: Sequence[int] = (0,),
) -> Effects:  # changes [N, P], or [N, P, T] for a list of targets; P positions
    """What a motif does to a model's output, put over the letters at each of some positions.

    `positions` are where the motif begins, each an edit of its own; by default the one that has the motif's
    middle in the middle of the sequence. N in the motif leaves the letter there as it is. The other arguments
    are those of `saturation_mutagenesis`; edits must stay inside in all `shifts`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For a motif of other letters or that leaves the sequence, no positions, and what
        `saturation_mutagenesis` refuses.
    Disagreement
        If the verification fails.

    Source: tangermeme's `marginalize` (Schreiber 2025).

    Equivalent to::

        edited[:, :, p : p + W] = motif
        read(model(edited)) - read(model(X))
    """
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "marginalize") as asked:
        letters = read_motif(motif, alphabet, "motif")
        length = asked.letters.shape[1]
        middle = length // 2 - len(letters) // 2
        places = read_positions(middle if positions is None else positions, len(letters), length)
        table = place_motifs(asked.letters, [[(letters, at)] for at in places])
        found = asked.measure(table)
    before, axes = found.original[:, None], ("sequence", "position")
    return asked.effects(found, before, axes, {"positions": places})
