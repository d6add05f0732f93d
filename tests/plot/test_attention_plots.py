"""Pictures of attention: what they say, not their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nucleoscope import Attribution, attention_rollout
from nucleoscope.plot import attention_heatmap, conditioning_panel, rollout_track, save_figure
from tests.methods.test_attention_rollout import TOKENS, case


@pytest.fixture(scope="module")
def made() -> Attribution:
    model, X, _ = case("causal")
    return attention_rollout(model, X, rows=[5, 20], controls=1)


def test_a_heatmap_shows_rows_by_tokens_at_their_bases(made: Attribution, tmp_path: Path) -> None:
    axes = attention_heatmap(made, sequence=1, origin=1000, marks=[(8, 20, "GENE1")], title="x")
    (mesh,) = axes.collections
    values = made.scores[1].numpy()
    np.testing.assert_allclose(mesh.get_array(), np.maximum(values, 1e-4 * values.max()))
    assert mesh.get_coordinates()[0, [0, 1, -1], 0].tolist() == [1000, 1004, 1000 + 4 * TOKENS]
    assert "GENE1" in [t.get_text() for t in axes.texts]
    assert save_figure(axes.figure, tmp_path / "map.png").stat().st_size > 5000  # type: ignore[arg-type]


def test_a_track_shows_its_controls(made: Attribution) -> None:
    axes = rollout_track(made, 1)
    values = [patch.get_data().values for patch in axes.patches]
    assert made.controls is not None
    expected = [made.scores[0, 1], made.controls[0, 0, 1], made.controls[1, 0, 1]]
    for shown, want in zip(values, expected, strict=True):
        np.testing.assert_allclose(shown, want.numpy())
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == [
        "this sequence", "1 / (1 + distance)", "shuffled sequence",
    ]  # fmt: skip


def test_the_conditioning_panel_shows_each_measure(made: Attribution) -> None:
    figure = conditioning_panel(made, title="conditioning")
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert "identifiable fraction" in titles
    assert "stable rank" in titles
    (image,) = figure.axes[titles.index("identifiable fraction")].images
    told = [layer["identifiable"] for layer in made.facts["conditioning"][0]]
    np.testing.assert_allclose(image.get_array(), told)


def test_what_cannot_be_drawn_is_named(made: Attribution) -> None:
    other = Attribution(
        torch.zeros(1, 4, 9), ("sequence", "letter", "site"), "ACGT", 0, torch.zeros(1, 1)
    )
    with pytest.raises(ValueError, match="rows by tokens are needed"):
        attention_heatmap(other)
    with pytest.raises(ValueError, match="has none"):
        conditioning_panel(other)
    with pytest.raises(IndexError, match="sequence=2"):
        attention_heatmap(made, sequence=2)
    with pytest.raises(IndexError, match="row=2"):
        rollout_track(made, 2)
    with pytest.raises(IndexError, match="sequence=2"):
        conditioning_panel(made, sequence=2)
