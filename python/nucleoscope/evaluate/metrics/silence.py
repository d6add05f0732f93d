"""What a map is worth that says nothing, in the metrics that divide by its size.

Were it undefined it would be left out of means, and saying nothing where it is hard would be the best that an
explainer can do. So it has a value in each of them, which the metric names with its reason: what chance has, or
the worst there is. Metrics that compare a map with something else give it theirs by `statistics.with_truth`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def says_nothing(scores: Tensor) -> Tensor:  # [N, ...] -> bool [N]
    """Whether all scores are 0."""
    return ~scores.flatten(1).any(1)


def or_silence(
    values: Tensor, scores: Tensor, worth: Tensor | float
) -> Tensor:  # [N], [N, ...] -> [N]
    """A metric's values, with `worth` for the maps that say nothing."""
    return torch.where(says_nothing(scores), worth, values)
