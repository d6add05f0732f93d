"""The demo on a short stretch: what it prints and writes, and whether the biology is right."""

from __future__ import annotations

import builtins
import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.cli.splice_sites import (
    KINDS,
    SIGNAL,
    SpliceSite,
    Stretch,
    as_table,
    strongest_sites,
)
from nucleoscope.demo import load_sequence
from nucleoscope.models import SpliceNet, SpliceSiteCount
from nucleoscope.scan.letters import one_hot

LENGTH = 5_000  # holds a strong donor of ZDHHC8 that is in every annotation
PNG = b"\x89PNG\r\n\x1a\n"
FILES = {"attribution.npz", "overview.png", "sites.png", "sites.tsv"}


def demo(out: Path, *more: str) -> Result:
    typed = ["demo", "--out", str(out), "--length", str(LENGTH), "--no-progress", *more]
    return CliRunner().invoke(main, typed)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return demo(out), out


def table(out: Path) -> list[dict[str, str]]:
    with (out / "sites.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_it_says_what_it_did(done: tuple[Result, Path]) -> None:
    result, out = done
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    for part in (
        "Splice sites by SpliceNet (45,867 parameters) in 5,000 bases of human chr22:20,130,553-",
        "Plan: 15,000 substitutions",
        "The model expects",
        "15,000 substitutions in",
        "(median of a sample of 24)",
        "extrapolated to all",
        "Passed verification: 2 edits recomputed by the model",
        f"Written: {out}",
    ):
        assert part in told


def test_files_are_written_whole(done: tuple[Result, Path]) -> None:
    _, out = done
    assert {path.name for path in out.iterdir()} == FILES
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(PNG)
        assert path.stat().st_size > 10_000
    held = nucleoscope.Attribution.load(out / "attribution.npz")
    assert held.scores.shape == (1, 2, 4, LENGTH)
    assert held.facts["targets"] == ["acceptor", "donor"]
    assert (held.facts["chromosome"], held.facts["first_base"]) == ("chr22", 20_130_553)


def test_the_strongest_sites_are_where_introns_begin_and_end(done: tuple[Result, Path]) -> None:
    _, out = done
    strong = [row for row in table(out) if float(row["score"]) > 0.2]
    assert strong, "no strong site in a stretch that holds a splice site"
    assert all(row["signal"] == SIGNAL[row["kind"]] for row in strong), strong
    best = strong[0]
    assert (best["kind"], best["position"], best["strand"]) == ("donor", "20131279", "+")
    assert best["context"] == "CCGTGCAGAG[GT]gggtgccggg"


def test_positions_and_scores_are_those_of_the_attribution(done: tuple[Result, Path]) -> None:
    _, out = done
    _, bases, start = load_sequence()
    held = nucleoscope.Attribution.load(out / "attribution.npz")
    for row in table(out)[:10]:
        pair = int(row["position"]) + (-2 if row["kind"] == "acceptor" else 1) - 1 - start
        assert bases[pair : pair + 2] == row["signal"]
        site = pair - (len(bases) - LENGTH)
        scores = held.scores[0, KINDS.index(row["kind"])].sum(0)
        assert float(scores[site : site + 2].max()) == pytest.approx(float(row["score"]), abs=1e-3)


@pytest.fixture(scope="module")
def both() -> Callable[[str], list[SpliceSite]]:
    """Sites of the same DNA, found on its + strand and, turned round, on its - strand."""
    name, bases, start = load_sequence()
    cut = len(bases) - 5_000
    forward = Stretch(name, start + cut, bases[cut : cut + 1_500])
    turned = Stretch(name, start + cut, forward.strand("-"))
    model = SpliceSiteCount(SpliceNet.pretrained()).eval()
    X = one_hot([forward.bases])
    scores = nucleoscope.saturation_mutagenesis(model, X, target=[0, 1], verify=0)
    predicted = model.net(X).softmax(1)[0, 1:]

    def found(strand: str) -> list[SpliceSite]:
        stretch = forward if strand == "+" else turned
        return strongest_sites(scores, predicted, 0, strand, stretch, 5)

    return found


def test_reverse_strand_counts_downwards(both: Callable[[str], list[SpliceSite]]) -> None:
    for plus, minus in zip(both("+"), both("-"), strict=True):
        assert (plus.context, plus.score, plus.kind) == (minus.context, minus.score, minus.kind)
        mirrored = 2 * (load_sequence()[2] + 131_072 - 5_000) + 1 + 1_500 - plus.position
        assert minus.position == mirrored


def test_neighbours_are_one_site(both: Callable[[str], list[SpliceSite]]) -> None:
    for kind in KINDS:
        at = sorted(site.pair for site in both("+") if site.kind == kind)
        assert min(b - a for a, b in pairwise(at)) > 50 - 12, "a peak's site lies near it"


def test_table_is_aligned(both: Callable[[str], list[SpliceSite]]) -> None:
    lines = as_table(both("+")).splitlines()
    assert len({line.index("[") for line in lines[1:]}) == 1
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.slow
def test_both_strands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleoscope.cli.demo.SAMPLED_EDITS", 2)
    done = demo(tmp_path, "--strand", "both", "--length", "600")
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"overview-reverse.png"}
    assert {row["strand"] for row in table(tmp_path)} == {"+", "-"}


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = demo(tmp_path, "--length", "600")
    assert done.exit_code == 0, done.output
    assert "No pictures: " in done.output
    assert "pip install 'nucleoscope[plot]'" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"attribution.npz", "sites.tsv"}


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = demo(tmp_path / "taken")
    assert done.exit_code == 2
    assert "is a file" in done.output


@pytest.mark.slow
def test_an_untrained_net_finds_no_introns() -> None:
    """The biology comes from the weights, not from how sites are looked for."""
    name, bases, start = load_sequence()
    stretch = Stretch(name, start, bases[:1_500])
    torch.manual_seed(0)
    model = SpliceSiteCount(SpliceNet()).eval().requires_grad_(False)
    X = one_hot([stretch.bases])
    scores = nucleoscope.saturation_mutagenesis(model, X, target=[0, 1], verify=0)
    predicted = model.net(X).softmax(1)[0, 1:]
    sites = strongest_sites(scores, predicted, 0, "+", stretch, 10)
    assert sum(site.signal == SIGNAL[site.kind] for site in sites) < len(sites) / 2
