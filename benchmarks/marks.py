"""Tables on pages that are made anew between two marks."""

from __future__ import annotations


def placed(page: str, name: str, table: str) -> str:
    """The page with this table between ``<!-- name: begin -->`` and ``<!-- name: end -->``.

    Raises ValueError where the marks are not there.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{begin} and {end} must stand around the table")
    return f"{before}{begin}\n{table}\n{end}{after}"
