"""compat.tangermeme's effects: the numbers of tangermeme's own functions, for the same calls."""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nucleoscope.compat.tangermeme as ours
from nucleoscope import NaiveFallback

with warnings.catch_warnings():  # numba and its friends warn while they are being imported
    warnings.simplefilter("ignore")
    reason = "tangermeme is what the drop-in is compared with: install nucleoscope[test]"
    pytest.importorskip("tangermeme", reason=reason)
    from tangermeme import ablate, ersatz, marginalize, saliency, variant_effect
    from tangermeme import space as spaces
    from tangermeme.predict import predict

from tests.compat.test_tangermeme import EXACT, LENGTH, MAKERS, NOISE, net

THEIRS = {
    "substitution_effect": variant_effect.substitution_effect, "ablate": ablate.ablate,
    "deletion_effect": variant_effect.deletion_effect, "marginalize": marginalize.marginalize,
    "insertion_effect": variant_effect.insertion_effect, "space": spaces.space, "predict": predict,
}  # fmt: skip


@pytest.fixture
def X() -> Tensor:
    """[3, 4, L], some columns N."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(0, 4, (3, LENGTH), generator=generator)
    X = torch.nn.functional.one_hot(letters, 4).movedim(2, 1).float()
    X[0, :, [3, 30]] = 0
    X[1, :, 0] = 0
    return X


ROWS = torch.tensor([[0, 3, 1], [0, 4, 2], [2, 59, 0], [2, 20, 3]])
EDITS: dict[str, Any] = {
    "substitution_effect": (ROWS,),
    "ablate": (12, 31),
    "marginalize": ("GATNNACA",),
    "space": (["GAT", "NTTA", "C"], [[0, 4], [11, 3]]),
}


def parts(outputs: Any) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def check(got: Any, want: Any, exact: Any = None, tolerance: float = NOISE) -> None:
    """As tangermeme in float32; changes as tangermeme's own in float64."""
    for one, other in zip(got, want, strict=True):
        assert type(one) is type(other)
        for mine, their in zip(parts(one), parts(other), strict=True):
            assert (mine.shape, mine.dtype) == (their.shape, their.dtype)
            assert (mine - their).abs().max() <= 1e-5 * their.abs().max() + 1e-6
    if exact is None:
        return
    for before, after, y0, y1 in zip(*map(parts, (*got, *exact)), strict=True):
        mine, true = (
            a - (b if a.ndim == b.ndim else b[:, None]) for b, a in ((before, after), (y0, y1))
        )
        rounding = 3e-7 * y0.abs().max()
        assert (mine - true).abs().max() <= tolerance * true.abs().max() + rounding


@pytest.mark.parametrize("method", EDITS)
@pytest.mark.parametrize("name", MAKERS)
def test_numbers(name: str, method: str, X: Tensor) -> None:
    seed = {"random_state": 5, "n": 4} if method == "ablate" else {}
    more = {"args": (torch.rand(3, 1),)} if name == "controlled" else {}
    model = net(name)
    call = functools.partial(getattr(ours, method), X=X, device="cpu", **seed, **more)
    names = list(inspect.signature(THEIRS[method]).parameters)[2:]
    given = dict(zip(names, EDITS[method], strict=False))
    got = call(model, **given)
    want = THEIRS[method](model, X, **given, **seed, **more, device="cpu")
    double = copy.deepcopy(model).double()
    exact = THEIRS[method](double, X, **given, **seed, **more, device="cpu")
    check(got, want, exact, EXACT if name != "attention" and name != "number" else NOISE)
    assert type(got).__name__ == type(want).__name__
    assert got._fields == want._fields


@pytest.mark.parametrize("left", [False, True])
def test_insertions_and_deletions(left: bool, X: Tensor) -> None:
    rows = [[0, 4, 1], [0, 4, 2], [2, 59, 3], [1, 0, 0], [0, 9, 3], [7, 2, 2]]
    for kind, edits in (("insertion_effect", rows), ("deletion_effect", [[0, 3], [0, 4], [2, 40]])):
        model = net("counts")
        given = torch.tensor(edits)
        want = THEIRS[kind](model, X, given, left=left, device="cpu")
        check(getattr(ours, kind)(model, X, given, left=left, device="cpu"), want)


@pytest.mark.parametrize("name", MAKERS)
def test_predictions(name: str, X: Tensor) -> None:
    args = (torch.rand(3, 1),) if name == "controlled" else None
    for func in (None, lambda y: (y if isinstance(y, Tensor) else y[0]) * 2):
        options: dict[str, Any] = {"func": func, "batch_size": 2, "device": "cpu"}
        got = ours.predict(net(name), X, args, **options)
        check([got], [predict(net(name), X, args, **options)])
    model = net(name).train()
    ours.predict(model, X, args, device="cpu")
    assert model.training
    model.eval()


def test_shuffles_are_theirs(X: Tensor) -> None:
    got = ours.shuffle(X, 5, -1, n=3, random_state=2)
    assert torch.equal(got, ersatz.shuffle(X, 5, -1, n=3, random_state=2))


def test_any_shuffle_and_any_function(X: Tensor) -> None:
    X = X[2:]
    options: dict[str, Any] = {"n": 3, "random_state": 1, "device": "cpu"}
    both = [
        method(net("basset"), X, 3, 40, shuffle_fn=ersatz.dinucleotide_shuffle, **options)
        for method in (ours.ablate, ablate.ablate)
    ]
    check(*both)
    both = [
        method(net("basset"), X, 3, 40, func=saliency.saliency, target=1, **options)
        for method in (ours.ablate, ablate.ablate)
    ]
    check(*both)


def test_motifs_of_each_sequence(X: Tensor) -> None:
    motif = X[[2, 0, 1], :, 20:33]
    for start in (None, 0, LENGTH - 13):
        both = [m(net("basset"), X, motif, start=start, device="cpu")
                for m in (ours.marginalize, marginalize.marginalize)]  # fmt: skip
        check(*both)


def test_their_predict_is_ours(X: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes through the engine; a func of outputs as well."""
    calls = []
    import nucleoscope.compat.tangermeme.deltas as deltas

    monkeypatch.setattr(
        deltas, "by_deltas", lambda *a, held=deltas.by_deltas, **k: calls.append(1) or held(*a, **k)
    )
    options: dict[str, Any] = {
        "additional_func_kwargs": {"func": lambda y: y[0].sum(2)}, "device": "cpu"
    }  # fmt: skip
    got = ours.substitution_effect(net("both"), X, ROWS, func=predict, **options)
    want = variant_effect.substitution_effect(net("both"), X, ROWS, func=predict, **options)
    check(got, want)
    assert calls


def test_nothing_changes(X: Tensor) -> None:
    same = torch.tensor([[0, 1, int(X[0, :, 1].argmax())]])
    got = ours.substitution_effect(net("both"), X, same, device="cpu")
    check(got, variant_effect.substitution_effect(net("both"), X, same, device="cpu"))


def test_half_precision_is_predicted_and_said(X: Tensor) -> None:
    with pytest.warns(NaiveFallback, match="half precision"):
        got = ours.marginalize(net("basset"), X, "GATA", dtype="bfloat16", device="cpu")
    check(got, marginalize.marginalize(net("basset"), X, "GATA", dtype="bfloat16", device="cpu"))


@pytest.mark.parametrize("name", THEIRS)
def test_signature(name: str) -> None:
    mine, theirs = (inspect.signature(each) for each in (getattr(ours, name), THEIRS[name]))
    assert list(mine.parameters) == list(theirs.parameters)
    for each, other in zip(mine.parameters.values(), theirs.parameters.values(), strict=True):
        assert each.kind == other.kind
        if other.default is inspect.Parameter.empty or not callable(other.default):
            held = each.default
            assert (list(held) if isinstance(held, tuple) else held) == other.default


@pytest.mark.parametrize(
    ("method", "given", "error", "says"),
    [
        ("substitution_effect", ([[0, 1, 1], [0, 1, 2]],), ValueError, "more than once"),
        ("substitution_effect", ([[9, 1, 1]],), IndexError, "index 9"),
        ("marginalize", ("GAXA",), ValueError, "alphabet"),
        ("marginalize", ("GATA", 57), ValueError, "leave"),
        ("marginalize", (torch.rand(1, 4, 5),), ValueError, "one-hot"),
        ("marginalize", (torch.zeros(2, 4, 5),), ValueError, "shape"),
        ("space", (["GATA", "C"], [1]), ValueError, "spacing"),
        ("space", (["GATA", "C"], [[-1]]), ValueError, "spacing"),
        ("ablate", (9, 9), ValueError, "no region"),
        ("deletion_effect", (np.array([[0, i] for i in range(LENGTH)]),), ValueError, "nothing"),
        ("insertion_effect", (np.array([[0, LENGTH, 1]]),), ValueError, "positions"),
    ],
)  # fmt: skip
def test_bad_input(
    method: str, given: tuple[Any, ...], error: type[Exception], says: str, X: Tensor
) -> None:
    with pytest.raises(error, match=says):
        getattr(ours, method)(net("basset"), X, *given, device="cpu")
    with pytest.raises(ValueError, match="no sequence"):
        ours.predict(net("basset"), X[:0])


@pytest.mark.parametrize("name", ["marginalize", "space"])
def test_motifs_in_another_order_than_the_models_own_are_refused(name: str, X: Tensor) -> None:
    model = copy.deepcopy(net("basset"))
    model.alphabet = list("AGCT")  # type: ignore[assignment]
    with pytest.raises(ValueError, match="the model's channels are AGCT"):
        getattr(ours, name)(model, X, *EDITS[name])
    getattr(ours, name)(model, X, *EDITS[name], alphabet=tuple("AGCT"))
