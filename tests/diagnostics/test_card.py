"""The card: what it asks, its verdict, JSON and page, the command, bad input."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import nucleoscope
from benchmarks.constructed import Attending, Head, Pooled, centred, letters, regauged
from nucleoscope import Attribution, Card, Check
from nucleoscope.cli import main
from nucleoscope.diagnostics import Finding
from nucleoscope.diagnostics.card import _scores, _signed
from nucleoscope.diagnostics.strongest import strongest

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def made() -> Card:
    torch.manual_seed(0)
    model, X = regauged(centred(Pooled(8)), 3.0).eval(), letters(12)
    raw = nucleoscope.saliency(model, X, center="none", hypothetical=True)
    labels = model(X).detach()[:, 0].double() + 1
    return nucleoscope.card(model, X, raw, labels=labels, transparent=Head(0.1, nn.ReLU()).eval())


def test_it_asks_all_questions_and_says_what_tells_against(made: Card) -> None:
    asked = [each.question for each in made.findings]
    assert asked == [
        "faithfulness", "kernel scaling and gauge", "vanishing and saturated gradients", "redundancy",
        "attention conditioning", "scaling and precision", "transparent or not",
    ]  # fmt: skip
    assert "kernel scaling and gauge" in made.fires
    assert "tell against reading" in made.verdict
    assert "center the scores" in repr(made)
    assert made.facts["asked_about"] == 12
    assert made.facts["method"] == "saliency"


def test_progress_counts_questions_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    model, X = centred(Pooled(8)).eval(), letters(2)
    scores = nucleoscope.saliency(model, X)
    silent = nucleoscope.card(model, X, scores)
    assert capsys.readouterr() == ("", "")
    shown = nucleoscope.card(model, X, scores, progress=True)
    out, err = capsys.readouterr()
    assert (out, shown.to_json()) == ("", silent.to_json())
    assert "6/6" in err
    assert "questions" in err


def test_json_holds_values_and_thresholds(made: Card, tmp_path: Path) -> None:
    told = json.loads(made.save(tmp_path / "card.json").read_text())
    assert told["verdict"] == made.verdict
    first = told["findings"][1]
    assert first["values"]["off_simplex"] > first["thresholds"]["off_simplex"]
    assert len(told["findings"][3]["values"]["regions"]) == 12
    with pytest.raises(ValueError, match=r"\.json or \.html"):
        made.save(tmp_path / "card.pdf")


def test_a_map_of_nothing_is_not_cleared() -> None:
    torch.manual_seed(0)
    model, X = centred(Pooled(8)).eval(), letters(3)
    true = nucleoscope.saturation_mutagenesis(model, X, hypothetical=True)
    assert "faithfulness" not in nucleoscope.card(model, X, true).fires
    turned = dataclasses.replace(true, scores=-true.scores, checks=())
    card = nucleoscope.card(model, X, turned)
    assert card.fires == ("faithfulness",)
    assert "tell against reading" in card.verdict
    assert json.loads(card.to_json())["findings"][0]["fires"]
    assert 'class="fires"><h2>faithfulness' in card.to_html()


def test_sizes_alone_are_compared_as_sizes_and_noise_of_them_fires() -> None:
    torch.manual_seed(0)
    model, X = centred(Pooled(8)).eval(), letters(3)
    true = nucleoscope.saturation_mutagenesis(model, X, hypothetical=True)
    sizes = dataclasses.replace(true, scores=true.scores.abs(), checks=())
    asked = nucleoscope.card(model, X, sizes).findings[0]
    assert (asked.fires, asked.values["signed"]) == (False, False)
    assert asked.values["single"]["r"] == pytest.approx(1, abs=1e-3)
    assert "none is below 0, so their sign is not read" in asked.sentence
    for wrong in (torch.rand_like(true.scores), torch.zeros_like(true.scores)):
        made = dataclasses.replace(true, scores=wrong, checks=())
        assert nucleoscope.card(model, X, made).findings[0].fires


@pytest.mark.slow
def test_attention_is_ranked_by_size_and_says_so() -> None:
    torch.manual_seed(0)
    model, X = Attending(16).eval(), letters(2)
    rolled = nucleoscope.attention_rollout(model, X, rows=torch.ones(1, 15), per_base=True)
    asked = nucleoscope.card(model, X, rolled).findings[0]
    assert asked.values["signed"] is False
    assert "their sign is not read" in asked.sentence


def test_which_scores_have_a_sign_and_which_are_of_bases() -> None:
    model, X = Attending(16).eval(), letters(1)
    assert not _signed(nucleoscope.saliency(model, X, magnitude=True))
    assert _signed(nucleoscope.saliency(model, X))
    with pytest.raises(ValueError, match="per_base=True"):
        _scores(nucleoscope.attention_rollout(model, X, controls=0), X, "")
    found = nucleoscope.saliency(model, X)
    for scores, signed in (
        (found.scores.abs(), False),
        (found.scores * 0, True),
        (-found.scores.abs(), True),
    ):
        assert _signed(dataclasses.replace(found, scores=scores)) is signed
    every = nucleoscope.attention_rollout(model, X, per_base=True, controls=0)
    assert not _signed(every)
    with pytest.raises(ValueError, match="15 rows; one a card"):
        _scores(every, X, "")


def test_a_model_in_float64_is_asked_in_it() -> None:
    model, X = Pooled(3).double().eval(), letters(1).double()
    scores = nucleoscope.saliency(model, X, precision="fp64")
    assert len(nucleoscope.card(model, X, scores).findings) == 6


def test_sequences_without_a_known_letter_are_refused() -> None:
    model, X = Pooled(3).eval(), letters(2)
    scores = nucleoscope.saliency(model, X)
    with pytest.raises(ValueError, match="no known letter"):
        nucleoscope.card(model, X * 0, scores)


def test_nothing_found_is_no_proof() -> None:
    quiet = Card((Finding("a", False, "fine"), Finding("b", False, "none", applies=False)), ())
    assert quiet.fires == ()
    assert "in 1 questions" in quiet.verdict
    assert "does not prove" in quiet.verdict
    failed = dataclasses.replace(quiet, checks=(Check("completeness", False, "off"),))
    assert failed.fires == ("check: completeness",)


def test_the_page_is_text_and_loads_nothing(made: Card) -> None:
    odd = Finding("<b>", True, "a < b & c", {"x": float("nan"), "yes": True}, {"x": 1.0})
    page = Card((odd, *made.findings), (), {"model": "<script>"}).to_html()
    assert "<b>" not in page
    assert "a &lt; b &amp; c" in page
    assert "&lt;script&gt;" in page
    assert "not defined" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=", page)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_it(made: Card, tmp_path: Path) -> None:
    assert BROWSER is not None
    path, picture = made.save(tmp_path / "card.html"), tmp_path / "card.png"
    common = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=900,1200",
        f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", path.as_uri(),
    ]  # fmt: skip
    subprocess.run(common, capture_output=True, timeout=120, check=True)
    pixels = pytest.importorskip("matplotlib.image", reason="matplotlib reads PNG").imread(picture)
    assert pixels[..., :3].std() > 0.03


def test_stretches_that_stand_out_lie_apart() -> None:
    scores = torch.zeros(60).double()
    scores[[5, 30, 33]] = torch.tensor([1.0, 3.0, 2.0]).double()
    found = strongest(scores, 100)
    assert len(found) >= 3
    assert found[0][0] <= 130 < found[0][1]
    assert all(a[1] <= b[0] for a, b in zip(sorted(found), sorted(found)[1:], strict=False))
    assert strongest(scores[:15], 0) == []


def test_bad_input() -> None:
    model, X = Pooled(3).eval(), letters(2)
    scores = nucleoscope.saliency(model, X)
    with pytest.raises(TypeError, match="expected an Attribution"):
        nucleoscope.card(model, X, scores.scores)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of target mean over all outputs, and the card would be"):
        nucleoscope.card(model, X, scores, target=0)
    with pytest.raises(ValueError, match="2 sequences"):
        nucleoscope.card(model, X[:1], scores)
    with pytest.raises(ValueError, match="not those of X"):
        nucleoscope.card(model, X.flip(0), scores)
    with pytest.raises(ValueError, match="give both, or neither"):
        nucleoscope.card(model, X, scores, transparent=model)
    axes = ("sequence", "target", "letter", "site")
    several = Attribution(torch.zeros(2, 1, 4, 60), axes, "ACGT", 0, torch.zeros(2, 1))
    with pytest.raises(ValueError, match="one target a card"):
        nucleoscope.card(model, X, several)


MODEL = """
import torch
from torch import nn

def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Conv1d(6, 1, 3))
"""


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("nets_of_cards.py").write_text(MODEL)
    Path("genome.fa").write_text(">chr1\n" + "ACGTTGCAAGGCTTACNACGR" * 5 + "\n")
    common = ["--model", "nets_of_cards:net", "--fasta", "genome.fa", "--region", "chr1:11-70"]
    runner = CliRunner()
    done = runner.invoke(
        main, ["gradients", "--method", "saliency", *common, "--out", "scores.npz"]
    )
    assert done.exit_code == 0, done.output
    given = ["card", *common, "--scores", "scores.npz", "--out", "card.html"]
    done = runner.invoke(main, given)
    assert done.exit_code == 0, done.output
    assert "kernel scaling and gauge" in done.output
    assert "saliency of Sequential" in Path("card.html").read_text()
    assert json.loads(Path("card.json").read_text())["facts"]["length"] == 60
    assert runner.invoke(main, given).exit_code == 2  # it is there already
    done = runner.invoke(main, [*given, "--overwrite", "--target", "0"])
    assert done.exit_code == 1
    assert "pass the same target" in done.output
    sys.modules.pop("nets_of_cards", None)
