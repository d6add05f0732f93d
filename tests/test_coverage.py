"""The page that lists which ops a delta passes says what the engine does."""

from benchmarks.coverage import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), (
        "run `python -m benchmarks.coverage` and commit docs/coverage.md"
    )
