"""Several models, both strands and shifts on the command line: the same numbers as the functions' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.cli.loading import load_models
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.shipping import fingerprint, listed
from tests.scan.genomes import CHR1, write_fasta
from tests.scan.test_vcf import write

FOLDS = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Conv1d(4, 5, 5, padding=2), nn.ReLU(), nn.Conv1d(5, 2, 3, padding=1))

torch.manual_seed(2)
ready = net()
"""


@pytest.fixture
def folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[nn.Module]]:
    """Two sets of weights of one model, a genome and two regions, in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("folds.py").write_text(FOLDS)
    write_fasta(Path("g.fa"))
    Path("r.bed").write_text("chr1\t10\t70\nchr1\t700\t760\n")
    space: dict[str, Any] = {}
    exec(FOLDS, space)
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(space["net"]().eval())
        torch.save(made[-1].state_dict(), f"fold{seed}.pt")
    yield made
    sys.modules.pop("folds", None)


def run(command: str, *given: str) -> Result:
    return CliRunner().invoke(main, [command, *given])


WEIGHTS = ("--weights", "fold0.pt", "--weights", "fold1.pt")
VIEWS = ("--reverse-complement", "--shift", "0", "--shift", "-2")
READ = ("--target", "0", "--reverse-target", "1")
ASKED: dict[str, Any] = {
    "target": 0, "reverse_target": 1, "reverse_complement": True, "shifts": (0, -2),
}  # fmt: skip


def each_is_told(models: list[dict[str, str]], name: str, folds: list[nn.Module]) -> None:
    """Which model with which weights, each by itself."""
    assert [(m["name"], m["weights"]) for m in models] == [(name, "fold0.pt"), (name, "fold1.pt")]
    assert [m["sha256"] for m in models] == [fingerprint(fold) for fold in folds]


def test_mutagenesis_of_folds(folds: list[nn.Module]) -> None:
    """Weights are put into a model of their own, also where the module holds one that is made."""
    given = ("--model", "folds:ready", *WEIGHTS, *VIEWS, *READ, "--fasta", "g.fa", "--bed", "r.bed")
    done = run("mutagenesis", *given, "--verify", "0", "--out", "o.npz")
    assert done.exit_code == 0, done.output
    wanted = nucleoscope.saturation_mutagenesis(
        folds, one_hot([CHR1[10:70], CHR1[700:760]]), verify=0, **ASKED
    )
    held = nucleoscope.Attribution.load("o.npz")
    torch.testing.assert_close(held.scores, wanted.scores)
    assert held.facts["model"] == "folds:ready"
    each_is_told(held.facts["models"], "folds:ready", folds)
    torch.manual_seed(2)
    own = nn.Conv1d(4, 5, 5, padding=2)
    assert torch.equal(sys.modules["folds"].ready[0].weight, own.weight)
    assert run("mutagenesis", *given, "--dry-run").output.count("Plan") == 2


@pytest.mark.parametrize(
    ("names", "weights", "count"),
    [
        (["folds:net"], [], 1),
        (["folds:net"], [0], 1),
        (["folds:net"], [0, 1], 2),
        (["folds:net", "folds:ready"], [1, 0], 2),
        (["folds:net", "folds:ready"], [], 2),
    ],
)
def test_what_is_an_ensemble(
    folds: list[nn.Module], names: list[str], weights: list[int], count: int
) -> None:
    paths = [Path(f"fold{n}.pt") for n in weights]
    made = load_models(names, paths, False, torch.device("cpu"))
    assert isinstance(made, list) == (count > 1)
    for at, net in zip(weights, listed(made), strict=False):
        assert torch.equal(net[0].weight, folds[at][0].weight)  # type: ignore[index]
    assert len(listed(made)) == count


def test_gradients_of_folds(folds: list[nn.Module]) -> None:
    given = ("--model", "folds:net", *WEIGHTS, *VIEWS, "--target", "0", "--fasta", "g.fa")
    done = run("gradients", "--method", "saliency", *given, "--bed", "r.bed", "--out", "o.npz")
    assert done.exit_code == 0, done.output
    X = one_hot([CHR1[10:70], CHR1[700:760]])
    wanted = nucleoscope.saliency(folds, X, target=0, reverse_complement=True, shifts=(0, -2))
    held = nucleoscope.Attribution.load("o.npz")
    torch.testing.assert_close(held.scores, wanted.scores)
    each_is_told(held.facts["models"], "folds:net", folds)


def test_a_scan_of_folds(folds: list[nn.Module]) -> None:
    zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
    given = ("--model", "folds:net", *WEIGHTS, *VIEWS, *READ, "--genome", "g.fa", "--bed", "r.bed")
    done = run("scan", *given, "--verify", "0", "--out", "o")
    assert done.exit_code == 0, done.output
    wanted = nucleoscope.saturation_mutagenesis(
        folds, one_hot([CHR1[10:70], CHR1[700:760]]), verify=0, **ASKED
    )
    found = zarr.open_group("o/scores.zarr", mode="r")["scores"][:]
    torch.testing.assert_close(torch.from_numpy(found), wanted.scores)
    each_is_told(zarr.open_group("o/scores.zarr").attrs["models"], "folds:net", folds)
    again = run("scan", *given[:4], *given[6:], "--verify", "0", "--out", "o", "--resume")
    assert again.exit_code == 1
    assert "asked for something else: model" in again.output
    refused = run("scan", *given, "--method", "saliency", "--out", "p")
    assert "reverse_target: saliency takes none" in refused.output


def test_variants_of_folds(folds: list[nn.Module]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")
    pytest.importorskip("pysam", reason="pysam writes VCF")
    rows = [f"chr1\t{at}\t.\t{CHR1[at - 1]}\t{CHR1[at - 1]}GA" for at in (90, 700)]
    rows += [
        f"chr1\t{at}\t.\t{CHR1[at - 1]}\t{'CAAA'['ACGT'.index(CHR1[at - 1])]}" for at in (95, 720)
    ]
    vcf = str(write(Path("v.vcf"), *rows))
    given = ("--model", "folds:net", *WEIGHTS, "--reverse-complement", *READ, "--genome", "g.fa")
    more = ("--vcf", vcf, "--length", "61")
    done = run("variants", *given, *more, "--out", "o")
    assert done.exit_code == 0, done.output
    nucleoscope.variants(
        folds, "g.fa", vcf, "p", length=61, target=0, reverse_complement=True, reverse_target=1
    )
    each_is_told(Folder(Path("o")).manifest["provenance"]["models"], "folds:net", folds)
    found, wanted = (
        parquet.read_table(f"{out}/variants.parquet")["difference"].to_pylist() for out in "op"
    )
    assert found == wanted
    assert len(set(found)) == 4


def test_weights_that_are_of_no_model(folds: list[nn.Module]) -> None:
    given = ("--model", "folds:net", "--model", "folds:ready", "--weights", "fold0.pt")
    done = run("scan", *given, "--genome", "g.fa", "--out", "o")
    assert done.exit_code == 2, folds
    assert "--weights: 1 for 2 models" in done.output
