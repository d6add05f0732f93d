"""Does a sequence do enough for shares of it to mean something?

Metrics that divide by a change of the answer ask here whether there is one. A change is held against how far the
answers reach while large parts of the sequence go or stay, so that neither the answer's unit nor what is added to
it decides, nor the explainer that is judged, nor other sequences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.evaluate.background import Background, without
from nucleoscope.evaluate.case import Case

LEAST = 0.05  # of the reach: less than that would be shared out in shares of more than twenty
PARTS = 4
TOO_LITTLE = (
    f"the change that is shared out is below {LEAST:.0%} of how far the sequence's answers reach"
)


def least(case: Case, kind: str, share: float = LEAST) -> Tensor:  # [N]
    """What a change must exceed: a share of the reach, and the answers' rounding.

    The reach is the largest less the least answer of a sequence as it is, replaced throughout, with a quarter
    replaced, and with all but a quarter. kind: by what, of which there is one draw (`Background`).
    """
    length = case.data.length
    quarter = torch.arange(length) * PARTS // length == torch.arange(PARTS)[:, None]
    whole = torch.ones(1, length, dtype=torch.bool)
    some = without(case, torch.cat([whole, quarter, ~quarter]), Background(kind, 1))
    made = torch.cat([case.value[:, None], some], 1)
    reach = made.amax(1) - made.amin(1)
    return torch.maximum(share * reach, case.rounding * made.abs().amax(1))


def enough(case: Case, change: Tensor, kind: str) -> Tensor:  # [N] -> bool [N]
    """Whether a change is more than next to nothing."""
    return change.abs() > least(case, kind)
