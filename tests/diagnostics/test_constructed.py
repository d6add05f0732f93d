"""Each diagnosis fires on the models made for it and is silent on those made not to, over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from benchmarks.constructed import CASES
from nucleoscope.diagnostics import Finding

FIRES = [make for case in CASES.values() for make in case.fires]
SILENT = [make for case in CASES.values() for make in case.silent]


def each(seeds: int, make: Callable[[], Finding]) -> list[Finding]:
    found = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        found.append(make())
    return found


@pytest.mark.parametrize("make", FIRES, ids=lambda make: make.__name__)
def test_it_fires(make: Callable[[], Finding]) -> None:
    found = each(3, make)
    assert all(one.fires for one in found), [one.sentence for one in found]


@pytest.mark.parametrize("make", SILENT, ids=lambda make: make.__name__)
def test_it_is_silent(make: Callable[[], Finding]) -> None:
    found = each(3, make)
    assert not any(one.fires for one in found), [one.sentence for one in found]
    told = json.loads(json.dumps(found[0].told(), allow_nan=False))
    assert told["fires"] is False
    assert told["thresholds"]
    assert str(found[0]).startswith("quiet")


@pytest.mark.slow
@pytest.mark.parametrize("make", FIRES + SILENT, ids=lambda make: make.__name__)
def test_the_rate_over_many_seeds(make: Callable[[], Finding]) -> None:
    fired = sum(one.fires for one in each(30, make))
    assert fired == (0 if make in SILENT else 30)
