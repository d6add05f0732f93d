"""`nucleoscope scan` and `merge`: the same as the functions, and exit codes that say how it went."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main, settings
from tests.scan.genomes import GENOME, pooled_net, reading_net, write_fasta

zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
GIVEN = ("--model", "tests.scan.genomes:pooled_net", "--target", "1", "--cell", "100")


@pytest.fixture
def genome(tmp_path: Path) -> str:
    return str(write_fasta(tmp_path / "g.fa"))


def run(command: str, *given: str) -> Result:
    return CliRunner().invoke(main, [command, *given])


def test_a_genome_and_its_track(genome: str, tmp_path: Path) -> None:
    pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    done = run("scan", *GIVEN, "--genome", genome, "--out", str(tmp_path / "o"), "--bigwig")
    assert done.exit_code == 0, done.output
    assert "1 of 1 shards done" in done.output
    assert {"scores.bw", "scores.zarr", "manifest.json"} <= {
        path.name for path in (tmp_path / "o").iterdir()
    }
    again = run("scan", *GIVEN, "--genome", genome, "--out", str(tmp_path / "o"))
    assert again.exit_code == 1
    assert "holds a scan already" in again.output
    assert (
        run("scan", *GIVEN, "--genome", genome, "--out", str(tmp_path / "o"), "--resume").exit_code
        == 0
    )


def test_a_genome_of_n_has_a_track_without_a_score(tmp_path: Path) -> None:
    pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    genome, out = write_fasta(tmp_path / "n.fa", {"a": "N" * 90}), tmp_path / "o"
    done = run("scan", *GIVEN, "--genome", str(genome), "--out", str(out), "--bigwig")
    assert done.exit_code == 0, done.output
    assert "Note: no base has a score: scores.bw holds a NaN" in done.output
    assert (out / "scores.bw").exists()


def test_another_method_has_its_own_defaults(genome: str, tmp_path: Path) -> None:
    given = ("--model", "tests.scan.genomes:pooled_net", "--target", "1", "--genome", genome)
    (tmp_path / "r.bed").write_text("1\t0\t60\n")
    more = ("--bed", str(tmp_path / "r.bed"), "--method", "saliency", "--out", str(tmp_path / "o"))
    done = run("scan", *given, *more, "--reverse-complement", "--shift", "0", "--shift", "1")
    assert done.exit_code == 0, done.output
    again = ("--resume", "--verify", "3")
    assert "saliency takes no verify" in run("scan", *given, *more, *again).output


def test_a_method_s_own_parameters(genome: str, tmp_path: Path) -> None:
    """They decide the scores, and the manifest has them."""
    (tmp_path / "r.bed").write_text("1\t0\t60\n")
    given = ("--model", "tests.scan.genomes:pooled_net", "--target", "1", "--genome", genome)
    given += ("--bed", str(tmp_path / "r.bed"), "--method", "integrated_gradients")
    out = tmp_path / "o"
    done = run("scan", *given, "--set", "n_steps=9", "--set", "baselines=zeros", "--out", str(out))
    assert done.exit_code == 0, done.output
    told = json.loads((out / "manifest.json").read_text())["provenance"]["parameters"]
    assert (told["n_steps"], told["baselines"]) == ("9", "'zeros'")
    bed, there = tmp_path / "r.bed", tmp_path / "p"
    asked = {"method": "integrated_gradients", "target": 1, "n_steps": 9, "baselines": "zeros"}
    wanted = nucleoscope.scan(pooled_net(), genome, bed, there, **asked)  # type: ignore[arg-type]
    found, same = (
        np.asarray(zarr.open_group(store, mode="r")["scores"][:])
        for store in (out / "scores.zarr", wanted.store)
    )
    np.testing.assert_array_equal(found, same)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("n_steps",), "write NAME=VALUE, such as n_steps=50"),
        (("n-steps=3",), "write NAME=VALUE"),
        (("n_steps=3", "n_steps=4"), "n_steps is given twice"),
        (("n_step=3",), "takes no n_step in a scan; did you mean n_steps?"),
        (("start=3",), "takes no start in a scan"),
        (("colour=3",), "It takes baselines, target, n_steps"),
        (("n_steps=many",), "n_steps is int | None, which 'many' is not"),
        (("n_steps=1.5",), "n_steps is int | None, which 1.5 is not"),
        (("n_steps=true",), "which True is not"),
        (("func=sum",), "which cannot be typed here: call nucleoscope.scan"),
        (("center=none",), "center has an option of its own: --center"),
        (("target=3",), "target has an option of its own: --target"),
        (("method=midpoint",), "method has an option of its own: --method"),
    ],
)
def test_what_cannot_be_set(
    genome: str, tmp_path: Path, typed: tuple[str, ...], message: str
) -> None:
    given = (
        "--model",
        "tests.scan.genomes:pooled_net",
        "--genome",
        genome,
        "--out",
        str(tmp_path / "o"),
    )
    sets = [each for text in typed for each in ("--set", text)]
    done = run("scan", *given, "--method", "integrated_gradients", *sets)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "o").exists()


def test_values_are_what_python_writes() -> None:
    made = settings.read(
        None, None, ("a=1e-3", "b=None", "c=2:5", "d=:", "e=[1, 2]", "f=x y", "g=-3", "h=False")
    )  # type: ignore[arg-type]
    assert made == {
        "a": 1e-3, "b": None, "c": slice(2, 5), "d": slice(None), "e": [1, 2], "f": "x y", "g": -3, "h": False,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["attention_rollout", "attention_relevance"])
def test_attention_takes_what_is_said_alone(genome: str, tmp_path: Path, method: str) -> None:
    given = ("--model", "tests.scan.genomes:reading_net", "--genome", genome, "--method", method)
    target = ("--target", "1") if method == "attention_relevance" else ()
    (tmp_path / "r.bed").write_text("1\t0\t60\n")
    done = run(
        "scan", *given, *target, "--bed", str(tmp_path / "r.bed"), "--out", str(tmp_path / "o")
    )
    assert done.exit_code == 0, done.output
    given_there = {"target": 1} if target else {}
    bed, out = tmp_path / "r.bed", tmp_path / "p"
    wanted = nucleoscope.scan(reading_net(), genome, bed, out, method=method, **given_there)
    found, there = (
        np.asarray(zarr.open_group(store, mode="r")["scores"][:])
        for store in (tmp_path / "o" / "scores.zarr", wanted.store)
    )
    np.testing.assert_array_equal(found, there)
    assert np.abs(found).max() > 0


def test_a_linear_trunk(genome: str, tmp_path: Path) -> None:
    model = ("--model", "tests.scan.genomes:attending_net", "--target", "1", "--genome", genome)
    (tmp_path / "r.bed").write_text("1\t0\t60\n1\t100\t160\n")
    given = (*model, "--bed", str(tmp_path / "r.bed"), "--length", "60", "--trunk", "linear")
    done = run("scan", *given, "--out", str(tmp_path / "o"), "--npz")
    assert done.exit_code == 0, done.output
    assert "APPROXIMATE (linear trunk) but for" in done.output
    assert (tmp_path / "o/trunk.tsv").read_text().count("regions 0 to 1") == 1
    assert np.load(tmp_path / "o/scores.npz")["exact"].shape == (2, 60)
    refused = run("scan", *given, "--out", str(tmp_path / "p"), "--reverse-complement")
    assert refused.exit_code == 1
    assert "leave trunk out" in refused.output
    (tmp_path / "v.vcf").write_text("##fileformat=VCFv4.2\n")
    more = ("--vcf", str(tmp_path / "v.vcf"), "--length", "60", "--trunk", "linear")
    assert "No such option" in run("variants", *model, *more).output


def test_rejects_show_in_the_exit_code(genome: str, tmp_path: Path) -> None:
    (tmp_path / "r.bed").write_text("1\t0\t60\nchrX\t1\t2\n")
    bed, out = str(tmp_path / "r.bed"), str(tmp_path / "o")
    done = run("scan", *GIVEN, "--genome", genome, "--bed", bed, "--out", out)
    assert done.exit_code == 3, done.output
    assert "Left out: 1 no such chromosome" in done.output
    assert zarr.open_group(tmp_path / "o/scores.zarr", mode="r")["scores"].shape == (1, 4, 60)


def test_parts_and_merge(genome: str, tmp_path: Path) -> None:
    out = str(tmp_path / "o")
    assert run("scan", *GIVEN, "--genome", genome, "--out", out, "--shard", "2/2").exit_code == 0
    early = run("merge", out)
    assert early.exit_code == 1
    assert "1 of 1 shards are not done yet" in early.output
    assert run("scan", *GIVEN, "--genome", genome, "--out", out, "--shard", "1/2").exit_code == 0
    assert run("merge", out).exit_code == 0
    assert run("merge", str(tmp_path)).exit_code == 1


def test_an_estimate_writes_nothing(genome: str, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    done = run("scan", *GIVEN, "--genome", genome, "--estimate")
    assert done.exit_code == 0, done.output
    assert f"{sum(map(len, GENOME.values())):,} bases in 1 shards" in done.output
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "give --out FOLDER, or --estimate"),
        (("--out", "o", "--shard", "3/2"), "write i/n, such as 3/16"),
        (("--out", "o", "--window", "60", "--report", "5-9"), "write a:b, such as 557:1557"),
        (("--out", "o", "--coordinates", "moon"), "'moon' is not one of"),
    ],
)
def test_bad_usage(genome: str, given: tuple[str, ...], message: str) -> None:
    done = run("scan", *GIVEN, "--genome", genome, *given)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
