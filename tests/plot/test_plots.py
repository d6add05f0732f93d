"""Pictures: not their pixels, but what they say and that they are written whole."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.patches import PathPatch

from nucleoscope import Attribution
from nucleoscope.plot import Mark, logo, new_figure, overview, save_figure

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def scores() -> Attribution:
    """Two targets over 600 sites that begin at 40 of their sequence; one letter scored a site."""
    letters = torch.randint(4, (600,))
    height = torch.randn(1, 2, 1, 600)
    held = torch.nn.functional.one_hot(letters, 4).mT * height
    axes = ("sequence", "target", "letter", "site")
    return Attribution(held, axes, "ACGT", 40, torch.zeros(1, 2))


def letters_of(axes: Any) -> dict[int, tuple[float, float]]:
    """{position: (bottom, top)} of the letters drawn."""
    boxes = [p.get_path().get_extents() for p in axes.patches if isinstance(p, PathPatch)]
    return {round((b.x0 + b.x1) / 2): (b.y0, b.y1) for b in boxes}


@pytest.mark.parametrize("step", [1, -1])
def test_letters_are_as_high_as_their_scores(scores: Attribution, step: int) -> None:
    axes = logo(
        scores, 50, 80, target=1, origin=1000, step=step, units="sites", place="chr1", title="t"
    )
    drawn = letters_of(axes)
    assert len(drawn) == 30
    for site in range(50, 80):
        score = float(scores.scores[0, 1, :, site - 40].sum())
        bottom, top = drawn[site + step * 1000]
        assert (bottom, top) == pytest.approx((min(score, 0), max(score, 0)), abs=1e-5)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left")) == ("chr1", "sites", "t")


def test_reverse_strand_is_labelled_with_its_positions(scores: Attribution) -> None:
    axes = logo(scores, 50, 60, origin=10_000, step=-1)
    name = axes.xaxis.get_major_formatter()
    assert name(50 - 10_000, 0) == "9,950"


def test_logo_of_sites_without_scores(scores: Attribution) -> None:
    with pytest.raises(IndexError, match=r"sites \[30, 60\) are not among the scored \[40, 640\)"):
        logo(scores, 30, 60)


def test_one_target_has_no_second(scores: Attribution) -> None:
    single = Attribution(
        scores.scores[:, 0], ("sequence", "letter", "site"), "ACGT", 40, scores.original
    )
    assert len(letters_of(logo(single, 40, 50))) == 10
    with pytest.raises(IndexError, match="one target"):
        logo(single, 40, 50, target=1)


def test_overview_shows_the_strongest_of_every_bin(scores: Attribution) -> None:
    figure = overview(
        scores, names=["acceptors", "donors"], bins=60, origin=7, place="chr1 position"
    )
    first, second = figure.axes
    strongest = scores.scores[0, 0].sum(0).abs().numpy()
    (lines,) = first.collections
    tops = np.array([path.vertices[1, 1] for path in lines.get_paths()])
    np.testing.assert_allclose(tops, strongest.reshape(60, 10).max(1), rtol=1e-6)
    xs = np.array([path.vertices[0, 0] for path in lines.get_paths()]).astype(int)
    np.testing.assert_allclose(strongest[xs - 47], tops, rtol=1e-6)
    assert [axes.get_title("left") for axes in (first, second)] == ["acceptors", "donors"]
    assert (first.get_xlabel(), second.get_xlabel()) == ("", "chr1 position")
    assert "score" in first.get_ylabel()


def test_marks_stand_at_their_sites_and_do_not_overlap(scores: Attribution) -> None:
    marks = [Mark(100, "1"), Mark(101, "2"), Mark(300, "3", target=1)]
    first, second = overview(scores, marks=marks).axes
    assert [line.get_xdata()[0] for line in first.lines] == [100, 101]
    assert first.lines[0].get_ydata()[0] == pytest.approx(
        float(scores.scores[0, 0, :, 60].abs().sum())
    )
    assert [text.get_text() for text in first.texts] == ["1"]
    assert [text.get_text() for text in second.texts] == ["3"]


def test_figures_are_written_whole(tmp_path: Path, scores: Attribution) -> None:
    figure = overview(scores)
    assert save_figure(figure, tmp_path / "a.png").read_bytes().startswith(PNG)
    with pytest.raises(ValueError, match="nonsense"):
        save_figure(figure, tmp_path / "a.nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("missing", ["matplotlib", "logomaker"])
def test_missing_library_is_told(
    missing: str, scores: Attribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'nucleoscope\[plot\]'"):
        new_figure(1, 1) if missing == "matplotlib" else logo(scores, 40, 50)
