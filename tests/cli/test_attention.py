"""`nucleoscope attention`: the functions' numbers in one folder, and a clear word for bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.models import Enformer
from nucleoscope.scan.letters import one_hot

MODEL = """
import torch
from torch import nn
from nucleoscope.models import Enformer

class Human(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = Enformer(small=True)
    def forward(self, x):
        return self.net(x)["human"]

def plain(): return nn.Conv1d(4, 2, 3)
"""
LENGTH = Enformer(small=True).length


@pytest.fixture
def genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "attending_model.py").write_text(MODEL)
    letters = torch.randint(0, 4, (3 * LENGTH,), generator=torch.Generator().manual_seed(1))
    (tmp_path / "genome.fa").write_text(">chr1\n" + "".join("ACGT"[i] for i in letters) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(*given: str) -> Result:
    common = ["--fasta", "genome.fa", "--region", f"chr1:11-{10 + LENGTH}", "--out", "made"]
    return CliRunner().invoke(main, ["attention", *common, *given])


@pytest.mark.slow
def test_one_command_makes_all_of_it(genome: Path) -> None:
    done = run(
        "--model",
        "attending_model:Human",
        "--target",
        "0",
        "--rows",
        "1-20",
        "--edits",
        "1",
        "--pictures",
    )
    assert done.exit_code == 0, done.output
    folder = genome / "made"
    text = (genome / "genome.fa").read_text().split("\n")[1]
    X = one_hot([text[10 : 10 + LENGTH]])
    import attending_model  # type: ignore[import-not-found]

    model = attending_model.Human().eval()
    rollout = nucleoscope.Attribution.load(folder / "rollout.npz")
    same = nucleoscope.attention_rollout(model, X, rows=[(0, 20)])
    torch.testing.assert_close(rollout.scores, same.scores)
    relevance = nucleoscope.Attribution.load(folder / "relevance.npz")
    same = nucleoscope.attention_relevance(model, X, rows=[(0, 20)], target=0)
    torch.testing.assert_close(relevance.scores, same.scores)
    table = [line.split("\t") for line in (folder / "conditioning.tsv").read_text().splitlines()]
    assert len(table) == 1 + 2 * 2  # layers by heads
    assert {len(row) for row in table} == {len(table[0])}
    far = [line.split("\t") for line in (folder / "far.tsv").read_text().splitlines()]
    assert far[0][-2:] == ["rollout_shuffled", "relevance_shuffled"]
    assert len(far) > 3
    assert far[1][5] != "."  # the strongest block was shuffled
    assert far[2][5] == "."
    bed = [line.split("\t") for line in (folder / "far.bed").read_text().splitlines()]
    assert all(10 <= int(row[1]) < int(row[2]) <= 10 + LENGTH for row in bed)
    assert len(list(folder.glob("*.png"))) == 2
    assert "identifiable fraction" in done.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model", "attending_model:plain"], "no attention in it"),
        (["--model", "attending_model:Human", "--rows", "9"], "write START-END"),
        (["--model", "attending_model:Human", "--rows", "1-99999"], "write START-END"),
        (["--model", "attending_model:Human", "--target", "0", "--target", "1"], "one a call"),
        (["--model", "attending_model:Human", "--target", "99"], "target=99"),
        (["--model", "attending_model:Human", "--bed", "genome.fa"], "one of --bed and --region"),
    ],
)
def test_bad_input_is_named(genome: Path, given: list[str], message: str) -> None:
    done = run(*given)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (genome / "made").exists()
