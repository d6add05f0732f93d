"""Edits of tracks, covariates and domains, and deletions, against the model itself; what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope import (
    Erase,
    Put,
    SetNumber,
    Swap,
    attention_relevance,
    attention_rollout,
    deletion_screen,
    modal_attributions,
    saturation_mutagenesis,
    track_effect,
)
from nucleoscope.models import BPNet, COrigami, EpiBERT
from nucleoscope.models.catalog import example
from tests.parts import sequences


class Modal(nn.Module):
    """Sequence, a track in bins of 3 bases and two covariates: [N, 2, L / 3]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.letters, self.track = nn.Conv1d(4, 5, 3, padding=1), nn.Conv1d(2, 5, 3, padding=1)
        self.beside, self.out = nn.Linear(2, 5), nn.Conv1d(5, 2, 5, padding=2)
        self.double().eval()

    def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
        h = F.avg_pool1d(F.relu(self.letters(x)), 3) + self.track(track)
        made: Tensor = self.out(torch.tanh(h + self.beside(beside)[:, :, None]))
        return made


X = sequences(2, 33).double()
TRACK = torch.rand(2, 2, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BESIDE = torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)


def by_hand(edit: Callable[[Tensor, Tensor, Tensor], Any]) -> Tensor:
    """The change of the mean of channel 1, [N]."""
    net = Modal()
    given = [X.clone(), TRACK.clone(), BESIDE.clone()]
    edit(*given)
    with torch.no_grad():
        return (net(*given) - net(X, TRACK, BESIDE))[:, 1].mean(1)


def erased(_x: Tensor, track: Tensor, _b: Tensor) -> None:
    track[:, 1, 2:5] = 0.25


def put(_x: Tensor, track: Tensor, _b: Tensor) -> None:
    track[:, :, 4:6] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def swapped(x: Tensor, track: Tensor, _b: Tensor) -> None:
    for t, a, b, w in ((x, 0, 21, 9), (track, 0, 7, 3)):
        held = t[..., a : a + w].clone()
        t[..., a : a + w] = t[..., b : b + w]
        t[..., b : b + w] = held


def moved(_x: Tensor, track: Tensor, _b: Tensor) -> None:
    held = track[..., 0:3].clone()
    track[..., 0:3] = track[..., 7:10]
    track[..., 7:10] = held


def told(_x: Tensor, _t: Tensor, beside: Tensor) -> None:
    beside[:, 0] = -3.0


EDITS = {
    Erase(6, 15, channel=1, value=0.25): erased,
    Swap(0, 21, 9): swapped,
    Swap(0, 21, 9, input=0): moved,
    SetNumber(0, -3.0, input=1): told,
}


def test_edits_are_their_definition() -> None:
    edits = [*EDITS, Put(12, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))]
    got = track_effect(Modal(), X, (TRACK, BESIDE), edits, target=1, precision="fp64", batch=3)
    want = torch.stack([by_hand(each) for each in (*EDITS.values(), put)], 1)
    torch.testing.assert_close(got.changes, want, rtol=1e-12, atol=1e-14)
    assert got.axes == ("sequence", "edit")
    assert got.changes.abs().min() > 1e-6
    assert "Put(start=12, values=(2, 2)" in got.facts["edits"][-1]


def test_several_models_give_their_mean_and_spread() -> None:
    other = Modal()
    with torch.no_grad():
        other.track.weight *= -2.0
    more: dict[str, Any] = {"target": [0, 1], "precision": "fp64"}
    given = (X, (TRACK, BESIDE), list(EDITS))
    each = [track_effect(model, *given, **more) for model in (Modal(), other)]
    got = track_effect([Modal(), other], *given, **more)
    changes = torch.stack([one.changes for one in each])
    torch.testing.assert_close(got.changes, changes.mean(0), rtol=1e-12, atol=1e-14)
    assert got.spread is not None
    torch.testing.assert_close(got.spread, changes.std(0), rtol=1e-12, atol=1e-14)
    assert got.facts["edits"] == each[0].facts["edits"]
    assert got.facts["models"] == 2
    wide = nn.Sequential(nn.Conv1d(4, 3, 1), nn.AdaptiveAvgPool1d(1)).double().eval()
    wide.forward = lambda x, *_: nn.Sequential.forward(wide, x)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"model 1 \(Modal\) 22 of \[N, 2, 11\]; model 2"):
        track_effect([Modal(), wide], *given, precision="fp64")


def test_whole_numbers_of_numpy_are_taken() -> None:
    """Positions, inputs and the batch."""
    five = [Erase(6, 15, 0, 1), SetNumber(0, -3.0, 1), Put(12, torch.ones(2, 2)), Swap(0, 21, 9, 0)]
    other = [
        Erase(np.int64(6), np.int32(15), np.int64(0), np.int64(1)), SetNumber(np.int64(0), -3.0, np.int64(1)),  # type: ignore[arg-type]
        Put(np.int64(12), torch.ones(2, 2)), Swap(np.int64(0), np.int64(21), np.int64(9), np.int64(0)),  # type: ignore[arg-type]
    ]  # fmt: skip
    given: dict[str, Any] = {"target": 1, "precision": "fp64"}
    got, want = (
        track_effect(Modal(), X, (TRACK, BESIDE), edits, batch=np.int64(2), **given)  # type: ignore[arg-type]
        for edits in (other, five)
    )
    assert torch.equal(got.changes, want.changes)


def test_a_track_of_the_middle_is_edited_where_it_lies() -> None:
    """BPNet's control: a number a base of the profile's 40, beside 82 bases."""
    net = BPNet(controls=2, small=True).eval()
    x, control = sequences(1, net.length), torch.rand(1, 2, 40)
    args = (control, torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"by covers=\(start, end\)"):
        track_effect(net, x, args, [Erase(25, 35)], target=("profile", 0))
    middle = net.covered
    assert middle == (21, 61)
    edits = [
        Erase(25, 35, covers=middle), Put(25, torch.zeros(2, 10), covers=middle), Swap(21, 41, 20, 0, middle)
    ]  # fmt: skip
    got = track_effect(net, x, args, edits, target=("profile", 0, 5))
    erased, swapped = control.clone(), control.roll(20, 2)
    erased[..., 4:14] = 0
    with torch.no_grad():
        want = [
            (net(x, each, args[1])["profile"] - net(x, *args)["profile"])[:, 0, 5]
            for each in (erased, erased, swapped)
        ]
    torch.testing.assert_close(got.changes, torch.stack(want, 1), rtol=1e-5, atol=1e-7)
    assert got.changes.abs().min() > 0


def test_the_inputs_are_left_alone() -> None:
    held = X.clone(), TRACK.clone(), BESIDE.clone()
    many = track_effect(
        Modal(), X, (TRACK, BESIDE), list(EDITS), target=[0, (1, 3)], precision="fp64"
    )
    assert many.changes.shape == (2, 4, 2)
    for a, b in zip(held, (X, TRACK, BESIDE), strict=True):
        assert torch.equal(a, b)


def test_a_peak_of_epibert_and_of_c_origami() -> None:
    net = EpiBERT(small=True).eval()
    x, others = example("EpiBERT", net, 1)
    got = track_effect(net, x, others, [Erase(128, 256), SetNumber(2, 1.0, input=1)])
    with torch.no_grad():
        masked = others[0].clone()
        masked[..., 32:64] = 0
        want = (net(x, masked, others[1]) - net(x, *others)).mean((1, 2))
    torch.testing.assert_close(got.changes[:, 0], want, rtol=1e-4, atol=1e-6)
    folded = COrigami(small=True).eval()
    x, others = example("C.Origami", folded, 1)
    made = track_effect(folded, x, others, [Erase(8, 40, channel=0)], alphabet="ATCGN")
    assert made.changes.abs().max() > 0


def test_deletions_are_their_definition() -> None:
    net = COrigami(small=True).double().eval()
    region = sequences(1, 140).double()[:, [0, 3, 1, 2]]
    x = torch.cat([region, region.new_zeros(1, 1, 140)], 1)
    signals = torch.rand(1, 2, 140, dtype=torch.float64)
    ask: dict[str, Any] = {"length": 96, "width": 8, "alphabet": "ATCGN", "precision": "fp64"}
    got = deletion_screen(net, x, (signals,), **ask)
    assert got.starts.tolist() == list(range(0, 132, 8))
    for at in (0, 7, len(got.starts) - 1):
        p, w = int(got.starts[at]), int(got.windows[at])
        assert 0 <= w <= p < w + 96
        assert w + 104 <= 140
        cut = [torch.cat([t[..., w:p], t[..., p + 8 : w + 104]], 2) for t in (x, signals)]
        with torch.no_grad():
            want = (net(*cut) - net(x[..., w : w + 96], signals[..., w : w + 96])).abs().mean()
        torch.testing.assert_close(got.impact[0, at], want, rtol=1e-9, atol=1e-14)
    middle = deletion_screen(net, x, (signals,), step=40, **ask)
    assert middle.starts.tolist() == [0, 40, 80, 120]
    assert int(middle.windows[1]) == 0  # 40 + 4 - 48: as far as the region allows


def test_deletions_by_several_models_are_their_mean() -> None:
    folds = [COrigami(small=True).eval() for _ in range(3)]
    region = F.one_hot(torch.arange(140)[None] % 4, 5).transpose(1, 2).float()
    given = (region, (torch.rand(1, 2, 140),))
    ask: dict[str, Any] = {"length": 96, "width": 8, "alphabet": "ATCGN"}
    each = torch.stack([deletion_screen(one, *given, **ask).impact for one in folds])
    got = deletion_screen(folds, *given, **ask)
    torch.testing.assert_close(got.impact, each.mean(0))
    assert got.spread is not None
    torch.testing.assert_close(got.spread, each.std(0))
    assert got.facts["models"] == 3
    assert deletion_screen(folds[:1], *given, **ask).spread is None
    half = COrigami(small=True).eval()
    half.forward = lambda x, s: COrigami.forward(half, x, s)[:, :3]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"model 1 \(COrigami\) \[12, 12\]; model 2 .* \[3, 12\]"):
        deletion_screen([folds[0], half], *given, **ask)


BAD: list[tuple[Any, type[Exception], str]] = [
    (Erase(6, 14), ValueError, "bins of 3 bases"),
    (Erase(6, 36), IndexError, "does not lie in the 33"),
    (Erase(6, 15, input=2), IndexError, "2 further inputs"),
    (Erase(6, 15, channel=2), IndexError, "channel=2"),
    (Erase(6, 15, channel=True), IndexError, "channel=True"),
    (SetNumber(True, 0.0, input=1), IndexError, "numbers 0 to 1"),
    (Erase(6, 15, input=1), ValueError, "another resolution"),
    (Erase(6.0, 15), TypeError, "whole numbers"),  # type: ignore[arg-type]
    (Erase(6, 15, value=float("nan")), TypeError, "no number"),
    (Swap(0, 6, 9), ValueError, "overlap"),
    (SetNumber(2, 0.0, input=1), IndexError, "numbers 0 to 1"),
    (Put(0, torch.zeros(3, 2)), ValueError, r"\(2, 2\) stand"),
    (Put(0, [[1.0, 2.0]]), TypeError, "values are a list"),  # type: ignore[arg-type]
    ("peak", TypeError, "no Erase"),
    (Put("0", torch.zeros(2, 2)), TypeError, "start='0' is no position"),  # type: ignore[arg-type]
    (Put(0, torch.tensor(1.0)), ValueError, "values are a single number"),
    (Put(0, torch.full((2, 2), float("nan"))), ValueError, "values hold NaN"),
    (Swap("a", 6, 3), TypeError, "first='a' is no position"),  # type: ignore[arg-type]
    (Swap(0, 6, 3, input="a"), IndexError, "input='a'"),  # type: ignore[arg-type]
    (Swap(0, 6, 3, covers=(0, 9)), ValueError, "covers is of one track"),
    (Erase(0, 6, covers=(0, 34)), IndexError, "does not lie in the 33"),
    (Erase(0, 6, covers=22), TypeError, "covers=22"),  # type: ignore[arg-type]
    (Erase(0, 6, covers=(3, 25)), IndexError, "bases \\[3, 25\\) that its track covers"),
    (Erase(4, 6, covers=(3, 25)), ValueError, "multiples from 3 on"),
]


@pytest.mark.parametrize(("edit", "error", "said"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_edits_that_are_refused(edit: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        track_effect(Modal(), X, (TRACK, BESIDE), [edit], precision="fp64")


def test_requests_that_are_refused() -> None:
    with pytest.raises(TypeError, match="a list of"):
        track_effect(Modal(), X, (TRACK, BESIDE), [], precision="fp64")
    with pytest.raises(TypeError, match="further inputs and refused"):
        track_effect(Modal(), X, (TRACK,), [Erase(6, 15)], precision="fp64")
    net = COrigami(small=True).eval()
    x, others = example("C.Origami", net, 1)
    with pytest.raises(ValueError, match="length \\+ width = 104"):
        deletion_screen(net, x, others, length=96, width=8, alphabet="ATCGN")
    with pytest.raises(IndexError, match="output='nope': no such part of what the model returns"):
        deletion_screen(net, x, others, length=80, width=8, alphabet="ATCGN", output="nope")
    with pytest.raises(ValueError, match="width=0"):
        deletion_screen(net, x, others, length=80, width=0, alphabet="ATCGN")
    with pytest.raises(ValueError, match="width=48: a deletion lies in the middle"):
        deletion_screen(net, x, others, length=40, width=48, alphabet="ATCGN")


def test_a_track_of_another_resolution_is_refused() -> None:
    """Its bins are no whole number of bases, and it is neither left uncut nor pooled to fit."""
    with pytest.raises(ValueError, match=r"args\[0\]: its last axis has 10 positions"):
        Swap(0, 21, 9).applied((X[:1], TRACK[:1, :, :10], BESIDE[:1]))
    net = EpiBERT(small=True).eval()
    (x, (_, motifs)), region = example("EpiBERT", net, 1), sequences(1, 576)
    with pytest.raises(ValueError, match=r"args\[0\]: its last axis has 143 positions"):
        deletion_screen(net, region, (torch.rand(1, 1, 143), motifs), length=512, width=64)
    got = deletion_screen(net, region, (torch.rand(1, 1, 144), motifs), length=512, width=64)
    assert got.impact.isfinite().all()
    ask: list[Callable[[Tensor], Any]] = [
        lambda track: deletion_screen(net, region, (track, motifs), length=512, width=64),
        lambda track: saturation_mutagenesis(net, x, (track[..., :64], motifs)),
        lambda track: modal_attributions(net, x, (track[..., :64], motifs)),
    ]
    for each in ask:  # bins of 8 bases
        with pytest.raises(ValueError, match=r"where \[N, 1, 128\] belongs to this sequence"):
            each(torch.rand(1, 1, 72))


WRONG: list[tuple[str, type[nn.Module], Callable[..., Any], str]] = [
    ("EpiBERT", EpiBERT, lambda x, t, m: (x, t, m[:, :3]), r"motifs: shape \(1, 3\), where \[N, 5\]"),
    ("EpiBERT", EpiBERT, lambda x, t, m: (x[..., :500], t, m), r"in whole bins of 128 bases"),
    ("EpiBERT", EpiBERT, lambda x, t, m: (x, t[..., :64], m), r"atac: .*of another resolution"),
    ("C.Origami", COrigami, lambda x, s: (x, s[:, :1]), r"signals: .*it has 1 of 2 channels"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "wrong", "said"), WRONG, ids=[str(i) for i in range(4)])
def test_inputs_of_a_wrong_size_are_named(
    name: str, make: type[nn.Module], wrong: Callable[..., Any], said: str
) -> None:
    """By the model itself, and by methods that ask it."""
    net = make(small=True).eval()
    x, others = example(name, net, 1)
    X, *args = wrong(x, *others)
    with pytest.raises(ValueError, match=f"^(x: shape .*)?{said}"):
        net(X, *args)
    for method in (saturation_mutagenesis, modal_attributions, attention_rollout):
        with pytest.raises(
            ValueError, match=rf"(?s)^X or args: the model fails .*args\[0\] \(.*{said}"
        ):
            method(net, X, tuple(args))


def test_a_missing_track_is_an_argument_s_fault() -> None:
    net = EpiBERT(small=True).eval()
    x, _ = example("EpiBERT", net, 1)
    for method in (saturation_mutagenesis, attention_rollout, attention_relevance):
        with pytest.raises(TypeError, match=r"^args: the model was called with X and 0 further"):
            method(net, x)


class Slots(Modal):
    """Adds to each sequence what its place in the batch says."""

    def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
        return super().forward(x, track, beside) + torch.arange(len(x))[:, None, None]


class OneOnly(Modal):
    """A reshape that holds for a batch of one."""

    def forward(self, x: Tensor, track: Tensor, beside: Tensor) -> Tensor:
        return super().forward(x, track, beside).reshape(1, 2, 11)


def test_a_batch_changes_nothing_or_is_refused() -> None:
    edits = [SetNumber(1, 1.5, input=1), SetNumber(0, 0.5, input=1)]
    with pytest.raises(ValueError, match="depends on the batch"):
        track_effect(Slots(), X, (TRACK, BESIDE), edits, precision="fp64")
    one, many = (
        track_effect(m(), X, (TRACK, BESIDE), edits, precision="fp64") for m in (OneOnly, Modal)
    )
    torch.testing.assert_close(one.changes, many.changes)
