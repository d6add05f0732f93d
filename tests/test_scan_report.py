"""The page of scans shows what is on record."""

from __future__ import annotations

import pytest

from benchmarks import report_scans


def test_the_page_shows_the_results_on_record() -> None:
    page = report_scans.PAGE.read_text("utf-8")
    assert report_scans.filled(page) == page, "run `python -m benchmarks.report_scans`"
    with pytest.raises(ValueError, match="must stand around the table"):
        report_scans.filled("")
