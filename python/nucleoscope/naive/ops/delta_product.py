"""The meaning of ``delta_product``."""

from __future__ import annotations

from torch import Tensor

from nucleoscope.naive.ops._rows import Original, Rows, at, find, positions, take
from nucleoscope.naive.ops.delta_pointwise import zero_outside

Factor = tuple[Tensor | None, Rows | None, Original]  # [V, S, E, C], its rows; of the factor itself


def delta_product(
    factors: list[Factor],
    rows_out: Rows,
    *,
    length: int,
) -> Tensor:  # [W, S, E, C]
    """Change of a product of two layers: a d_b + (b + d_b) d_a."""
    where = positions(rows_out)
    (a, d_a), (b, d_b) = ((at(z, where), _change(d, on, where)) for d, on, z in factors)
    return zero_outside(a * d_b + (b + d_b) * d_a, where, length)


def _change(delta: Tensor | None, rows: Rows | None, where: Tensor) -> Tensor | float:
    return 0.0 if delta is None or rows is None else take(delta, find(rows, where))
