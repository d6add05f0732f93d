"""Resampling reaches, against a search through all positions."""

from __future__ import annotations

from itertools import product

import pytest

from nucleoscope.engine.windows import Sampling


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize(("first", "taps"), list(product([-4, -1, 0, 3], [1, 2, 4])))
def test_spread_and_cone(parts: int, step: int, first: int, taps: int) -> None:
    where = Sampling(parts, step, first, taps)
    reads = {o: range(where.source(o), where.source(o) + taps) for o in range(-120, 120)}
    for lo, hi in ((0, 1), (-3, 2), (4, 9)):
        outputs = [o for o, inputs in reads.items() if any(lo <= i < hi for i in inputs)]
        begin, end = where.spread(lo, hi)
        assert list(range(begin, end)) == outputs
        seen = [i for o in range(lo, hi) for i in reads[o]]
        assert where.cone(lo, hi) == (min(seen), max(seen) + 1)
