"""Edits of tracks on both strands: the mean of the model on each, edited alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nucleoscope import Erase, SetNumber, Swap, track_effect
from nucleoscope.models import BPNet
from tests.methods.test_tracks import BESIDE, TRACK, Modal, X
from tests.parts import sequences

EDITS = [Erase(6, 15), Swap(0, 12, 9), SetNumber(1, 3.0, input=1)]


def other(x: Tensor, track: Tensor, beside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.flip(1, 2), track.flip(2), beside


def by_hand(swapped: bool = False) -> Tensor:
    """The mean change of output 1's mean, or 0's on the other strand; tracks' channels swapped there."""
    net, found = Modal(), []
    given = (X, TRACK, BESIDE)
    for edit in (None, *EDITS):
        rows = [[t[n : n + 1] for t in given] for n in range(2)]
        edited = [row if edit is None else edit.applied(tuple(row)) for row in rows]
        here = [torch.cat(each) for each in zip(*edited, strict=True)]
        x, track, beside = other(*here)
        there = (x, track.flip(1) if swapped else track, beside)
        with torch.no_grad():
            a, b = net(*here)[:, 1].mean(1), net(*there)[:, 0].mean(1)
        found.append((a + b) / 2)
    return torch.stack(found[1:], 1) - found[0][:, None]


def test_both_strands_are_the_mean_of_the_model_on_each() -> None:
    asked: dict[str, Any] = {"target": 1, "precision": "fp64", "reverse_target": 0}
    got = track_effect(Modal(), X, (TRACK, BESIDE), EDITS, reverse_complement=True, **asked)
    torch.testing.assert_close(got.changes, by_hand())
    assert got.facts["reverse_complement"]
    one = track_effect(Modal(), X, (TRACK, BESIDE), EDITS, target=1, precision="fp64")
    assert "reverse_complement" not in one.facts
    assert not torch.allclose(got.changes, one.changes)


def test_tracks_with_strands_of_their_own() -> None:
    got = track_effect(
        Modal(), X, (TRACK, BESIDE), EDITS, target=1, precision="fp64", reverse_complement=True,
        reverse_target=0, reverse_args=lambda track, beside: (track.flip(1, 2), beside),
    )  # fmt: skip
    torch.testing.assert_close(got.changes, by_hand(swapped=True))


def test_reverse_args_may_write_into_what_it_is_given_and_give_another_number_type() -> None:
    before = TRACK.clone()
    got = track_effect(
        Modal(), X, (TRACK, BESIDE), EDITS, target=1, precision="fp64", reverse_complement=True,
        reverse_target=0, reverse_args=lambda track, beside: (track.copy_(track.flip(1, 2)), beside.float()),
    )  # fmt: skip
    assert torch.equal(TRACK, before)
    torch.testing.assert_close(got.changes, by_hand(swapped=True))


def test_a_track_along_a_part_of_the_sequence_is_not_turned_unasked() -> None:
    net = BPNet(controls=2, small=True).eval()
    x, args = sequences(1, net.length), (torch.rand(1, 2, 40), torch.zeros(1, 2))
    edits = [Erase(25, 35, covers=net.covered)]
    asked: dict[str, Any] = {
        "target": ("profile", 0, 5),
        "precision": "fp64",
        "reverse_complement": True,
    }
    with pytest.raises(ValueError, match="say by reverse_args what becomes of it"):
        track_effect(net, x, args, edits, **asked)
    got = track_effect(net, x, args, edits, **asked, reverse_args=lambda c, n: (c.flip(1, 2), n))
    double = net.double()
    (erased, whole) = (edits[0].applied((x, *args))[1], args[0])

    def on_both(control: Tensor) -> Tensor:
        pairs = ((x, control), (x.flip(1, 2), control.flip(1, 2)))
        with torch.no_grad():
            each = [
                double(s.double(), c.double(), args[1].double())["profile"][:, 0, 5]
                for s, c in pairs
            ]
        return torch.stack(each).mean(0)

    torch.testing.assert_close(got.changes[:, 0], on_both(erased) - on_both(whole))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"reverse_complement": 1}, TypeError, "reverse_complement=1: True or False"),
        ({"reverse_target": 0}, ValueError, "no other strand without reverse_complement=True"),
        ({"reverse_args": lambda *a: a}, ValueError, "reverse_args: there is no other strand"),
        ({"reverse_complement": True, "reverse_args": 3}, TypeError, "reverse_args: a int; give a function"),
        (
            {"reverse_complement": True, "reverse_args": lambda track, _: track},
            ValueError,
            r"it gave \[\(1, 2, 11\)\] of inputs of shapes \[\(1, 2, 11\), \(1, 2\)\]",
        ),
        (
            {"reverse_complement": True, "reverse_args": lambda _, beside: (None, beside)},
            ValueError,
            "it gave .'NoneType'",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        track_effect(Modal(), X, (TRACK, BESIDE), EDITS, target=1, precision="fp64", **given)
