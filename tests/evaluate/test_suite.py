"""A suite in a file becomes a report that a browser shows; what is wrong with it is told with its place."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from nucleoscope.cli import main
from nucleoscope.evaluate import Data
from nucleoscope.evaluate.cards import cards
from nucleoscope.evaluate.cells import Cells
from nucleoscope.evaluate.explainers import ours
from nucleoscope.evaluate.others import of_shap
from nucleoscope.evaluate.results import Answer, Cell, Results
from nucleoscope.evaluate.splice_sites import splice_sites
from nucleoscope.evaluate.suite import found_suite, read_suite, shipped_suite
from nucleoscope.evaluate.summary import agreement_between
from nucleoscope.evaluate.telling import told
from nucleoscope.plot.report import report
from tests.evaluate.closed_forms import Additive, letters

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
MINE = """
import torch
from nucleoscope.evaluate import Data
from tests.evaluate.closed_forms import Additive, letters

def additive(count):
    model, X = Additive(23), letters(count, 23)
    return model, Data(X, exact=model.exact(X))

def exact(model, inputs, targets, times):
    return model.exact(inputs) * times

def breaks(model, inputs, targets):
    raise RuntimeError("</script> no <memory>")

def nothing():
    return 3
"""
SUITE = """
title = "a < b"
seeds = [0, 1]
[explainers]
exact = { call = "mine.py:exact", times = 1 }
twice = { call = "mine.py:exact", times = 2 }
broken = { call = "mine.py:breaks" }
random = {}
[models]
"one & two" = { call = "mine.py:additive", count = 5 }
[metrics]
ExactError = {}
ExactAgreement = {}
"quick deletion" = { metric = "Deletion", steps = 4, background = { kind = "uniform" } }
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path / "suite.toml"


def data_of(page: str) -> dict[str, Any]:
    (held,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(held)
    return found


def test_a_report(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = CliRunner().invoke(main, ["evaluate", str(suite), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "6 of 24 answers failed" in done.output
    page = (out / "report.html").read_text()
    assert page.count("</script>") == 2
    assert not re.search(r"(src|href)=|https?://(?!www.w3.org/2000/svg)", page)
    assert "a &lt; b" in page
    held = data_of(page)
    assert held["headline"] == "exact agreement"
    exact = held["means"]["one & two"]["exact error"]["exact"]
    assert (exact["value"], exact["rank"], exact["defined"]) == (0, 1, 5)
    assert held["means"]["one & two"]["exact error"]["twice"]["value"] == pytest.approx(1)
    assert held["failures"] == [
        ["broken", "one & two", "all", "failed", "RuntimeError: </script> no <memory>"]
    ]
    assert [c["panel"]["letters"] for c in held["cases"]][:1] != []
    assert (out / "results.csv").read_text().count("\n") == 1 + 3 * 3 * 2 * 5 + 3 * 2
    assert "faithfulness" in held["cards"]["one & two"]  # by itself
    first = (out / "results.csv").read_text()
    again = CliRunner().invoke(main, ["evaluate", str(suite), "-o", str(out), "--no-cards"])
    assert again.exit_code == 0
    assert data_of((out / "report.html").read_text())["cards"] == {}
    assert (out / "results.csv").read_text() == first  # nothing was done twice, not even timed
    other = suite.read_text().replace("times = 2", "times = 3")
    suite.write_text(other)
    refused = CliRunner().invoke(main, ["evaluate", str(suite), "-o", str(out)])
    assert refused.exit_code == 1
    assert "holds a run with other explainers" in refused.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", "'titel' means nothing"),
        ("[metrics]", "[models.x]\n[metrics]", r"\[models.x\]: what is it"),
        ("mine.py:exact", "mine.py", "a file beside the suite"),
        ("mine.py:exact", "mine.py:exakt", "exakt"),
        ("mine.py:additive\", count = 5", "mine.py:nothing\"", "must return a model and its evaluate.Data"),
        ("ExactError", "ExactErrors", "'ExactErrors' is no metric"),
        ('"Deletion", steps = 4', '"Deletion", stops = 4', "quick deletion.*stops"),
        ('"Deletion", steps = 4', '"Deletion", steps = 0', "steps=0"),
        ('kind = "uniform"', 'kind = "none"', "kind='none'"),
        ('"quick deletion" = { metric = "Deletion"', '"exact error" = { metric = "Deletion"', "is there already"),
        ("random = {}", "randon = {}", "'randon' is no explainer of ours"),
        ("random = {}", "random = 3", "a table is needed"),
        ("seeds = [0, 1]", "seeds = [0, 1", "is no TOML"),
        ("[metrics]\nExactError = {}", "[others]", "'others' means nothing"),
        ("[metrics]\n", '[replicates]\nones = ["one & two"]\n[metrics]\n', r"\[replicates\] ones.*two models"),
        ("[metrics]\n", '[replicates]\nn = ["one & two", "one & two"]\n[metrics]\n', "n = .*each once"),
        ("[metrics]\n", '[replicates]\nn = "one & two"\n[metrics]\n', r"suite.toml.*a list of models"),
        ("[metrics]\n", '[replicates]\nn = [["one & two"], 3]\n[metrics]\n', r"suite.toml.*a list of models"),
        ("[metrics]\n", '[replicates]\nn = 3\n[metrics]\n', r"suite.toml.*a list of models"),
        ("seeds = [0, 1]", "seeds = [0, 1]\nreplicates = 3", r"\[replicates\]: a table"),
        ('call = "mine.py:additive", count = 5', 'truth = "guess"', "truth='guess'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(
    suite: Path, old: str, new: str, message: str
) -> None:
    assert old in suite.read_text()
    suite.write_text(suite.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_suite(suite)


def test_parts_that_are_needed(suite: Path) -> None:
    suite.write_text("seeds = [0]\n")
    with pytest.raises(ValueError, match=r"\[explainers.NAME\] is needed"):
        read_suite(suite)
    with pytest.raises(ValueError, match=r"models, .* missing"):
        report({"explainers": []}, "", {})


def test_the_suite_that_comes_with_it() -> None:
    made = read_suite(shipped_suite())
    assert len(made.explainers) >= 8
    assert len(made.models) >= 6
    assert len(made.metrics) >= 12
    assert len(made.seeds) >= 2
    assert len(made.replicates["networks"]) >= 5


def test_a_suite_of_motifs_far_apart() -> None:
    """By N throughout: letters at random do as much as the sequence itself."""
    made = read_suite(shipped_suite("distal"))
    (data,) = made.data.values()
    assert data.length > 100_000
    assert all(
        not p.interacts or abs(p.first[0] - p.second[0]) >= 100_000 for p in data.pairs or ()
    )
    kinds = {each.background.kind for each in made.metrics.values() if hasattr(each, "background")}
    assert kinds == {"zeros"}


def test_explainers_of_shap_by_name(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class by its name, and what it measures from in any length."""
    text = suite.read_text()

    class Deep:
        def __init__(self, model: Any, background: torch.Tensor) -> None:
            self.weight, self.background = model.model.weight.detach(), background

        def shap_values(self, inputs: torch.Tensor, times: int = 1) -> Any:
            return ((inputs - self.background) * self.weight * times).numpy()[..., None]

    monkeypatch.setitem(sys.modules, "shap", types.SimpleNamespace(DeepExplainer=Deep))
    suite.write_text(
        text.replace(
            "random = {}", 'random = { shap = "DeepExplainer", background = "zeros", times = 2 }'
        )
    )
    made = read_suite(suite)
    (model, *_), (data, *_) = made.models.values(), made.data.values()
    found = made.explainers["random"](model, data.X, 0)
    assert found.against == "zeros"
    assert torch.allclose(found.positions, 2 * (data.X * model.weight).sum(1).double(), atol=1e-5)
    for old, new, message in (
        (
            "DeepExplainer",
            "KernelExplainer",
            "of shap there are GradientExplainer and DeepExplainer",
        ),
        ('"zeros"', '"letters"', "use 'uniform', 'zeros'"),
    ):
        suite.write_text(
            text.replace(
                "random = {}", 'random = { shap = "DeepExplainer", background = "zeros" }'
            ).replace(old, new)
        )
        with pytest.raises(ValueError, match=message):
            read_suite(suite)
    monkeypatch.setitem(sys.modules, "shap", None)
    suite.write_text(text.replace("random = {}", 'random = { shap = "DeepExplainer" }'))
    with pytest.raises(ValueError, match=r"pip install 'nucleoscope\[shap\]'"):
        read_suite(suite)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning"
)  # of its own making
def test_shap_itself_says_what_ours_does() -> None:
    """Of ReLU nets DeepExplainer has the rule of `deep_lift_shap`."""
    shap = pytest.importorskip("shap")
    net = torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 23, 1),
    ).eval()
    X = letters(4, 23).float()
    theirs = of_shap(shap.DeepExplainer, "zeros", check_additivity=False)(net, X, 0)
    mine = ours("deep_lift_shap", baselines="zeros")(net, X, 0)
    assert torch.allclose(theirs.positions, mine.positions, atol=1e-6)


def test_suites_that_come_with_it_say_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUCLEOSCOPE_DATA", str(tmp_path))
    for name in ("measured", "donors"):
        with pytest.raises(ValueError, match=r"there is no such file; it is"):
            read_suite(shipped_suite(name))
    done = CliRunner().invoke(main, ["evaluate", "absent.toml", "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert (
        "absent.toml: no such file, and no suite of ours (default, distal, measured, donors)"
        in done.output
    )


def test_names_of_shipped_suites_win(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUCLEOSCOPE_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "measured").mkdir()
    done = CliRunner().invoke(main, ["evaluate", "measured", "-o", "measured"])
    assert done.exit_code == 1
    assert "there is no such file; it is" in done.output  # the suite's complaint
    suite.rename(tmp_path / "default")
    assert found_suite("default") == shipped_suite()
    assert read_suite(found_suite("./default")).title == "a < b"
    with pytest.raises(ValueError, match="'other' is no suite of ours"):
        shipped_suite("other")


def test_a_card_or_why_there_is_none() -> None:
    X = letters(4, 23).float()
    made = cards(
        {"net": Additive(23).float(), "none": lambda inputs: inputs},
        dict.fromkeys(("net", "none"), Data(X)),
    )
    assert "integrated_gradients" in made["net"].splitlines()[0]
    assert made["none"].startswith("There is no card: ")


def test_splice_sites_stand_behind_a_and_g() -> None:
    model, data = splice_sites(5, 300)
    assert data.X.shape == (5, 4, 300)
    assert data.planted is not None
    assert data.X[:, 0, 148].sum() == data.X[:, 2, 149].sum() == 5
    assert data.planted.sum(1).tolist() == [2] * 5
    with torch.no_grad():
        said = model(data.X)[:, 1]
        assert (said.argmax(1) == 150).all()
    for count, length in ((1, 300), (5, 100), (500, 5000)):
        with pytest.raises(ValueError, match="count="):
            splice_sites(count, length)


def made_up() -> tuple[Results, dict[str, Any]]:
    """Results without a run: two explainers, two metrics, one model with long sequences."""
    values = np.array([0.1, 0.2, np.nan, 0.9, 0.3, 0.4])
    X = letters(len(values), 900).float()
    cells = [Cell(name, "net", seed) for name in ("one", "other") for seed in (0, 1)]
    answers = tuple(
        Answer(
            cell,
            metric,
            "truth",
            True,
            values * len(cell.explainer) * (1 + cell.seed),
            "ok",
            "",
            0.5,
            0.1,
            1e6,
        )
        for cell in cells
        for metric in ("exact agreement", "other")
    )
    row = torch.randn(len(X), 900, generator=torch.Generator().manual_seed(0)).numpy()
    return Results(answers, {}, {}, {("one", "net"): row, ("other", "net"): row}), {"net": Data(X)}


def test_long_sequences_are_shown_around_their_strongest_score() -> None:
    results, data = made_up()
    cases = told(results, data)["cases"]
    assert len(cases) == 4
    assert "best: sequence 3" in cases[0]["panel"]["name"]
    assert "worst: sequence 0" in cases[1]["panel"]["name"]
    assert all(len(c["panel"]["letters"]) == 400 for c in cases)


def test_models_that_are_one_but_for_their_seeds() -> None:
    """The ranking of two explainers that agrees between two models, and is turned round on a third."""

    def row(explainer: str, model: str, values: list[float]) -> Answer:
        numbers = np.repeat(np.array(values, float), 3)
        return Answer(Cell(explainer, model, 0), "exact error", "truth", False, numbers)

    results = Results((
        row("one", "a", [1, 2]), row("two", "a", [3, 4]), row("none", "a", [np.nan] * 2),
        row("one", "b", [1, 2, 3]), row("two", "b", [3, 4, 5]), row("none", "b", [0, 0, 0]),
        row("one", "c", [9, 9]), row("two", "c", [0, 1]), row("none", "c", [0, 0]),
    ))  # fmt: skip
    for models, tau in (("ab", 1), ("ac", -1), ("abc", -1 / 3)):
        (found,) = agreement_between(results, models, "nets")
        assert (found.model, found.metric, found.seeds) == ("nets", "exact error", len(models))
        assert found.explainers == 2
        assert (found.tau, found.low, found.high) == pytest.approx((tau,) * 3)
    for models in ("a", "ad", "aa"):
        with pytest.raises(ValueError, match="two or more of a, b, c"):
            agreement_between(results, models, "nets")
    held = told(results, {}, replicates={"nets": ("a", "b")})
    assert held["agreement"] == [("between 2 nets", "exact error", 1.0, 1.0, 1.0)]


def test_cells_in_memory_and_on_disk_are_the_same(tmp_path: Path) -> None:
    from nucleoscope.evaluate.cells import Found

    results, _ = made_up()
    cell = results.answers[0].cell
    found = Found(cell, results.maps["one", "net"], {"exact agreement": results.answers[0]})
    for cells in (Cells(None, {}), Cells(tmp_path, {"seeds": [1]})):
        assert not cells.has(cell)
        cells.keep(found)
        assert cells.has(cell)
        read = cells.read(cell)
        assert next(read.answers["exact agreement"].rows()) == next(results.answers[0].rows())
        assert read.positions is not None
        assert np.array_equal(read.positions, results.maps["one", "net"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_it(tmp_path: Path) -> None:
    assert BROWSER is not None
    results, data = made_up()
    made = report(told(results, data, {"net": "all is well <b>"}), "made up", {})
    (tmp_path / "r.html").write_text(made)
    common = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,2400",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    where = (tmp_path / "r.html").as_uri()
    done = subprocess.run(
        [*common, "--dump-dom", where], capture_output=True, text=True, timeout=120
    )
    drawn = dict(re.findall(r'id="(\w+)" data-drawn="([\d ]+)"', done.stdout.replace("\n", " ")))
    for name, value in re.findall(r'<svg id="(\w+)"[^>]*data-drawn="(\d+)"', done.stdout):
        drawn[name] = value
    assert drawn["overview"] == "2 3"
    assert drawn["spread"] == "10"  # two explainers, six sequences, one of them undefined
    assert drawn["speed"] == "2"
    assert drawn["cases"] == "4"
    assert drawn["agreement"] == "2 5"
    assert "all is well &lt;b&gt;" in done.stdout
    assert done.stdout.count('data-drawn="letters') + done.stdout.count('data-drawn="track') == 4
    picture = tmp_path / "r.png"
    subprocess.run([*common, f"--screenshot={picture}", where], capture_output=True, timeout=120)
    pixels = pytest.importorskip("matplotlib.image", reason="matplotlib reads PNG").imread(picture)
    assert pixels[..., :3].std() > 0.05
