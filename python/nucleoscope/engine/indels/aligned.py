"""The output of an alternative laid beside the original's, position by position of the genome."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def aligned(alternative: Floats, at: int, ref: int, alt: int) -> Floats:
    """What an output of one position a base, [..., P], says of the original's positions, [..., P].

    The allele begins at position `at` and has `ref` bases there, `alt` in the alternative. Positions are paired
    from its left end; inserted ones are one with the last pair, which takes their maximum; deleted ones are
    zero; and what follows moves by the difference. What moves in from beyond the right end is NaN. Source: the
    `get_delta_scores` of SpliceAI (Jaganathan et al. 2019), which has single anchors only.
    """
    size, paired = alternative.shape[-1], min(ref, alt)
    found = np.full_like(alternative, np.nan)
    found[..., : at + paired] = alternative[..., : at + paired]
    last = at + paired - 1
    if alt > ref and last < size:
        found[..., last] = alternative[..., last : at + alt].max(-1)
    found[..., at + paired : at + ref] = 0
    wide = max(size - at - max(ref, alt), 0)
    found[..., at + ref : at + ref + wide] = alternative[..., at + alt : at + alt + wide]
    return found
