"""What is planned of a call at a published size, against what it was measured to hold."""

from __future__ import annotations

import json

import pytest

from benchmarks.footprint import footprint
from benchmarks.full_geometry import RESULTS, planned
from nucleoscope.models.catalog import CATALOG


@pytest.mark.parametrize(("name", "length"), [("Beluga", 2000), ("Basset", 600)])
def test_a_plan_holds_where_weights_are_most(name: str, length: int) -> None:
    """Beluga's 598 MB are there five times while kernels' layouts are made: a plan of three was exceeded."""
    need = planned(footprint(CATALOG[name].make, [(4, length)]))
    rows = json.loads(RESULTS.read_text())["systems"][name]
    peaks = {
        m: row["peak_gb"] for m, row in rows.items() if isinstance(row, dict) and "peak_gb" in row
    }
    assert peaks
    for method, peak in peaks.items():
        assert peak * 1e9 <= need[method], (method, peak, need[method])
