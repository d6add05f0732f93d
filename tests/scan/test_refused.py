"""One item that cannot be scored is told; the others of its shard have the scores that they have without it."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.scan import merge
from nucleoscope.scan.rejects import Refused, apart, behind, kept, row, told
from tests.scan.genomes import CHR1, attending_net, dense_net, write_fasta
from tests.scan.test_scan import chromosome, contents
from tests.scan.test_vcf import write

zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
BROKEN = {
    "a": CHR1[:100], "b": CHR1[100:150] + "!" + CHR1[150:200], "c": CHR1[:12], "d": CHR1[:70],
}  # fmt: skip
GIVEN: dict[str, Any] = {"target": 0, "cell": 60, "shard_bases": 1 << 10}


class Signed(nn.Module):
    """An output a position, far below zero at a T and else above it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x).exp() * (1 - 1000 * x[:, 3:])
        return made


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa", BROKEN)


def table(out: Path) -> list[list[str]]:
    lines = (out / "rejects.tsv").read_text().splitlines()
    assert lines[0] == "where\treason\tdetail"
    return [line.split("\t") for line in lines[1:]]


@cache  # one object a test run, so that it is traced once
def conv() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 2, 21), nn.Tanh()).eval()


def test_a_chromosome_loses_its_unreadable_pieces_alone(genome: Path, tmp_path: Path) -> None:
    """All in one shard: a letter that is none, of b the first piece, and c shorter than the model."""
    done = nucleoscope.scan(conv(), genome, None, tmp_path / "o", **GIVEN)
    assert (done.shards, done.done, done.failed) == (1, 1, {})
    assert done.rejects == {"unknown letter": 2, "too short": 1}
    assert not done.clean
    (first, second, short) = table(tmp_path / "o")
    assert first[:2] == ["b:1-60", "unknown letter"]
    assert "has '!' at its position 51" in first[2]
    assert second[:2] == ["b:61-101", "unknown letter"]  # it lies in the halo of that one
    assert short[:2] == ["c:1-12", "too short"]
    assert "does not take the 12 bases that c has" in short[2]
    good = write_fasta(tmp_path / "h.fa", {name: BROKEN[name] for name in "ad"})
    wanted = nucleoscope.scan(conv(), good, None, tmp_path / "p", **GIVEN)
    for name in "ad":
        np.testing.assert_array_equal(chromosome(done.store, name), chromosome(wanted.store, name))
    assert merge(tmp_path / "o").rejects == done.rejects  # again, from the table


def test_a_region_is_refused_alone(genome: Path, tmp_path: Path) -> None:
    net, bed = dense_net(40), tmp_path / "r.bed"
    bed.write_text("a\t0\t40\nb\t20\t60\nz\t0\t40\nd\t10\t50\n")
    done = nucleoscope.scan(net, genome, bed, tmp_path / "o", target=0)
    assert done.rejects == {"no such chromosome": 1, "unknown letter": 1}
    assert [line[:2] for line in table(tmp_path / "o")] == [
        ["r.bed line 3", "no such chromosome"], ["b:21-60", "unknown letter"],
    ]  # fmt: skip
    scores = zarr.open_group(done.store, mode="r")["scores"][:]
    assert np.isnan(scores[1]).all()
    bed.write_text("a\t0\t40\nd\t10\t50\n")
    wanted = nucleoscope.scan(net, genome, bed, tmp_path / "p", target=0)
    np.testing.assert_array_equal(scores[[0, 2]], zarr.open_group(wanted.store)["scores"][:])


def test_a_shard_of_nothing_else_is_done(genome: Path, tmp_path: Path) -> None:
    for regions in (["b:21-60"], ["b:21-60", "a:1-40"]):
        out = tmp_path / str(len(regions))
        done = nucleoscope.scan(dense_net(40), genome, regions, out, target=0, shard_bases=40)
        assert (done.done, done.failed) == (len(regions), {})
        assert done.rejects == {"unknown letter": 1}
        assert ("scores" in zarr.open_group(done.store, mode="r")) == (len(regions) == 2)


@pytest.mark.parametrize(
    ("score", "target", "around"),
    [("log_ratio", (0, slice(15, 26)), None), ("log_ratio", 0, 5), ("js", 0, 5)],
)
def test_a_variant_is_refused_alone(
    tmp_path: Path, score: str, target: Any, around: int | None
) -> None:
    """REF's output is below zero near the one T, and the window of another holds a letter that is none."""
    pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    pysam = pytest.importorskip("pysam", reason="pysam writes VCF")
    bases = CHR1[:100].replace("T", "C")
    genome = write_fasta(tmp_path / "g.fa", {"a": f"{bases[:70]}T{bases[71:]}", "b": "!" + bases})
    rows = [
        f"a\t{n}\t.\t{bases[n - 1]}\t{'G' if bases[n - 1] != 'G' else 'A'}" for n in (30, 69, 40)
    ]
    rows.append(f"b\t12\t.\t{bases[10]}\t{'G' if bases[10] != 'G' else 'A'}")
    vcf = write(tmp_path / "v.vcf", *rows)
    given: dict[str, Any] = {"length": 41, "target": target, "around": around, "scores": score}
    done = nucleoscope.variants(Signed().eval(), genome, vcf, tmp_path / "o", **given)
    assert done.failed == {}
    assert done.rejects == {"unknown letter": 1, "negative output": 1}
    told = table(tmp_path / "o")
    assert sorted(line[0] for line in told) == [
        f"a:69 {bases[68]}>{rows[1][-1]}",
        f"b:12 {bases[10]}>{rows[3][-1]}",
    ]
    vcf = write(tmp_path / "w.vcf", rows[0], rows[2])
    alone = nucleoscope.variants(Signed().eval(), genome, vcf, tmp_path / "p", **given)
    assert alone.clean
    name = f"NS_{score.upper()}"
    with pysam.VariantFile(str(done.store)) as file, pysam.VariantFile(str(alone.store)) as other:
        found = [record.info.get(name) for record in file]
        assert found[1] is found[3] is None
        np.testing.assert_allclose([found[0], found[2]], [each.info[name] for each in other], 1e-5)


def test_parts_and_a_resumed_run_tell_the_same(genome: Path, tmp_path: Path) -> None:
    given = GIVEN | {"shard_bases": 60}
    whole = nucleoscope.scan(conv(), genome, None, tmp_path / "whole", **given)
    for part in (2, 1):
        done = nucleoscope.scan(conv(), genome, None, tmp_path / "o", shard=(part, 2), **given)
    assert done.rejects == whole.rejects
    assert table(tmp_path / "o") == []  # they stand in the checkpoints yet
    nucleoscope.scan(conv(), genome, None, tmp_path / "o", resume=True, **given)
    assert table(tmp_path / "o") == table(tmp_path / "whole")
    assert contents(tmp_path / "o/scores.zarr") == contents(whole.store)


def test_the_exit_code_says_so(genome: Path, tmp_path: Path) -> None:
    typed = ("--model", "tests.scan.test_refused:conv", "--genome", str(genome), "--target", "0")
    done = CliRunner().invoke(main, ["scan", *typed, "--out", str(tmp_path / "o")])
    assert done.exit_code == 3, done.output
    assert "unknown letter" in done.output
    assert "rejects.tsv says which" in done.output


def test_scores_of_tokens_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Two bases a token; and laid over bases they are taken."""
    genome = write_fasta(tmp_path / "g.fa", {"a": CHR1[:60]})
    given: dict[str, Any] = {"method": "attention_rollout", "retries": 0}
    done = nucleoscope.scan(attending_net(), genome, ["a:1-60"], tmp_path / "o", **given)
    assert done.failed[0].startswith(
        "ValueError: attention_rollout gives 30 scores, one a token, for 60 bases"
    )
    assert "--set per_base=true" in done.failed[0]
    given["per_base"] = True
    assert nucleoscope.scan(attending_net(), genome, ["a:1-60"], tmp_path / "p", **given).clean
    given = {"method": "distal_scores", "target": 0, "retries": 0}
    done = nucleoscope.scan(attending_net(), genome, ["a:1-60"], tmp_path / "q", **given)
    assert done.failed[0].endswith("for 60 bases: a scan lays down a score a base")


def test_what_is_refused_travels_and_comes_back(tmp_path: Path) -> None:
    why = pickle.loads(pickle.dumps(Refused("a kind", "tab\tand\nline")))
    assert (why.kind, str(why)) == ("a kind", "tab\tand\nline")
    rejects = [why.of("chr1:5 A>C"), Refused("b", "é").of("x")]
    (tmp_path / "r.tsv").write_bytes(b"head\n" + b"".join(map(row, rejects)))
    assert list(told(kept(rejects))) == list(behind(tmp_path / "r.tsv", 0))
    assert list(behind(tmp_path / "r.tsv", 1)) == [rejects[1]]
    assert kept([]).shape == (0, 3)


def test_items_are_asked_one_by_one_only_where_one_is_refused() -> None:
    asked = []

    def ask(items: Any) -> int:
        asked.append(list(items))
        if 3 in items:
            raise Refused("odd", "three")
        return sum(items)

    assert apart([1, 2], ask, str) == ([([1, 2], 3)], [])
    made, refused = apart([1, 3, 2], ask, str)
    assert made == [([1], 1), ([2], 2)]
    assert [(each.origin, each.kind) for each in refused] == [("3", "odd")]
    assert asked == [[1, 2], [1, 3, 2], [1], [3], [2]]
    with pytest.raises(ZeroDivisionError):
        apart([0], lambda items: 1 / items[0], str)
