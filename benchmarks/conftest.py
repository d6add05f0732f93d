"""Every benchmark records what it ran on; compare only results that were timed in one run."""

import pytest
import torch

from benchmarks.machine import conditions


@pytest.fixture(autouse=True)
def recorded(request: pytest.FixtureRequest) -> None:
    """Put machine, versions and thread count beside each time, and the random seed before it."""
    torch.manual_seed(0)
    if "benchmark" in request.fixturenames:
        request.getfixturevalue("benchmark").extra_info.update(conditions())
