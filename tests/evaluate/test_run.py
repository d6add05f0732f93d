"""A benchmark's table: every cell in it, failures with their reasons, and nothing twice or silently dropped."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nucleoscope import evaluate
from nucleoscope.evaluate import Background, Data, Results, metrics
from nucleoscope.evaluate.content import content
from nucleoscope.evaluate.explainers import OURS, RANDOM, Explainer, ours
from nucleoscope.evaluate.quality import Quality
from nucleoscope.evaluate.summary import agreement, means
from nucleoscope.evaluate.telling import told
from tests.evaluate.closed_forms import Additive, letters

N, L = 6, 23
X = letters(N, L).float()
MODEL = Additive(L).float().eval()
UNIFORM = Background("uniform")
DATA = Data(X, exact=MODEL.exact(X).double())
METRICS = [
    metrics.ExactError(),
    metrics.Completeness(background=UNIFORM),
    metrics.Deletion(background=UNIFORM),
]


def exact(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    assert targets.tolist() == [0] * len(inputs)
    scores: Tensor = model.exact(inputs)
    return scores


def test_progress_counts_cells_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    asked: Any = ({"exact": exact, "raises": raises}, {"one": MODEL}, DATA, METRICS)
    evaluate.run(*asked)
    assert capsys.readouterr() == ("", "")
    evaluate.run(*asked, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "cells" in err


def raises(*_: Any) -> Tensor:
    raise RuntimeError("no memory\nleft")


def of_wrong_shape(_: Any, inputs: Tensor, __: Any) -> Tensor:
    return inputs[:, :, :-1]


def of_nan(_: Any, inputs: Tensor, __: Any) -> Tensor:
    return inputs / 0 * 0


def changes_the_model(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    scores = exact(model, inputs, targets).clone()
    model.weight.data.zero_()
    return scores


def changes_the_mode(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    model.train()
    return exact(model, inputs, targets)


def leaves_a_hook(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    model.register_forward_hook(lambda *_: None)
    return exact(model, inputs, targets)


def changes_its_input(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    scores = exact(model, inputs, targets)
    inputs.zero_()
    return scores


class Unsteady:
    calls = 0

    def __call__(self, model: Any, inputs: Tensor, targets: Any) -> Tensor:
        self.calls += 1
        return exact(model, inputs, targets) * self.calls


FAILS: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (raises, "RuntimeError: no memory left"),
    "shape": (of_wrong_shape, "returned the shape (6, 4, 22)"),
    "nan": (of_nan, "NaN or infinite scores for 6 of 6 sequences"),
    "words": (lambda *_: "scores", "returned a str"),
    "model": (changes_the_model, "it changed the model's weights"),
    "mode": (changes_the_mode, "it changed the model's mode"),
    "hook": (leaves_a_hook, "it changed its hooks"),
    "input": (changes_its_input, "it changed the sequences"),
    "unsteady": (Unsteady(), "not deterministic"),
}


def table(results: Results) -> dict[tuple[str, str, int], list[float]]:
    return {(a.cell.explainer, a.metric, a.cell.seed): a.values.tolist() for a in results.answers}


def test_the_exact_explanation_wins() -> None:
    found = evaluate.run(
        {"exact": exact, "random": "random"}, {"additive": MODEL}, DATA, METRICS, seeds=(0, 1)
    )
    assert len(found.answers) == 2 * 3 * 2
    assert len(found) == 2 * 3 * 2 * N == len(list(found.rows()))
    held = {(m.explainer, m.metric): m for m in means(found)}
    for metric in METRICS:
        best, other = held["exact", metric.name], held["random", metric.name]
        assert (best.rank, other.rank, best.defined) == (1, 2, N)
        assert best.low <= best.value <= best.high
    assert held["exact", "exact error"].value == pytest.approx(0, abs=1e-6)
    assert all(a.explain_seconds > 0 and a.metric_seconds > 0 for a in found.answers)
    assert all(each.tau == 1 and each.seeds == 2 for each in agreement(found))
    assert found.maps["exact", "additive"].shape == (N, L)
    again = evaluate.run(
        {"exact": exact, "random": "random"}, {"additive": MODEL}, DATA, METRICS, seeds=(0, 1)
    )
    assert table(again) == table(found)


def test_our_own_methods_by_name() -> None:
    names = [
        "mutagenesis", "saliency", "input_x_gradient", "smooth_grad", "integrated_gradients", "expected_gradients",
        "deep_lift_shap",
    ]  # fmt: skip
    found = evaluate.run({n: n for n in names}, {"additive": MODEL}, DATA, [metrics.ExactError()])
    assert [(a.status, a.reason) for a in found.answers] == [("ok", "")] * len(names)
    for each in found.answers:
        if each.cell.explainer in ("mutagenesis", "saliency", "integrated_gradients"):
            assert each.values.max() < 1e-5


def test_explainers_of_others() -> None:
    captum = pytest.importorskip("captum.attr")
    tangermeme = pytest.importorskip("tangermeme.deep_lift_shap")
    each_letter = torch.eye(4)[None, :, :, None].expand(N, -1, -1, L)
    given = {
        "IG": evaluate.of_captum(captum.IntegratedGradients, baselines="uniform", n_steps=8),
        "DeepLIFT": evaluate.of_tangermeme(
            tangermeme.deep_lift_shap, references=each_letter, hypothetical=True
        ),
    }
    found = evaluate.run(given, {"additive": MODEL}, DATA, [metrics.ExactError()])
    for each in found.answers:
        assert each.status == "ok", each.reason
        assert each.values.max() < 1e-5


class FakeShap:
    """What shap's explainers look like from outside."""

    def __init__(self, model: nn.Module, background: Tensor) -> None:
        self.weight, self.background = model.model.weight.detach(), background

    def shap_values(self, inputs: Tensor) -> Any:
        return ((inputs - self.background.mean(0)) * self.weight).numpy()[..., None]


def test_an_explainer_of_shap() -> None:
    given = {"shap": evaluate.of_shap(FakeShap, torch.full((1, 4, L), 0.25))}
    found = evaluate.run(given, {"additive": MODEL}, DATA, [metrics.ExactError()])
    assert found.answers[0].values.max() < 1e-6


def test_failures_are_rows() -> None:
    given = {"exact": exact, **{name: call for name, (call, _) in FAILS.items()}}
    found = evaluate.run(given, {"additive": Additive(L).float().eval()}, DATA, METRICS)
    assert len(found.answers) == len(given) * len(METRICS)
    for each in found.answers:
        if each.cell.explainer == "exact":
            assert each.status == "ok"
            continue
        assert (each.status, len(each.values)) == ("failed", 0)
        assert FAILS[each.cell.explainer][1] in each.reason
        assert "\n" not in each.reason
    ranks = {m.explainer: m for m in means(found) if m.metric == "deletion"}
    assert ranks["exact"].rank == 1
    assert math.isnan(ranks["nan"].rank)
    assert "NaN" in ranks["nan"].reason


def test_what_an_explainer_broke_is_mended() -> None:
    model = Additive(L).float().eval()
    found = evaluate.run(
        {"breaks": changes_the_model, "mode": changes_the_mode, "exact": exact}, {"m": model}, DATA, METRICS[:1]
    )  # fmt: skip
    assert torch.equal(model.weight, MODEL.weight)
    assert not model.training
    assert found.answers[2].values.max() < 1e-6


def test_a_metric_that_fails_is_a_row() -> None:
    class Half(metrics.ExactError):
        def __call__(self, case: Any) -> Tensor:
            return super().__call__(case)[: N // 2]

    found = evaluate.run({"exact": exact}, {"m": MODEL}, DATA, {"half": Half(), "all": METRICS[0]})
    half, whole = found.answers
    assert (half.status, whole.status) == ("failed", "ok")
    assert "one float64 for each sequence" in half.reason


def test_what_is_undefined_is_told() -> None:
    found = evaluate.run({"exact": exact}, {"m": MODEL}, Data(X), [metrics.AUROC()])
    assert {row[8] for row in found.rows()} == {"undefined"}
    (mean,) = means(found)
    assert (mean.defined, math.isnan(mean.value), math.isnan(mean.rank)) == (0, True, True)


class Guess(nn.Module):
    """Says the opposite of what is so."""

    def forward(self, inputs: Tensor) -> Tensor:
        return -MODEL(inputs)


def test_a_model_that_guesses_is_not_ranked() -> None:
    many = letters(60, L).float()
    value = MODEL(many)[:, 0].detach()
    for labels in (value, value > value.median()):
        data = Data(many, labels=labels)
        found = evaluate.run(
            {"random": "random"},
            {"good": MODEL, "bad": Guess().eval()},
            data,
            [metrics.Sparseness()],
        )
        good, bad = found.answers
        assert (good.status, bad.status) == ("ok", "refused")
        assert "no better than chance" in bad.reason
        assert found.quality["good"].value == pytest.approx(1)
        assert found.quality["bad"].high < found.quality["bad"].chance
        assert math.isnan(means(found)[1].rank)


def test_few_labels_prove_nothing() -> None:
    """Two of each class in the right order: one order of six is."""
    labels = MODEL(X)[:, 0].detach()
    for count, two, passed in (
        (4, True, False),
        (4, False, True),
        (3, False, False),
        (6, True, True),
    ):
        few = Data(X[:count], labels=labels[:count])
        if two:
            few = replace(few, labels=few.labels > few.labels.median())  # type: ignore[operator, union-attr]
        found = evaluate.run({"random": "random"}, {"m": MODEL}, few, [metrics.Sparseness()])
        (answer,) = found.answers
        assert answer.status == ("ok" if passed else "refused")
        assert found.quality["m"].value == pytest.approx(1)
        if not passed:
            assert "too few sequences to tell it from chance" in answer.reason
            assert "at 17% of all orders" in answer.reason


def test_a_report_and_its_means_agree() -> None:
    """On seeds that failed, and on values that are undefined with one seed."""

    class Odd(metrics.Sparseness):
        def __call__(self, case: Any) -> Tensor:
            made = super().__call__(case).clone()
            made[case.seed % len(made)] = math.nan
            return made

    def fails_once(model: Any, inputs: Tensor, targets: Any, seed: int) -> Tensor:
        if seed == 1:
            raise RuntimeError("no luck")
        return exact(model, inputs, targets)

    given = {"once": Explainer(fails_once, seeded="seed"), "exact": exact}
    found = evaluate.run(given, {"m": MODEL}, DATA, {"odd": Odd()}, seeds=(0, 1))
    page = told(found, {"m": DATA})
    held = page["values"]["m"]["odd"]
    assert list(held) == ["exact"]
    assert not any(math.isnan(v) for v in held["exact"])
    shown = page["means"]["m"]["odd"]["exact"]["value"]
    assert shown == pytest.approx(sum(held["exact"]) / N, rel=1e-3)
    assert math.isnan(page["means"]["m"]["odd"]["once"]["value"])
    assert [row[:2] for row in page["failures"]] == [("once", "m")]


def test_a_stated_quality_is_one_models() -> None:
    """Shared, it would let a model pass that guesses."""
    stated = replace(DATA, quality=Quality("AUROC", 0.9, 0.8, 0.95, 0.5))
    models = {"good": MODEL, "bad": Guess().eval()}
    for data in (stated, dict.fromkeys(models, stated)):
        with pytest.raises(ValueError, match="stated, of one model, and 'good' and 'bad' share it"):
            evaluate.run({"random": "random"}, models, data, METRICS)
    labels = MODEL(X)[:, 0].detach()
    data = {
        "stated": replace(stated, labels=labels),
        "told": replace(DATA, labels=labels),
        "none": DATA,
    }
    found = evaluate.run({"random": "random"}, dict.fromkeys(data, MODEL), data, METRICS[:1])
    said = {each["name"]: each["quality"] for each in told(found, data)["about"]}
    assert said["stated"] == "AUROC 0.900 (95% interval 0.800 to 0.950); stated"
    assert said["told"].endswith("; measured on its labels")
    assert said["none"] == "no labels"


def test_a_model_that_edits_its_input_is_told() -> None:
    class Edits(Additive):
        def forward(self, inputs: Tensor) -> Tensor:
            said = super().forward(inputs)
            inputs.relu_().sub_(1)
            return said

    own, before = Data(X.clone(), exact=DATA.exact), X.clone()
    asking = [metrics.MonotonicityCorrelation(), metrics.ABPC(), metrics.Monotonicity()]
    found = evaluate.run(
        {"random": "random"}, {"edits": Edits(L).float()}, own, [*METRICS, *asking]
    )
    said = {a.metric: (a.status, a.reason) for a in found.answers}
    assert said["exact error"][0] == "ok"  # it does not ask the model
    assert len(said) == 6
    for name, (status, reason) in said.items():
        if name != "exact error":
            assert status == "failed"
            assert "edits its input in place" in reason
    assert torch.equal(own.X, before)


def test_sequences_of_other_modes_are_asked_about_alike() -> None:
    """With a gradient, or made in inference mode."""
    with torch.inference_mode():
        inferred = X.clone()
    asking = [*METRICS, metrics.SensitivityN(at=(3,), subsets=4), metrics.ABPC()]
    explain = {"one": lambda model, inputs, _: model.exact(inputs).detach()}
    expected, *others = (
        evaluate.run(explain, {"m": MODEL}, Data(each, exact=DATA.exact), asking)
        for each in (X, X.clone().requires_grad_(), inferred)
    )
    for other in others:
        assert [a.reason for a in other.answers] == [""] * len(asking)
        for a, b in zip(expected.answers, other.answers, strict=True):
            assert a.values.tolist() == b.values.tolist()


def test_a_run_that_stopped_goes_on(tmp_path: Path) -> None:
    told = tmp_path.with_suffix(".calls")  # what a function closes over, calls must not change

    def calls() -> int:
        return len(told.read_text())

    def counted(model: Any, inputs: Tensor, targets: Any) -> Tensor:
        with told.open("a") as file:
            file.write(".")
        if calls() == 3:
            raise KeyboardInterrupt
        return exact(model, inputs, targets)

    def go() -> Results:
        given = {"one": counted, "two": counted, "random": "random"}
        return evaluate.run(given, {"m": MODEL}, DATA, METRICS, out=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(list(tmp_path.glob("cells/*.npz"))) == 1
    found = go()
    assert calls() == 5  # one was done, the other is asked twice
    assert {a.status for a in found.answers} == {"ok"}
    assert table(go()) == table(found)
    assert calls() == 5
    assert not list(tmp_path.rglob("*.partial"))
    next(tmp_path.glob("cells/*.npz")).write_bytes(b"PK torn")
    assert table(go()) == table(found)
    with pytest.raises(ValueError, match="holds a run with other metrics"):
        evaluate.run(
            {"one": counted, "two": counted, "random": "random"},
            {"m": MODEL},
            DATA,
            METRICS[:1],
            out=tmp_path,
        )


@pytest.mark.slow
def test_workers_find_the_same() -> None:
    pytest.importorskip("cloudpickle")
    given = {"exact": exact, "random": "random", "raises": raises}
    one = evaluate.run(given, {"m": MODEL}, DATA, METRICS, seeds=(0, 1))
    two = evaluate.run(given, {"m": MODEL}, DATA, METRICS, seeds=(0, 1), workers=2)
    assert table(one) == table(two)


def test_files_hold_the_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = evaluate.run({"exact": exact, "raises": raises}, {"m": MODEL}, DATA, METRICS)
    found.write_csv(tmp_path / "table.csv")
    found.write_parquet(tmp_path / "table.parquet")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + len(found) == 1 + 3 * N + 3
    held = parquet.read_table(tmp_path / "table.parquet")
    assert held.num_rows == len(found)
    assert held.column("value").to_pylist()[:N] == found.answers[0].values.tolist()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"explainers": {}}, TypeError, "explainers: a mapping"),
        ({"explainers": {"a": 3}}, TypeError, "explainers\\['a'\\]: a name of ours"),
        ({"explainers": {"a": "ig"}}, ValueError, "'ig' is no explainer of ours"),
        ({"explainers": [("a", "random"), ("a", "saliency")]}, ValueError, "'a' more than once"),
        ({"models": {"m": 3}}, TypeError, "models\\['m'\\]"),
        ({"models": {"m": nn.Sequential(nn.Dropout())}}, ValueError, "training mode"),
        ({"models": [("m", MODEL), ("m", MODEL)]}, ValueError, "'m' more than once"),
        ({"data": {"other": DATA}}, ValueError, "none for the model 'm'"),
        ({"data": {"m": DATA, "other": DATA}}, ValueError, "'other' is no model"),
        ({"data": {"m": X}}, TypeError, "use evaluate.Data"),
        ({"metrics": []}, TypeError, "metrics: a mapping"),
        ({"metrics": [METRICS[0], METRICS[0]]}, ValueError, "'exact error' more than once"),
        ({"metrics": {"a": "AUROC"}}, TypeError, "'a' is no metric"),
        ({"seeds": ()}, ValueError, "seeds=\\(\\)"),
        ({"seeds": (1, 1)}, ValueError, "each once"),
        ({"seeds": (-1,)}, ValueError, "0 or more"),
        ({"workers": -1}, ValueError, "workers=-1"),
    ],
)  # fmt: skip
def test_bad_input(given: dict[str, Any], error: type[Exception], message: str) -> None:
    asked = {
        "explainers": {"r": "random"},
        "models": {"m": MODEL},
        "data": DATA,
        "metrics": METRICS,
    }
    with pytest.raises(error, match=message):
        evaluate.run(**(asked | given))


def by_autograd(model: Any, inputs: Tensor, _: Any) -> Tensor:
    """Reads what has been gathered on the sequences themselves, and leaves its graph on."""
    inputs.requires_grad_()
    model(inputs).sum().backward(inputs=[inputs])
    assert inputs.grad is not None
    return inputs.grad * inputs


def test_gradients_left_on_the_sequences_are_not_added_up() -> None:
    found = evaluate.run(
        {"autograd": by_autograd}, {"m": MODEL}, DATA, [metrics.MaxSensitivity("shift")]
    )
    assert [(a.status, a.reason) for a in found.answers] == [("ok", "")]
    assert not X.requires_grad


def test_a_part_in_training_mode_is_refused() -> None:
    model = nn.Sequential(Additive(L).float(), nn.Dropout())
    model.eval()[1].train()
    with pytest.raises(ValueError, match="part '1' of models"):
        evaluate.run({"random": "random"}, {"m": model}, DATA, METRICS)


def leaves_much(model: Any, inputs: Tensor, targets: Any) -> Tensor:
    """Everything that an explainer might leave behind."""
    scores = exact(model, inputs, targets).clone()
    model.register_full_backward_pre_hook(lambda *_: None)
    model.register_forward_hook(lambda *_: None)
    model.add_module("more", nn.ReLU())
    model.forward = lambda X: X
    model.weight.requires_grad_(False)
    model.weight.grad.zero_()
    model.weight.data = torch.zeros(3)
    return scores


def test_all_that_an_explainer_leaves_is_taken_away() -> None:
    model = Additive(L).float().eval()
    weight, grad = model.weight, torch.ones_like(model.weight)
    model.weight.grad = grad
    known = set(vars(model))
    found = evaluate.run({"leaves": leaves_much}, {"m": model}, DATA, METRICS[:1])
    assert "its hooks" in found.answers[0].reason
    assert not model._backward_pre_hooks
    assert not model._forward_hooks
    assert (set(vars(model)), list(model.children())) == (known, [])
    assert model.weight is weight
    assert torch.equal(weight, MODEL.weight)
    assert weight.requires_grad
    assert weight.grad is grad
    assert grad.eq(1).all()


def test_a_backward_pre_hook_is_told() -> None:
    def leaves_one(model: Any, inputs: Tensor, targets: Any) -> Tensor:
        model.register_full_backward_pre_hook(lambda *_: None)
        return exact(model, inputs, targets)

    model = Additive(L).float().eval()
    found = evaluate.run({"leaves": leaves_one}, {"m": model}, DATA, METRICS[:1])
    assert found.answers[0].reason.endswith("it changed its hooks")


def closing(scale: float, calls: list[int]) -> Callable[..., Tensor]:
    def explain(model: Any, inputs: Tensor, targets: Any) -> Tensor:
        calls.append(1)
        return exact(model, inputs, targets) * scale

    return explain


def test_explainers_are_known_by_content() -> None:
    """Same names, other things: each is told from the first; and the first, made again, is the first."""
    zeros, calls = torch.zeros(2, 4, L), [0]
    first = Explainer(closing(2.0, calls), {"baselines": zeros})
    others = [
        replace(first, hypothetical=True), replace(first, against="zeros"), replace(first, seeded="seed"),
        replace(first, options={"baselines": zeros + 1}), replace(first, options={"baselines": zeros[:1]}),
        replace(first, call=closing(3.0, calls)), replace(first, call=lambda *_: zeros),
        replace(first, call=closing(2.0, [1, 2])),
    ]  # fmt: skip
    assert len({str(each) for each in (first, *others)}) == 9
    assert str(Explainer(closing(2.0, calls), {"baselines": zeros.clone()})) == str(first)
    assert "\n" not in str(first)
    assert "baselines=Tensor(2, 4, 23)" in str(first)
    assert content({"b": [1, {2, "x"}], "a": Unsteady()}) == content(
        {"a": Unsteady(), "b": [1, {"x", 2}]}
    )


def test_a_run_with_another_explainer_of_the_same_name_is_refused(tmp_path: Path) -> None:
    def go(scale: float) -> Results:
        given = {"mine": closing(scale, [])}
        return evaluate.run(given, {"m": MODEL}, DATA, METRICS[:1], out=tmp_path)

    assert table(go(1.0)) == table(go(1.0))
    with pytest.raises(ValueError, match="holds a run with other explainers"):
        go(2.0)


def test_an_explainer_has_the_same_digest_in_another_process() -> None:
    code = "from nucleoscope.evaluate.explainers import *; print(*map(ours, [*OURS, RANDOM]), sep=chr(10))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split("\n")[:-1] == [str(ours(name)) for name in [*OURS, RANDOM]]
