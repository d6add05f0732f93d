"""The meaning of ``delta_sum``."""

from torch import Tensor

from nucleoscope.naive.ops._rows import Rows, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import zero_outside


def delta_sum(
    terms: list[tuple[Tensor, Rows, float]],  # [V, S, E, C], its rows, its factor
    rows_out: Rows,
    *,
    taps: int = 1,
    stride: int = 1,
    pad: int = 0,
    length: int,
    scale: Tensor | None = None,  # [C]
) -> Tensor:  # [W, S, E, C]
    """Sum of deltas over the positions of each cell."""
    where = positions(rows_out)
    given = terms[0][0]
    total = given.new_zeros(*where.shape, *given.shape[2:])
    for values, rows, factor in terms:
        for tap in range(taps):
            total += factor * take(values, find(rows, where * stride - pad + tap))
    total = total if scale is None else total * scale
    return zero_outside(total, where, length)
