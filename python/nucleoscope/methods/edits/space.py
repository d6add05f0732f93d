"""Motifs at spacings: several motifs in background sequences, nearer and farther apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Options
from nucleoscope.methods.edits.letters import place_motifs, read_motif, read_positions
from nucleoscope.methods.edits.several import Models, several


def space(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    motifs: Sequence[str | Tensor],  # letters, or one-hot [4, W]
    spacing: Any,  # whole numbers [K, motifs - 1]: letters between a motif and the next
    args: tuple[Tensor, ...] | None = None,
    *,
    start: int | None = None,
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
) -> Effects:  # changes [N, K], or [N, K, T] for a list of targets
    """What motifs together do to a model's output, at each of some spacings.

    The first motif begins at `start`; by default all of them together lie in the middle of the sequence. N in a
    motif leaves the letter there as it is. The other arguments are those of `saturation_mutagenesis`; edits must
    stay inside in all `shifts`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For motifs of other letters, that overlap, or that leave the sequence, no spacings, and what
        `saturation_mutagenesis` refuses.
    Disagreement
        If the verification fails.

    Source: tangermeme's `space` (Schreiber 2025).

    Equivalent to::

        for motif, gap in zip(motifs, (*spacing[k], 0)):
            edited[:, :, at : at + len(motif)] = motif
            at += len(motif) + gap
        read(model(edited)) - read(model(X))
    """
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "space") as asked:
        if isinstance(motifs, str | Tensor) or len(motifs) < 2:
            raise ValueError("motifs: give a list of two motifs or more; for one see marginalize")
        letters = [read_motif(each, alphabet, f"motifs[{i}]") for i, each in enumerate(motifs)]
        gaps = _read_spacing(spacing, len(letters))
        length = asked.letters.shape[1]
        arrangements = [_arranged(letters, own, start, length) for own in gaps.tolist()]
        found = asked.measure(place_motifs(asked.letters, arrangements))
    before, axes = found.original[:, None], ("sequence", "spacing")
    return asked.effects(found, before, axes, {"spacing": gaps.tolist()})


def _read_spacing(given: Any, motifs: int) -> Ints:
    gaps = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if (
        gaps.ndim != 2
        or gaps.shape[1] != motifs - 1
        or len(gaps) == 0
        or gaps.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"spacing: expected whole numbers [K, {motifs - 1}], the letters between a motif and the next; "
            f"got {gaps.dtype} of shape {gaps.shape}"
        )
    if (gaps < 0).any():
        raise ValueError(
            f"spacing: {int(gaps.min())} letters between two motifs: they would overlap"
        )
    return gaps.astype(np.int64)


def _arranged(
    letters: list[Ints], gaps: list[int], start: int | None, length: int
) -> list[tuple[Ints, int]]:
    """Each motif and where it begins."""
    sizes = [len(each) for each in letters]
    total = sum(sizes) + sum(gaps)
    steps = [size + gap for size, gap in zip(sizes, gaps, strict=False)]
    first = length // 2 - total // 2 if start is None else start
    (first,) = read_positions(first, total, length, "start")
    return list(zip(letters, accumulate(steps, initial=first), strict=True))
