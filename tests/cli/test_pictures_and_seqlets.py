"""`nucleoscope seqlets` and `nucleoscope plot`: saved scores in, one file out, a clear word else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder that holds a.npz: noise on two strands, a stretch planted in each."""
    monkeypatch.chdir(tmp_path)
    letters = torch.randint(4, (2, 200))
    held = torch.nn.functional.one_hot(letters, 4).mT
    scores = torch.randn(2, 1, 200)
    scores[:, :, 50:60] += 8
    regions = [
        {"chromosome": "chr1", "start": 1000, "end": 1200, "strand": strand} for strand in "+-"
    ]
    axes = ("sequence", "letter", "site")
    facts = {"regions": regions}
    made = nucleoscope.Attribution(scores * held, axes, "ACGT", 0, torch.zeros(2, 1), facts)
    made.save("a.npz")
    control = nucleoscope.Attribution(
        torch.randn(9, 1, 200) * held[:1], axes, "ACGT", 0, torch.zeros(9, 1)
    )
    control.save("control.npz")

    return lambda *typed: CliRunner().invoke(main, list(typed))


def test_seqlets_are_those_of_the_function(run: Run) -> None:
    done = run("seqlets", "a.npz", "--out", "s.bed", "--control", "control.npz", "--fdr", "0.2")
    assert done.exit_code == 0, done.output
    assert "Written: s.bed" in done.output
    lines = [line.split("\t") for line in Path("s.bed").read_text().splitlines()]
    made, control = (nucleoscope.Attribution.load(f"{name}.npz") for name in ("a", "control"))
    want = nucleoscope.seqlets(made, control=control, fdr=0.2)
    assert len(lines) == len(want) >= 2
    places = {(line[5], int(line[1])) for line in lines}
    assert any(strand == "+" and 1045 <= at <= 1055 for strand, at in places)
    assert any(strand == "-" and 1135 <= at <= 1145 for strand, at in places)


def test_tables_and_thresholds(run: Run) -> None:
    done = run("seqlets", "a.npz", "--out", "s.tsv", "--threshold", "1e-3", "--sign", "both")
    assert done.exit_code == 0, done.output
    first = Path("s.tsv").read_text().splitlines()[0]
    assert first == "sequence\tstart\tend\tattribution\tp_value\tq_value"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["absent.npz", "--out", "s.bed"], "does not exist"),
        (["a.npz", "--out", "s.txt"], "must end in .bed or .csv or .tsv"),
        (["a.npz", "--out", "s.bed", "--control", "guess"], "neither a file nor one of"),
        (["a.npz", "--out", "s.bed", "--target", "2"], "target=2: this attribution has one target"),
        (["a.npz", "--out", "s.bed", "--min-length", "30"], "min_length=30"),
    ],
)
def test_seqlets_of_bad_input(run: Run, typed: list[str], told: str) -> None:
    done = run("seqlets", *typed)
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert not Path("s.bed").exists()


def test_pictures(run: Run) -> None:
    done = run(
        "plot", "a.npz", "--out", "a.png", "--region", "chr1:1041-1070", "--palette", "colour-blind",
        "--seqlets", "0.5",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    done = run(
        "plot", "a.npz", "--out", "a.pdf", "--kind", "track", "--sequence", "0", "--sequence", "1"
    )
    assert done.exit_code == 0, done.output
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")
    assert run("plot", "a.npz", "--out", "a.svg", "--sites", "20-40").exit_code == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--region", "chr1:900-1010"], "no sequence holds all of chr1:900-1,010"),
        (["--region", "chr1:1001-1010", "--sites", "3-9"], "not both"),
        (["--sites", "9-3"], "no range of sites"),
        (["--sites", "190-210"], "not among the scored [0, 200)"),
        (["--sequence", "2"], "there are 2 sequences"),
        (["--kind", "heatmap"], "hypothetical=True"),
    ],
)
def test_pictures_of_bad_input(run: Run, typed: list[str], told: str) -> None:
    done = run("plot", "a.npz", "--out", "a.png", *typed)
    assert done.exit_code in (1, 2)
    assert told in " ".join(done.output.split())
    assert not Path("a.png").exists()
