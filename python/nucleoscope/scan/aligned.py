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
    if alt > ref:
        last = at + paired - 1
        found[..., last] = alternative[..., last : at + alt].max(-1)
    found[..., at + paired : at + ref] = 0
    wide = size - at - max(ref, alt)
    found[..., at + ref : at + ref + wide] = alternative[..., at + alt : at + alt + wide]
    return found


def stitched(
    left: Floats,
    right: Floats,
    starts: npt.NDArray[np.int64],
    wide: int,
    at: int,
    ref: int,
    alt: int,
) -> Floats:
    """The same for positions of several bases, [..., P], which `starts` say the first base of.

    Such positions cannot be moved by single bases. So the alternative is run twice: `left` with what lies left of
    the allele in its place, `right` with what lies right of it; each gives its side, and `left` the position
    that holds the allele. Positions within the deleted bases are zero. Source: the stitching of indels in
    baskerville's hound_snp (Linder et al. 2025).
    """
    found: Floats = np.where(starts >= at + ref, right, left)
    gone = (starts >= at + min(ref, alt)) & (starts + wide <= at + ref)
    found[..., gone] = 0
    return found
