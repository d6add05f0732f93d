"""substitution_effect, variant_effect, ablate, marginalize, space, pairwise: numbers, axes, bad input."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.edits import run
from nucleoscope.engine.values import forward
from nucleoscope.methods.edits.ablate import shuffled
from nucleoscope.naive.methods import ablate as naive_ablate
from nucleoscope.naive.methods import marginalize as naive_marginalize
from nucleoscope.naive.methods import pairwise as naive_pairwise
from nucleoscope.naive.methods import space as naive_space
from nucleoscope.naive.methods import substitution_effect as naive_substitutions
from nucleoscope.naive.methods import variant_effect as naive_variants
from tests import nets
from tests.parts import Net, conv, lively, sequences
from tests.truth import reading

LENGTH = 47
NETS = ("bpnet", "basset", "strands", "attention")
TARGETS: list[Any] = [None, 1]


@functools.cache
def net(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively(getattr(nets, name)(LENGTH))


def X() -> Tensor:
    made = sequences(3, LENGTH, seed=3)
    made[0, :, 11] = 0
    return made


def letters(n: int, at: int, wide: int = 1) -> str:
    columns = X()[n, :, at : at + wide]
    return "".join("ACGT"[i] for i in columns.argmax(0).tolist())


def other(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "CGTA"))


def assert_exact(name: str, got: Tensor, definition: Any, *given: Any, **more: Any) -> None:
    """As the definition in float64; behind a seam, and where the model itself is run, as in float32."""
    read = reading(TARGETS)
    model = net(name)
    want = definition(copy.deepcopy(model).double(), X().double(), *given, read=read, **more)
    assert got.shape == want.shape
    allowed = 1e-5 * want.abs().max()
    if name == "attention" or definition is naive_variants.variant_effect:
        allowed += 3 * (definition(model, X(), *given, read=read, **more) - want).abs().max()
    assert (got - want).abs().max() <= allowed


ROWS = torch.tensor([[0, 3, 1], [0, 4, 2], [0, 40, 0], [2, 11, 3], [0, 11, 2]])


@pytest.mark.parametrize("name", NETS)
def test_substitutions(name: str) -> None:
    got = nucleoscope.substitution_effect(net(name), X(), ROWS, target=TARGETS)
    assert_exact(name, got.changes, naive_substitutions.substitution_effect, ROWS)
    assert got.axes == ("sequence", "target")
    assert (got.changes[1] == 0).all()
    assert [check.passed for check in got.checks] == [True]
    with torch.no_grad():
        before = reading(TARGETS)(net(name)(X()))
    torch.testing.assert_close(got.before, before, rtol=1e-4, atol=1e-5)


VARIANTS = [  # sequence, position, length of ref, alt: SNVs, MNVs, insertions, deletions, both ends
    (0, 0, 1, None), (0, 11 - 3, 3, None), (2, 46, 1, None), (1, 20, 7, None), (1, 20, 1, None),
    (2, 5, 1, "ACGT"), (2, 5, 4, "A"), (1, 46, 1, "GG"), (0, 0, 0, "TTT"), (2, 0, 3, ""), (1, 12, 5, "GC"),
]  # fmt: skip


def variants() -> tuple[list[int], list[int], list[str], list[str]]:
    rows = [(n, at, letters(n, at, wide), alt) for n, at, wide, alt in VARIANTS]
    return tuple(map(list, zip(*((n, at, ref, other(ref) if alt is None else alt)
                                 for n, at, ref, alt in rows), strict=True)))  # type: ignore[return-value]  # fmt: skip


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_variants(name: str, left: bool) -> None:
    got = nucleoscope.variant_effect(net(name), X(), *variants(), target=TARGETS, left=left)
    assert_exact(name, got.changes, naive_variants.variant_effect, *variants(), left=left)
    if name != "attention":  # those of one length by deltas
        read, many = reading(TARGETS), [each[:5] for each in variants()]
        double = copy.deepcopy(net(name)).double()
        want = naive_variants.variant_effect(double, X().double(), *many, read=read)
        assert (got.changes[:5] - want).abs().max() <= 1e-5 * want.abs().max()
    assert got.axes == ("variant", "target")
    assert got.facts["edits"] == 11
    assert got.facts["recomputed"] + got.facts["spliced"] == 6
    assert got.after.shape == got.changes.shape


@pytest.mark.parametrize("name", NETS)
def test_insertions_behind_the_last_letter(name: str) -> None:
    ends = ([0, 2], [LENGTH, LENGTH], ["", ""], ["GATTACA", "C"])
    got = nucleoscope.variant_effect(net(name), X(), *ends, target=TARGETS, left=True)
    assert_exact(name, got.changes, naive_variants.variant_effect, *ends, left=True)
    assert got.changes.all()
    assert all(check.passed for check in got.checks)
    for left, position, says in ((False, LENGTH, "left=True"), (True, 0, "left=False")):
        given = ([1, 1], [position, 4], ["", letters(1, 4)], ["GA", other(letters(1, 4))])
        lost = nucleoscope.variant_effect(net(name), X(), *given, target=1, left=left)
        assert lost.changes[0] == 0
        assert lost.changes[1] != 0
        assert f"alt[0]. {says} keeps that end" in str(lost.checks[-1])
        assert not lost.checks[-1].passed


def test_only_indels() -> None:
    sequence, position, ref, alt = (each[5:] for each in variants())
    got = nucleoscope.variant_effect(net("bpnet"), X(), sequence, position, ref, alt)
    want = naive_variants.variant_effect(net("bpnet"), X(), sequence, position, ref, alt)
    torch.testing.assert_close(got.changes, want[:, 0])
    assert got.facts["engine"] in ("windows in float64", "the model itself")
    assert got.checks == ()


def test_shuffles() -> None:
    orders = shuffled(9, 5, 7)
    got = nucleoscope.ablate(net("bpnet"), X(), 8, 17, n=5, random_state=7, target=TARGETS)
    assert got.axes == ("sequence", "shuffle", "target")
    assert_exact("bpnet", got.changes, naive_ablate.ablate, 8, 17, torch.from_numpy(orders))
    again = nucleoscope.ablate(net("bpnet"), X(), 8, 17, n=5, random_state=7)
    assert torch.equal(again.changes, got.changes[..., 0])
    fresh = nucleoscope.ablate(net("bpnet"), X(), 8, 17, n=5)
    assert not torch.equal(fresh.changes, again.changes)


def test_motifs() -> None:
    got = nucleoscope.marginalize(net("basset"), X(), "GATNNC", [0, 9, 41], target=TARGETS)
    assert_exact("basset", got.changes, naive_marginalize.marginalize, "GATNNC", [0, 9, 41])
    middle = nucleoscope.marginalize(net("basset"), X(), "GATNNC")
    assert middle.facts["positions"] == [LENGTH // 2 - 3]
    one_hot = torch.zeros(1, 4, 6)
    one_hot[0, [2, 0, 3, 1], [0, 1, 2, 5]] = 1
    same = nucleoscope.marginalize(net("basset"), X(), one_hot)
    assert torch.equal(same.changes, middle.changes)


def test_motifs_at_spacings() -> None:
    motifs, gaps = ["GATNC", "TTG", "A"], [[0, 3], [4, 1], [9, 12], [0, 0]]
    got = nucleoscope.space(net("bpnet"), X(), motifs, gaps, start=5, target=TARGETS)
    assert_exact("bpnet", got.changes, naive_space.space, motifs, gaps, 5)
    middle = nucleoscope.space(net("bpnet"), X(), motifs, gaps[:1])
    want = naive_space.space(net("bpnet"), X(), motifs, gaps[:1], LENGTH // 2 - 6)
    assert (middle.changes - want[..., 0]).abs().max() <= 1e-5 * want.abs().max()


@pytest.mark.parametrize("name", NETS)
def test_pairs(name: str) -> None:
    got = nucleoscope.pairwise(net(name), X(), start=8, end=15, target=TARGETS)
    assert got.axes == ("sequence", "letter", "site", "letter", "site", "target")
    sites = range(8, 15)
    there = (X() == 0).all(1)[0, 8:15]
    assert int(there.sum()) == 1
    read, model = reading(TARGETS), net(name)
    want = naive_pairwise.pairwise(
        copy.deepcopy(model).double(), X().double(), sites=sites, read=read
    )
    largest = got.singles.abs().max()
    allowed = 3e-5 * largest
    if name == "attention":
        noise = naive_pairwise.pairwise(model, X(), sites=sites, read=read) - want
        allowed += 4 * noise.abs().max()
    assert (got.interactions - want).abs().max() <= allowed
    assert torch.equal(got.interactions, got.interactions.permute(0, 3, 4, 1, 2, 5))


def test_pairs_that_add_up_are_not_run() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(conv(4, 6, 3), nn.ReLU(), conv(6, 2, 9)).eval()
    got = nucleoscope.pairwise(model, X()[1:], start=3, end=13)
    want = naive_pairwise.pairwise(model.double(), X()[1:].double(), sites=range(3, 13))[..., 0]
    assert (got.interactions - want).abs().max() <= 1e-5 * got.singles.abs().max()
    assert got.facts["pairs"] == 2 * 45 * 9
    assert got.facts["pairs_skipped"] == 2 * 28 * 9
    far = (torch.arange(10)[:, None] - torch.arange(10)).abs() > 2
    assert (got.interactions.movedim(3, 2)[..., far] == 0).all()
    assert "pairwise" in repr(got)


def test_the_layout_is_the_models() -> None:
    torch.manual_seed(0)
    first = net("bpnet")
    model = Net(lambda net, x: net.inner(x.transpose(1, 2)), inner=first)
    turned = X().transpose(1, 2).contiguous()
    for left in (False, True):
        got = nucleoscope.variant_effect(model, turned, *variants(), layout="NLC", left=left)
        want = nucleoscope.variant_effect(first, X(), *variants(), left=left)
        torch.testing.assert_close(got.changes, want.changes, rtol=1e-4, atol=1e-6)


def test_further_inputs_and_functions() -> None:
    torch.manual_seed(0)
    model = Net(lambda net, x, c: net.a(x).relu().mean(2) * c, a=conv(4, 3))
    c = torch.rand(3, 3)
    got = nucleoscope.variant_effect(model, X(), *variants(), (c,), func=torch.exp, target=2)
    want = naive_variants.variant_effect(
        model.double(), X().double(), *variants(), (c.double(),), read=lambda y: y.exp()[:, 2:]
    )[:, 0]
    assert (got.changes - want).abs().max() <= 1e-5 * want.abs().max() + 1e-6


def test_an_untraceable_model_runs_the_plain_loop() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        made: Tensor = net.a(x).mean(2)
        return made * 2 if float(made.detach().sum()) > 1e9 else made

    model = Net(forward, a=conv(4, 3))
    with pytest.warns(nucleoscope.NaiveFallback):
        got = nucleoscope.variant_effect(model, X(), *variants())
    want = naive_variants.variant_effect(model, X(), *variants())[:, 0]
    torch.testing.assert_close(got.changes, want)
    assert got.facts["engine"] == "plain loop"
    with pytest.warns(nucleoscope.NaiveFallback):
        nucleoscope.pairwise(model, X(), start=0, end=2)


def test_a_wrong_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from nucleoscope.engine.edits import run

    held = run.columns
    monkeypatch.setattr(run, "columns", lambda *given: held(*given) * 1.01)
    with pytest.raises(nucleoscope.Disagreement):
        nucleoscope.ablate(net("bpnet"), X(), 8, 17, n=5, random_state=7)


SUBSTITUTIONS = functools.partial(nucleoscope.substitution_effect, verify=0)
ONE = nucleoscope.variant_effect


@pytest.mark.parametrize(
    ("call", "given", "error", "says"),
    [
        (SUBSTITUTIONS, (torch.zeros(0, 3).long(),), ValueError, "no row"),
        (SUBSTITUTIONS, ([[0, 1]],), ValueError, "shape"),
        (SUBSTITUTIONS, (torch.rand(2, 3),), ValueError, "whole numbers"),
        (SUBSTITUTIONS, ([[3, 1, 1]],), IndexError, "sequence 3"),
        (SUBSTITUTIONS, ([[0, 47, 1]],), IndexError, "position 47"),
        (SUBSTITUTIONS, ([[0, -1, 1]],), IndexError, "position -1"),
        (SUBSTITUTIONS, ([[0, 1, 4]],), IndexError, "letter 4"),
        (SUBSTITUTIONS, ([[0, 1, 1], [0, 1, 2]],), ValueError, "more than once"),
        (ONE, ([], [], [], []), ValueError, "empty"),
        (ONE, ([0], [1], ["A", "C"], ["A"]), ValueError, "one each"),
        (ONE, ([0], [1], "A", "C"), TypeError, "list"),
        (ONE, ([0.5], [1], ["A"], ["C"]), TypeError, "sequence"),
        (ONE, ([0], [1], [other(letters(0, 1))], ["C"]), ValueError, "from 0"),
        (ONE, ([0], [11], ["A"], ["C"]), ValueError, "X has 'N'"),
        (ONE, ([0], [1], [letters(0, 1)], ["N"]), ValueError, "'N' is not in alphabet"),
        (ONE, ([0], [1], [letters(0, 1)], ["<DEL>"]), ValueError, "alt\\[0\\]"),
        (ONE, ([0], [1], [letters(0, 1)], [3]), TypeError, "string"),
        (ONE, ([0], [1], [""], [""]), ValueError, "both empty"),
        (ONE, ([3], [1], ["A"], ["C"]), IndexError, "sequence\\[0\\]=3"),
        (ONE, ([0], [46], [letters(0, 46) + "A"], ["C"]), IndexError, "covers"),
        (ONE, ([0], [-1], ["A"], ["C"]), IndexError, "covers"),
        (ONE, ([0], [47], ["A"], ["C"]), IndexError, "at 47, an empty ref inserts"),
        (ONE, ([0], [48], [""], ["C"]), IndexError, "covers"),
        (ONE, ([0], [47], [""], [""]), ValueError, "both empty"),
        (nucleoscope.ablate, (40, 50), ValueError, "end=50"),
        (nucleoscope.ablate, (4, 4), ValueError, "end=4"),
        (functools.partial(nucleoscope.ablate, n=0), (4, 9), ValueError, "n=0"),
        (nucleoscope.marginalize, ("GATX",), ValueError, "'X'"),
        (nucleoscope.marginalize, ("",), ValueError, "empty"),
        (nucleoscope.marginalize, (7,), TypeError, "motif"),
        (nucleoscope.marginalize, (torch.rand(4, 3),), ValueError, "one-hot"),
        (nucleoscope.marginalize, (torch.ones(3, 3),), ValueError, "shape"),
        (nucleoscope.marginalize, ("GATA", [44]), IndexError, "leave"),
        (nucleoscope.marginalize, ("GATA", []), ValueError, "empty"),
        (nucleoscope.marginalize, ("GATA", [1.5]), TypeError, "whole"),
        (nucleoscope.marginalize, ("A" * 48,), IndexError, "fit"),
        (nucleoscope.space, ("GATA", [[1]]), ValueError, "list"),
        (nucleoscope.space, (["GATA"], [[1]]), ValueError, "marginalize"),
        (nucleoscope.space, (["GATA", "C"], [1, 2]), ValueError, "spacing"),
        (nucleoscope.space, (["GATA", "C"], [[-1]]), ValueError, "overlap"),
        (nucleoscope.space, (["GATA", "C"], [[43]]), IndexError, "fit"),
        (functools.partial(nucleoscope.pairwise, start=4, end=5), (), ValueError, "two sites"),
        (functools.partial(nucleoscope.pairwise, verify=-1), (), ValueError, "verify"),
        (functools.partial(nucleoscope.pairwise, func=3), (), TypeError, "func"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(net("bpnet"), X(), *given)


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="target=9"):
        nucleoscope.ablate(net("bpnet"), X(), 2, 9, target=9)


def test_numpy_is_taken() -> None:
    rows = ROWS.numpy()
    got = nucleoscope.substitution_effect(net("bpnet"), X(), rows)
    want = nucleoscope.substitution_effect(net("bpnet"), X(), ROWS)
    assert torch.equal(got.changes, want.changes)


def changed(edit: int, n: int, *positions: int) -> list[list[int]]:
    """Rows of an edit of sequence n that puts another letter at each of these positions."""
    return [[edit, at, "ACGT".index(other(letters(n, at)))] for at in positions]


def test_the_plan_of_a_table_tells_its_shapes() -> None:
    rows = [*changed(0, 0, 5, 6), *changed(1, 1, 9, 30), *changed(2, 2, 20), *changed(3, 2, 21)]
    same = [[4, 7, "ACGT".index(letters(2, 7))]]
    request = {"substitutions": torch.tensor(rows + same), "sequence": [0, 1, 2, 2, 2]}
    made = nucleoscope.plan(net("bpnet"), X(), target=1, **request)
    said = repr(made).splitlines()
    assert said[0] == "Plan: 4 edits at 4 places; windows and arithmetic are of one base"
    assert said[1] == "  2 at 2 places of one base"
    assert set(said[2:4]) == {"  1 at 1 places of 2 bases", "  1 at 1 places of 1 + 1 bases"}
    with pytest.raises(IndexError, match="row 0 has position 47"):
        nucleoscope.plan(net("bpnet"), X(), substitutions=[[0, 47, 1]])


@pytest.mark.parametrize("name", ["basset", "attention"])
def test_originals_may_be_made_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nucleoscope.substitution_effect(net(name), X(), ROWS)
    monkeypatch.setattr(run, "AT_ONCE", 1)
    got = nucleoscope.substitution_effect(net(name), X(), ROWS)
    torch.testing.assert_close(got.changes, whole.changes, rtol=1e-4, atol=1e-6)


def test_few_edits_a_sequence_have_originals_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(count: int) -> nucleoscope.Effects:
        places = [at % X().shape[2] for at in range(count)]
        reference = [letters(1, at) for at in places]
        alternative = [other(letter) for letter in reference]
        return nucleoscope.variant_effect(
            net("basset"), X()[1:2], [0] * count, places, reference, alternative
        )

    many, few = asked(500), asked(5)  # windows of the many are more work than some forwards
    assert "originals" not in many.facts
    assert few.facts["originals"] == "float32, short sums"
    most = 5e-6 * float(many.changes.abs().max())
    torch.testing.assert_close(few.changes, many.changes[:5], rtol=0, atol=most)
    # Where that is not enough the verification says so, and they are made in float64.
    monkeypatch.setattr(forward.Forward, "brief", rounded)
    found = asked(5)
    assert "originals" not in found.facts
    torch.testing.assert_close(found.changes, many.changes[:5], rtol=0, atol=most)


def rounded(held: forward.Forward) -> forward.Forward:
    """The same program with weights of few digits."""
    made = forward.Forward(held.graph, torch.float32, held.like.device, pack=False)
    for name, value in made._constants.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            made._constants[name] = value.bfloat16().float()
    return made


class OneOnly(nn.Module):
    """Takes one sequence at a time, and all of it: [1, 4, L] -> [1, 2]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(0), nn.Linear(4 * 30, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[None]


@pytest.mark.filterwarnings("ignore:the model cannot be traced")
def test_indels_by_the_model_are_in_float64_and_one_by_one_where_asked() -> None:
    X, net = sequences(1, 30), OneOnly().eval()
    ref = ["ACGT"[int(X[0, :, p].argmax())] for p in (4, 9)]
    given = ([0, 0], [4, 9], ref, [ref[0] + "GA", ref[1] + "C"])
    got = nucleoscope.variant_effect(net, X, *given, target=[0, 1], precision="fp64")
    assert got.facts["recomputed"] == 2
    want = one_by_one(copy.deepcopy(net).double(), X, given)
    torch.testing.assert_close(got.changes.double(), want, rtol=1e-12, atol=1e-14)


def one_by_one(net: nn.Module, X: Tensor, given: Any) -> Tensor:
    """One at a time, in the model's number type."""
    rows = []
    with torch.no_grad():
        before = net(X.double())
        for n, at, ref, alt in zip(*given, strict=True):
            letters = "".join("ACGT"[i] for i in X[n].argmax(0).tolist())
            put = (letters[:at] + alt + letters[at + len(ref) :])[: X.shape[2]]
            hot = torch.eye(4).double()[["ACGT".index(c) for c in put]].T[None]
            rows.append(net(hot) - before)
    return torch.cat(rows)


def test_few_edits_without_verification_have_originals_in_float64() -> None:
    """Nothing would tell that float32 is not enough."""
    found = nucleoscope.substitution_effect(net("basset"), X(), ROWS, verify=0)
    assert "originals" not in found.facts


def test_a_part_of_a_layer_does_not_keep_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, tuple[Tensor, int]]] = []
    held = run.Originals
    monkeypatch.setattr(run, "Originals", lambda values: kept.append(values) or held(values))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    ).eval()  # fmt: skip
    long = torch.eye(4)[torch.randint(0, 4, (1, 3000))].mT.contiguous()
    nucleoscope.substitution_effect(
        model, long, [[0, 1500, 2], [1, 1503, 1]], target=0, sequence=[0, 0]
    )
    values = [value for each in kept for value, _ in each.values()]
    assert values
    for value in values:
        assert value.untyped_storage().nbytes() <= 2 * value.numel() * value.element_size()


FOLDS = ("bpnet", "basset")  # of four outputs and three


@pytest.mark.parametrize(
    "call",
    [
        lambda model: nucleoscope.variant_effect(model, X(), *variants(), target=[0, 1]),
        lambda model: nucleoscope.pairwise(model, X(), start=8, end=11, target=1),
        lambda model: nucleoscope.ablate(model, X(), 8, 17, n=3, random_state=7, target=1),
        lambda model: nucleoscope.marginalize(model, X(), "GATTAC", target=1),
        lambda model: nucleoscope.space(model, X(), ["GAT", "TAC"], [[1], [2]], target=1),
    ],
)
def test_several_models_give_their_mean(call: Any) -> None:
    one, two = (call(net(name)) for name in FOLDS)
    got = call([net(name) for name in FOLDS])
    kind = (
        ("changes", "before")
        if hasattr(one, "changes")
        else ("interactions", "singles", "original")
    )
    for name in kind:
        a, b = getattr(one, name), getattr(two, name)
        torch.testing.assert_close(getattr(got, name), (a + b) / 2)
    assert got.axes == one.axes
    assert got.facts["models"] == 2
    assert {check.name for check in got.checks} >= {
        f"verification (model {n} of 2)" for n in (1, 2)
    }
    assert torch.equal(getattr(call([net("bpnet")]), kind[0]), getattr(one, kind[0]))


def test_models_that_read_unlike_alphabets_have_no_mean() -> None:
    one, two = (copy.deepcopy(net("bpnet")) for _ in range(2))
    one.alphabet, two.alphabet = "AGCT", "ACGT"  # type: ignore[assignment]
    for call in (
        lambda models: nucleoscope.pairwise(models, X(), start=8, end=11, target=1),
        lambda models: nucleoscope.ablate(models, X(), 8, 17, n=3, target=1),
    ):
        with pytest.raises(ValueError, match="unlike alphabets"):
            call([one, two])


@pytest.mark.parametrize("start", [2, 10])
def test_a_region_that_the_target_does_not_see_has_no_effects(start: int) -> None:
    torch.manual_seed(0)
    x = torch.eye(4)[torch.randint(4, (1, 30))].mT.contiguous()
    model = nn.Sequential(
        nn.Conv1d(4, 3, 2, stride=3), nn.Conv1d(3, 2, 1, stride=3), nn.Softplus(), nn.Conv1d(2, 1, 1),
        nn.Flatten(),
    ).eval()  # fmt: skip
    found = nucleoscope.pairwise(model, x, start=start, end=start + 4, target=[2])
    assert not found.interactions.any()
    assert not found.singles.any()


@pytest.mark.parametrize(
    "seed", [8, 11]
)  # where float64 gives what no edit changes a rounding apart
def test_the_judge_rounds_as_well(seed: int) -> None:
    x = torch.eye(4)[torch.randint(4, (1, 30), generator=torch.Generator().manual_seed(0))].mT
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.AvgPool1d(4, 3), nn.Conv1d(4, 2, 1, stride=3), nn.Softplus(), nn.Conv1d(2, 1, 1), nn.Flatten()
    ).eval()  # fmt: skip
    found = nucleoscope.pairwise(model, x.contiguous(), start=4, end=6, target=[0, 2])
    assert not found.interactions.any()


def test_no_model_at_all() -> None:
    with pytest.raises(ValueError, match="list is empty"):
        nucleoscope.pairwise([], X(), start=8, end=11)
