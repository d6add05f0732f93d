"""Methods on edits of several models, on both strands and shifted: the mean of the definition in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.alphabet import complement
from nucleoscope.methods.edits.ablate import shuffled
from nucleoscope.naive.methods import edited as naive
from tests.parts import Net, conv, lively, sequences
from tests.truth import reading

LENGTH = 31
ACGT = "ACGT"


def X() -> Tensor:
    made = sequences(2, LENGTH, seed=5)
    made[0, :, 17] = 0
    made[1, :, 9] = torch.tensor([0.5, 0, 0.5, 0])  # R; on the other strand Y
    return made


def fold(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return lively(
        Net(
            lambda net, x: net.last(torch.relu(net.next(torch.relu(net.first(x))))[..., 3:].mean(2)),
            first=conv(4, 6), next=conv(6, 5, 3), last=nn.Linear(5, 2),
        ).eval()
    )  # fmt: skip


FOLDS = [fold(seed) for seed in (1, 2, 3)]
TARGETS: list[Any] = [0, 1]
Edits = list[tuple[int, Tensor]]


def moved(x: Tensor, shift: int, mirrored: bool) -> Tensor:  # [A, L]
    made = torch.zeros_like(x)
    made[:, max(shift, 0) : LENGTH + min(shift, 0)] = x[:, max(-shift, 0) : LENGTH - max(shift, 0)]
    return made.flip(0, 1) if mirrored else made  # A C G T: turning the letters pairs them


def truth(
    models: list[nn.Module], edits: Callable[[int], Edits], shifts: Any, strands: bool
) -> tuple[Tensor, Tensor]:
    """The mean over models, shifts and strands of what edits do [M, T], and the spread over models.

    `edits` makes the edited sequences of a shift, unmirrored and of the unshifted length.
    """
    each = []
    for model in models:
        double, found = copy.deepcopy(model).double(), []
        for shift in shifts:
            for mirrored in (False, True) if strands else (False,):
                before = torch.stack([moved(x, shift, mirrored) for x in X()])
                after = [(n, x.flip(0, 1) if mirrored else x) for n, x in edits(shift)]
                read = reading(TARGETS)
                found.append(naive.changes(double, before.double(), (), iter(after), read=read))
        each.append(torch.stack(found).mean(0))
    made = torch.stack(each)
    return made.mean(0), made.std(0, correction=min(1, len(models) - 1))


def put(shift: int, rows: list[tuple[int, int, str]]) -> Edits:
    """Letters over those that are there: (sequence, position, letters), an edit each."""
    made = []
    for n, at, letters in rows:
        x = moved(X()[n], shift, False).double()
        for offset, letter in enumerate(letters):
            x[:, at + shift + offset] = torch.eye(4)[ACGT.index(letter)]
        made.append((n, x))
    return made


def assert_is(got: nucleoscope.Effects, want: tuple[Tensor, Tensor], models: int) -> None:
    shape = got.changes.shape
    torch.testing.assert_close(got.changes.double(), want[0].view(shape), rtol=1e-9, atol=1e-12)
    assert (got.spread is not None) == (models > 1)
    if got.spread is not None:
        torch.testing.assert_close(got.spread.double(), want[1].view(shape), rtol=1e-9, atol=1e-12)
    assert got.facts["edits"] == len(want[0])
    assert all(check.passed for check in got.checks)


ASKED = [(2, {"shifts": (-2, 1), "reverse_complement": True}), (3, {})]
MORE: dict[str, Any] = {"target": TARGETS, "precision": "fp64"}


def asked(count: int, how: dict[str, Any]) -> tuple[list[nn.Module], Any, bool]:
    return FOLDS[:count], how.get("shifts", (0,)), how.get("reverse_complement", False)


@pytest.mark.parametrize(("count", "how"), ASKED)
def test_motifs(count: int, how: dict[str, Any]) -> None:
    models, *views = asked(count, how)
    got = nucleoscope.marginalize(models, X(), "GATTA", [3, 8, 24], **how, **MORE)
    rows = [(n, at, "GATTA") for n in range(2) for at in (3, 8, 24)]
    assert_is(got, truth(models, lambda shift: put(shift, rows), *views), count)


@pytest.mark.parametrize(("count", "how"), ASKED)
def test_shuffles_with_ambiguous_letters(count: int, how: dict[str, Any]) -> None:
    models, *views = asked(count, how)
    got = nucleoscope.ablate(models, X(), 5, 20, n=3, random_state=2, **how, **MORE)

    def edits(shift: int) -> Edits:
        made = []
        for n in range(2):
            for order in shuffled(15, 3, 2):
                x = X()[n].clone()
                x[:, 5:20] = x[:, 5:20][:, order]
                made.append((n, moved(x, shift, False).double()))
        return made

    assert_is(got, truth(models, edits, *views), count)
    assert got.changes.shape == (2, 3, 2)


@pytest.mark.parametrize(("count", "how"), ASKED)
def test_substitutions(count: int, how: dict[str, Any]) -> None:
    models, *views = asked(count, how)
    rows = [[0, 3, 1], [0, 25, 2], [1, 4, 3], [2, 17, 0]]
    got = nucleoscope.substitution_effect(models, X(), rows, sequence=[0, 1, 0], **how, **MORE)

    def edits(shift: int) -> Edits:
        first, second, third, fourth = (r[1:] for r in rows)
        made = [(n, X()[n].clone()) for n in (0, 1, 0)]
        for which, (at, letter) in ((0, first), (0, second), (1, third), (2, fourth)):
            made[which][1][:, at] = torch.eye(4)[letter]
        return [(n, moved(x, shift, False).double()) for n, x in made]

    assert_is(got, truth(models, edits, *views), count)
    unread = nucleoscope.substitution_effect(models, X(), [[0, 5, -1]], **how, **MORE)  # N
    assert unread.changes[0].abs().min() > 0


VARIANTS = [
    (0, 4, 1, "G"), (1, 12, 3, "TTT"), (1, 3, 0, "ACG"), (0, 20, 4, ""), (1, 24, 2, "GATT"), (0, 22, 1, "T")
]  # fmt: skip


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("count", "how"), [(1, {"reverse_complement": True}), *ASKED])
def test_variants(count: int, how: dict[str, Any], left: bool) -> None:
    models, *views = asked(count, how)
    refs = [
        "".join(ACGT[i] for i in X()[n, :, at : at + w].argmax(0).tolist())
        for n, at, w, _ in VARIANTS
    ]
    sequence, position, _, alt = (list(column) for column in zip(*VARIANTS, strict=True))
    got = nucleoscope.variant_effect(
        models, X(), sequence, position, refs, alt, left=left, **how, **MORE
    )

    def edits(shift: int) -> Edits:
        made = []
        for n, at, wide, new in VARIANTS:
            x, at = moved(X()[n], shift, False).double(), at + shift
            letters = torch.eye(4).double()[[ACGT.index(c) for c in new]].T
            joined = torch.cat([x[:, :at], letters, x[:, at + wide :]], 1)
            short = x.new_zeros(4, max(0, LENGTH - joined.shape[1]))
            joined = torch.cat([short, joined] if left else [joined, short], 1)
            made.append((n, joined[:, -LENGTH:] if left else joined[:, :LENGTH]))
        return made

    assert_is(got, truth(models, edits, *views), count)
    views_asked = count * (2 if views[1] else 1) * len(views[0])
    assert got.facts["spliced"] + got.facts["recomputed"] == 3 * views_asked
    assert got.facts["left"] is left


@pytest.mark.parametrize(("count", "how"), ASKED)
def test_spacings(count: int, how: dict[str, Any]) -> None:
    models, *views = asked(count, how)
    got = nucleoscope.space(models, X(), ["GAT", "CC"], [[0], [4]], start=6, **how, **MORE)

    def edits(shift: int) -> Edits:
        both = [(n, [(6, "GAT"), (9 + gap, "CC")]) for n in range(2) for gap in (0, 4)]
        made = []
        for n, parts in both:
            x = moved(X()[n], shift, False).double()
            for at, letters in parts:
                for offset, letter in enumerate(letters):
                    x[:, at + shift + offset] = torch.eye(4)[ACGT.index(letter)]
            made.append((n, x))
        return made

    assert_is(got, truth(models, edits, *views), count)


@pytest.mark.parametrize(("count", "how"), ASKED)
def test_pairs(count: int, how: dict[str, Any]) -> None:
    models, shifts, strands = asked(count, how)
    start, end = 8, 11
    got = nucleoscope.pairwise(models, X(), start=start, end=end, **how, **MORE)
    places = [(a, i) for a in range(4) for i in range(start, end)]

    def edits(shift: int) -> Edits:
        made = []
        for n in range(2):
            for a, i in places:
                for b, j in places:
                    x = X()[n].clone()
                    x[:, i] = torch.eye(4)[a]
                    x[:, j] = torch.eye(4)[b] if i != j else x[:, j]
                    made.append((n, moved(x, shift, False).double()))
        return made

    both, _ = truth(models, edits, shifts, strands)
    both = both.view(2, 12, 12, 2)
    one = torch.stack([  # the first edit alone: with another site's own letter, where it is one
        naive_single(models, n, a, i, shifts, strands) for n in range(2) for a, i in places
    ]).view(2, 12, 2)  # fmt: skip
    torch.testing.assert_close(got.singles.double().view(2, 12, 2), one, rtol=1e-9, atol=1e-12)
    want = both - one[:, :, None] - one[:, None]
    apart = torch.tensor([[i != j for _, j in places] for _, i in places])
    found = got.interactions.double().view(2, 12, 12, 2)
    torch.testing.assert_close(found[:, apart], want[:, apart], rtol=1e-9, atol=1e-12)
    assert (found[:, ~apart] == 0).all()
    assert (got.spread is not None) == (count > 1)
    if got.spread is not None:
        each = [nucleoscope.pairwise(m, X(), start=start, end=end, **how, **MORE) for m in models]
        spread = torch.stack([e.interactions for e in each]).std(0)
        torch.testing.assert_close(got.spread, spread, rtol=1e-9, atol=1e-12)


def naive_single(
    models: list[nn.Module], n: int, letter: int, site: int, shifts: Any, strands: bool
) -> Tensor:
    def edits(shift: int) -> Edits:
        x = X()[n].clone()
        x[:, site] = torch.eye(4)[letter]
        return [(n, moved(x, shift, False).double())]

    return truth(models, edits, shifts, strands)[0][0]


def test_a_target_may_be_another_on_the_other_strand() -> None:
    torch.manual_seed(4)
    model = Net(
        lambda net, x: net.last(torch.relu(net.first(x))), first=conv(4, 5), last=conv(5, 2, 1)
    ).eval()
    here, there = (0, slice(3, 9)), (1, slice(LENGTH - 9, LENGTH - 3))
    rows = [[0, 5, 2], [1, 7, 0]]
    mirrored = [[n, LENGTH - 1 - at, 3 - letter] for n, at, letter in rows]
    given = X().flip(1, 2)
    want = [
        nucleoscope.substitution_effect(model, *each, target=target, precision="fp64").changes
        for each, target in (((X(), rows), here), ((given, mirrored), there))
    ]
    got = nucleoscope.substitution_effect(
        model,
        X(),
        rows,
        target=here,
        reverse_target=there,
        reverse_complement=True,
        precision="fp64",
    )
    torch.testing.assert_close(got.changes, sum(want) / 2, rtol=1e-9, atol=1e-12)
    assert got.axes == ("sequence",)
    assert [c.name for c in got.checks] == ["verification", "verification (reverse complement)"]


def test_letters_in_another_order_pair_as_they_are_named() -> None:
    order = [ACGT.index(letter) for letter in "TCAG"]
    inner = FOLDS[0]
    model = Net(lambda net, x: net.inner(x[:, [2, 1, 3, 0]]), inner=inner).eval()
    more: dict[str, Any] = {"reverse_complement": True, "target": 1, "precision": "fp64"}
    given = ([0, 1], [4, 3], ["", ""], ["GA", "ACC"])
    want = nucleoscope.variant_effect(inner, X(), *given, **more)
    got = nucleoscope.variant_effect(model, X()[:, order], *given, alphabet="TCAG", **more)
    torch.testing.assert_close(got.changes, want.changes, rtol=1e-9, atol=1e-12)
    assert complement("TCAG").tolist() == [2, 3, 0, 1]


CALLS: dict[str, Callable[..., Any]] = {
    "mutagenesis": nucleoscope.saturation_mutagenesis,
    "gradients": nucleoscope.input_x_gradient,
    "motifs": lambda model, X, **more: nucleoscope.marginalize(model, X, "GATTA", **more),
    "pairs": lambda model, X, **more: nucleoscope.pairwise(model, X, start=3, end=5, **more),
}


@pytest.mark.parametrize("name", CALLS)
def test_models_of_unlike_outputs_have_no_mean(name: str) -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(conv(4, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    call = CALLS[name]
    says = r"target=None is .*: model 1 \(Net\) 2 of \[N, 2\]; model 2 \(Sequential\) 3 of \[N, 3\]"
    with pytest.raises(ValueError, match=says):
        call([FOLDS[0], wide], X())
    with pytest.raises(ValueError, match=r"slice.* model 2 \(Sequential\) 3 of"):
        call([FOLDS[0], wide], X(), target=[1, slice(None)])
    with pytest.raises(IndexError, match=r"2.*\(model 1, Net\)"):
        call([FOLDS[0], wide], X(), target=2)
    call([FOLDS[0], wide], X(), target=1)
    with pytest.raises(ValueError, match=r"target=-1 counts from the end.* 1 of \[N, 3\]"):
        call([FOLDS[0], wide], X(), target=-1)
    call([FOLDS[0], FOLDS[0]], X(), target=-1)
    if name != "gradients":  # they read the same on both strands
        both: dict[str, Any] = {"reverse_complement": True, "reverse_target": slice(None)}
        with pytest.raises(ValueError, match=r"slice.* model 2 \(Sequential\) 3 of"):
            call([FOLDS[0], wide], X(), target=1, **both)


def test_a_list_of_one_model_is_that_model() -> None:
    one, alone = (
        nucleoscope.marginalize(model, X(), "GATTA", target=1) for model in (FOLDS[0], FOLDS[:1])
    )
    assert torch.equal(one.changes, alone.changes)
    assert alone.spread is None
    assert "models" not in alone.facts


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"reverse_complement": 1}, TypeError, "^reverse_complement=1"),
        ({"reverse_target": 1}, ValueError, "^reverse_target: there is no other strand"),
        ({"reverse_target": [1, 0], "reverse_complement": True}, ValueError, "^reverse_target: it names 2"),
        ({"shifts": (0.5,)}, TypeError, "^shifts="),
        ({"shifts": ()}, ValueError, "^shifts="),
        ({"shifts": (0, 15)}, ValueError, r"^shifts: 15 moves edits out of the sequence of 31; .* \[13, 18\)"),
        ({"model": []}, ValueError, "^model: the list is empty"),
        ({"model": [FOLDS[0], 3]}, TypeError, "^model: expected"),
    ],
)  # fmt: skip
def test_bad_input(given: dict[str, Any], kind: type[Exception], says: str) -> None:
    asked = {"model": FOLDS[0], "target": 0, **given}
    with pytest.raises(kind, match=says):
        nucleoscope.marginalize(asked.pop("model"), X(), "GATTA", **asked)
