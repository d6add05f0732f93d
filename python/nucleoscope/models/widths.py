"""Whether an input has the columns that a network was made for."""

from __future__ import annotations

from torch import Tensor


def of_width(name: str, given: Tensor, width: int, what: str) -> None:
    """Raise ValueError unless `given` is [N, width]; `what` says what its columns are."""
    if given.ndim != 2 or given.shape[1] != width:
        raise ValueError(
            f"{name}: shape {tuple(given.shape)}, where [N, {width}] is needed: {what}, in the order that the "
            "network was made with"
        )
