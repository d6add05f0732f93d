"""The meaning of ``delta_concat``."""

from torch import Tensor

from nucleoscope.naive.ops._rows import Rows, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import zero_outside


def delta_concat(
    parts: list[tuple[Tensor, Rows, int]],  # [V, S, E, C'], its rows, its first channel
    rows_out: Rows,
    *,
    channels: int,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Deltas side by side over the channels, zero in those of no part."""
    where = positions(rows_out)
    given = parts[0][0]
    out = given.new_zeros(*where.shape, given.shape[2], channels)
    for values, rows, first in parts:
        out[..., first : first + values.shape[3]] = take(values, find(rows, where))
    return zero_outside(out, where, length)
