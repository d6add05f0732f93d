"""The output of an alternative laid beside the original's, where a position is several bases."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def stitched(
    left: Floats,
    right: Floats,
    starts: npt.NDArray[np.int64],
    wide: int,
    at: int,
    ref: int,
    alt: int,
) -> Floats:
    """An alternative's positions [..., P] of several bases, whose first `starts` say, beside the original's.

    Such positions cannot be moved by single bases, as in `engine.indels.aligned`. So the alternative is run twice:
    `left` with what lies left of the allele in its place, `right` with what lies right of it; each gives its
    side, and `left` the position that holds the allele. Positions within the deleted bases are zero. Source: the
    stitching of indels in baskerville's hound_snp (Linder et al. 2025).
    """
    found: Floats = np.where(starts >= at + ref, right, left)
    gone = (starts >= at + min(ref, alt)) & (starts + wide <= at + ref)
    found[..., gone] = 0
    return found
