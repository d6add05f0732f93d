"""Heat-maps, tracks, sheets, and seqlets above them: what they say, not their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from nucleoscope import Attribution, Seqlets
from nucleoscope.plot import (
    PALETTES,
    Mark,
    View,
    heatmap,
    logo,
    overview,
    save_figure,
    sheet,
    track,
)

LETTERS = torch.randint(4, (2, 300), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def made() -> Attribution:
    """Two sequences, all letters scored at sites 40 to 340."""
    held = torch.nn.functional.one_hot(LETTERS, 4).mT.to(torch.int8)
    axes = ("sequence", "letter", "site")
    facts = {"hypothetical": True}
    return Attribution(torch.randn(2, 4, 300), axes, "ACGT", 40, torch.zeros(2, 1), facts, (), held)


@pytest.fixture
def found() -> Seqlets:
    ends = np.array([[52, 60], [56, 66], [120, 130]])
    up = np.array([2.0, -1.0, 1.0])
    return Seqlets(
        np.array([0, 0, 1]), ends[:, 0], ends[:, 1], up, np.full(3, 0.01), np.full(3, 0.1)
    )


@pytest.mark.parametrize("step", [1, -1])
def test_heatmap_shows_changes_about_zero(made: Attribution, step: int) -> None:
    axes = heatmap(made, 50, 80, sequence=1, origin=1000, step=step)
    (image,) = axes.images
    want = made.substitutions()[1][:, 10:40].numpy()
    np.testing.assert_allclose(image.get_array(), want, rtol=1e-6)
    low, high = image.get_clim()
    assert (-low, high) == pytest.approx((abs(want).max(), abs(want).max()))
    written = {round(t.get_position()[0]): t.get_text() for t in axes.texts}
    assert [written[site + step * 1000] for site in range(50, 80)] == [
        "ACGT"[letter] for letter in LETTERS[1, 10:40]
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("ACGT")


def test_heatmap_of_scores_that_were_not_kept(made: Attribution) -> None:
    made.facts["hypothetical"] = False
    with pytest.raises(ValueError, match="hypothetical=True"):
        heatmap(made, 50, 80)


def test_track_loses_no_peak(made: Attribution) -> None:
    axes = track(made, 40, 340, bins=30)
    up, down = axes.collections
    tops = np.array([path.vertices[1, 1] for path in up.get_paths()])
    bottoms = np.array([path.vertices[0, 1] for path in down.get_paths()])
    parts = made.observed()[0].reshape(30, 10).clamp(min=0)
    np.testing.assert_allclose(tops, parts.amax(1), rtol=1e-6)
    parts = made.observed()[0].reshape(30, 10).clamp(max=0)
    np.testing.assert_allclose(bottoms, parts.amin(1), rtol=1e-6)
    assert axes.get_xlim() == (39.5, 339.5)


def test_seqlets_stand_above_their_letters(made: Attribution, found: Seqlets) -> None:
    axes = logo(made, 50, 80, seqlets=found)
    bars = [line.get_xdata() for line in axes.lines if line.get_transform() != axes.transData]
    bars = [list(bar) for bar in bars if len(bar) == 2 and bar[0] != bar[1] and bar[0] > 51]
    assert bars == [[51.6, 59.4], [55.6, 65.4]]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert [text.get_text() for text in track(made, 50, 125, sequence=1, seqlets=found).texts] == [
        "3"
    ]


def test_palettes(made: Attribution) -> None:
    for palette in PALETTES:
        logo(made, 50, 55, palette=palette)
    with pytest.raises(ValueError, match="palette='x': use one of 'classic', 'colour-blind'"):
        logo(made, 50, 55, palette="x")


@pytest.mark.parametrize("hypothetical", [False, True])
def test_logo_draws_the_letters_that_are_there(made: Attribution, hypothetical: bool) -> None:
    axes = logo(made, 50, 60, hypothetical=hypothetical)
    assert len(axes.patches) == (40 if hypothetical else 10)


@pytest.mark.parametrize("kind", ["logo", "heatmap", "track"])
def test_several_sequences_in_one_figure(kind: str, made: Attribution, found: Seqlets) -> None:
    views = [View(0, 50, 70, "first"), View(1, 60, 90, "second", 100, -1)]
    figure = sheet(made, views, kind=kind, seqlets=found, units="effect", place="chr1")
    first, second = figure.axes[:2]
    assert (first.get_title("left"), second.get_title("left")) == ("first", "second")
    assert (first.get_xlabel(), second.get_xlabel()) == ("", "chr1")


def test_sheets_that_cannot_be(made: Attribution) -> None:
    with pytest.raises(ValueError, match="kind='pie'"):
        sheet(made, [View(0, 50, 60)], kind="pie")
    with pytest.raises(ValueError, match="views: at least one"):
        sheet(made, [])
    with pytest.raises(IndexError, match="sequence=2: this attribution has 2"):
        sheet(made, [View(2, 50, 60)])


ALL = pytest.mark.parametrize("draw", [logo, heatmap, track])


@ALL
def test_sites_without_a_score_stay_empty(draw: Callable[..., Axes], made: Attribution) -> None:
    made.scores[0, :, 12:15] = torch.nan
    with_gaps, without = (
        draw(each, 50, 56) for each in (made, replace(made, scores=made.scores.nan_to_num()))
    )
    if draw is not heatmap:
        assert heights(with_gaps) == heights(without)
    else:
        (image,) = with_gaps.images
        assert image.get_clim()[1] == without.images[0].get_clim()[1]
        assert not image.get_array()[:, 2:5].any()
    made.scores[0, 0, 20] = torch.inf
    with pytest.raises(ValueError, match="it holds infinite scores"):
        draw(made, 50, 70)


def heights(axes: Axes) -> list[tuple[float, float]]:
    """Of letters, or of lines."""
    lines = [path for each in axes.collections for path in each.get_paths()]
    boxes = [path.get_extents() for path in (lines or [p.get_path() for p in axes.patches])]
    return [(box.y0, box.y1) for box in boxes]


@ALL
def test_scores_that_are_all_zero(draw: Callable[..., Axes], made: Attribution) -> None:
    for start, end in ((50, 70), (50, 51)):
        axes = draw(replace(made, scores=torch.zeros(2, 4, 300)), start, end)
        assert axes.get_xlim() == pytest.approx((start - 0.5, end - 0.5))
        low, high = axes.get_ylim()
        assert low != high


@ALL
@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"start": 50.5}, TypeError, "start=50.5: a site"),
        ({"start": 70}, IndexError, r"sites \[70, 60\)"),
        ({"sequence": 2}, IndexError, "sequence=2: this attribution has 2"),
        ({"sequence": -1}, IndexError, "sequence=-1"),
        ({"target": "x"}, TypeError, "target='x'"),
        ({"step": 2}, ValueError, "step=2: 1, or -1"),
        ({"attribution": torch.zeros(2, 4, 300)}, TypeError, "an Attribution is drawn, got Tensor"),
    ],
)
def test_bad_input(
    draw: Callable[..., Axes], change: dict[str, Any], kind: type[Exception], says: str, made: Attribution
) -> None:  # fmt: skip
    with pytest.raises(kind, match=says):
        draw(**({"attribution": made, "start": 50, "end": 60} | change))


def test_settings_that_cannot_be(made: Attribution) -> None:
    with pytest.raises(ValueError, match="limit=0"):
        heatmap(made, 50, 60, limit=0)
    for draw in (lambda: track(made, 50, 60, bins=0), lambda: overview(made, bins=0)):
        with pytest.raises(ValueError, match="bins=0"):
            draw()
    for mark in (Mark(340, "x"), Mark(39, "x"), Mark(50, "x", target=1)):
        with pytest.raises(IndexError, match=r"scored are the sites \[40, 340\) of 1 targets"):
            overview(made, marks=[mark])
    with pytest.raises(TypeError, match=r"views: a list of plot\.View"):
        sheet(made, [(0, 50, 60)])  # type: ignore[list-item]
    alone = replace(made, scores=made.scores[..., :1], sequences=None)
    assert overview(alone).axes[0].get_xlim() == (39.5, 40.5)


def test_a_panel_is_saved_with_its_figure(made: Attribution, tmp_path: Path) -> None:
    axes = track(made, 50, 60)
    assert save_figure(axes, tmp_path / "a.png").stat().st_size > 1000


def test_fonts_are_embedded(made: Attribution, tmp_path: Path) -> None:
    figure = sheet(made, [View(0, 50, 60)])
    pdf = save_figure(figure, tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "<text" not in save_figure(figure, tmp_path / "a.svg").read_text()
