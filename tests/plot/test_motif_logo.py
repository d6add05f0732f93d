"""A motif's logo: its letters are as high as what they tell."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("logomaker", reason="pictures need nucleoscope[plot]")

from nucleoscope.plot import motif_logo
from nucleoscope.plot.motif_logo import information

SURE = torch.tensor([[1.0, 0.25, 0.5], [0.0, 0.25, 0.5], [0.0, 0.25, 0.0], [0.0, 0.25, 0.0]])


def test_information_is_in_bits() -> None:
    torch.testing.assert_close(information(SURE.double()), torch.tensor([2.0, 0.0, 1.0]).double())


def test_letters_are_as_high_as_their_bits() -> None:
    axes = motif_logo(SURE, title="a filter")
    assert axes.get_ylim() == (0, 2)
    assert axes.get_ylabel() == "bits"
    tops = [p.get_path().get_extents().y1 for p in axes.patches]
    assert max(tops) == pytest.approx(2, abs=0.05)


def test_contributions_may_be_negative() -> None:
    axes = motif_logo(SURE - 0.5, contributions=True)
    assert axes.get_ylim()[0] < 0
    assert axes.get_ylabel() == "contribution"


def test_a_motif_that_tells_nothing_is_a_line() -> None:
    for axes in (
        motif_logo(torch.full((4, 5), 0.25)),
        motif_logo(SURE.numpy() * 0, contributions=True),
    ):
        assert not axes.patches
        assert axes.get_xlim() == (-0.5, 4.5) if axes.get_ylabel() == "bits" else (-0.5, 2.5)


def test_what_is_no_motif() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        motif_logo(SURE - 0.5)
    with pytest.raises(ValueError, match=r"where \[4, K\]"):
        motif_logo(SURE[:3])
    with pytest.raises(ValueError, match="NaN or infinite"):
        motif_logo(SURE * torch.nan)
    with pytest.raises(ValueError, match="palette='grey'"):
        motif_logo(SURE, palette="grey")
