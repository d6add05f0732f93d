"""A scan by a linear trunk: its scores are the method's, marked, and its error is kept with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nucleoscope
from nucleoscope import LinearTrunk
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.trunk import FIGURES, summary, write
from tests.scan.genomes import CHR1, GENOME, attending_net, pooled_net, write_fasta

zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
HOW = LinearTrunk(rerun=0.1, sample=8, level=0.8)
GIVEN: dict[str, Any] = {"target": 1, "trunk": HOW, "verify": 0}


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa")


def table(out: Path) -> list[dict[str, str]]:
    with (out / "trunk.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def compare(line: dict[str, str], facts: dict[str, Any], target: int = 0) -> None:
    """A line of the table has what the method says of that call."""
    for name in FIGURES[1:]:
        assert float(line[name]) == pytest.approx(facts["targets"][target][name], rel=1e-5)


def test_regions_keep_marks_and_certificates(genome: Path, tmp_path: Path) -> None:
    """Two shards, a call each, of two targets."""
    regions = ["chr1:101-140", "chr1:201-240", "chr1:301-340"]
    given = {**GIVEN, "target": [0, 1]}
    done = nucleoscope.scan(
        attending_net(), genome, regions, tmp_path / "o", length=40, shard_bases=80, **given
    )
    assert done.clean, str(done)
    held = zarr.open_group(done.store, mode="r")
    lines = table(tmp_path / "o")
    calls = [(0, slice(0, 2), "regions 0 to 1"), (1, slice(2, 3), "chr1:301-340")]
    assert [(int(each["shard"]), each["where"], each["target"]) for each in lines] == [
        (shard, where, str(target)) for shard, _, where in calls for target in range(2)
    ]
    for shard, rows, _ in calls:
        X = one_hot([CHR1[100:140], CHR1[200:240], CHR1[300:340]][rows])
        want = nucleoscope.saturation_mutagenesis(attending_net(), X, **given)
        assert want.exact is not None
        assert np.array_equal(held["exact"][rows], want.exact.numpy())
        np.testing.assert_allclose(held["scores"][rows], want.scores.numpy(), rtol=1e-4, atol=1e-8)
        for target in range(2):
            compare(lines[2 * shard + target], want.facts["trunk"], target)
            share = float(want.exact.float().mean())
            assert float(lines[2 * shard + target]["exact_share"]) == pytest.approx(share, 1e-5)
    assert 0 < held["exact"][:].mean() < 1
    assert "trunk.tsv has each" in str(done)
    assert held.attrs["trunk"] == done.trunk == summary(tmp_path / "o/trunk.tsv")
    assert "APPROXIMATE but where `exact` says so" in held.attrs["scores"]
    assert "LinearTrunk(rerun=0.1, sample=8" in held.attrs["parameters"]["trunk"]


def test_windows_along_a_chromosome(genome: Path, tmp_path: Path) -> None:
    done = nucleoscope.scan(
        attending_net(), genome, ["chr1:51-150", "chr1:481-540"], tmp_path / "o", coordinates="genome",
        window=60, report=(10, 50), shard_bases=50, **GIVEN,
    )  # fmt: skip
    assert done.clean, str(done)
    held = zarr.open_group(done.store, mode="r")
    assert list(held["chromosomes"]) == ["chr1"]  # marks lie beside scores, and not among them
    scores, exact = held["chromosomes/chr1"][:], held["exact/chr1"][:]
    assert exact.dtype == np.bool_
    assert not exact[np.isnan(scores).all(0)][:50].any()
    X = one_hot([CHR1[70:130]])
    want = nucleoscope.saturation_mutagenesis(attending_net(), X, start=10, end=50, **GIVEN)
    assert want.exact is not None
    assert np.array_equal(exact[80:120], want.exact[0].numpy())
    np.testing.assert_allclose(scores[:, 80:120], want.scores[0].numpy(), rtol=1e-4, atol=1e-8)
    lines = {each["where"]: each for each in table(tmp_path / "o")}
    assert list(lines) == [
        "chr1:51-80", "chr1:81-120", "chr1:121-150", "chr1:481-520", "chr1:521-540",
    ]  # fmt: skip
    compare(lines["chr1:81-120"], want.facts["trunk"])


def test_killed_and_resumed_it_is_the_same(genome: Path, tmp_path: Path) -> None:
    """The second of two parts first, as after a kill; table and marks are laid down in order at the end."""
    given = {**GIVEN, "length": 40, "shard_bases": 40}
    regions = ["chr1:101-140", "chr1:201-240"]
    nucleoscope.scan(attending_net(), genome, regions, tmp_path / "a", **given)
    for shard in ((2, 2), (1, 2)):
        nucleoscope.scan(attending_net(), genome, regions, tmp_path / "b", shard=shard, **given)
    done = nucleoscope.scan(attending_net(), genome, regions, tmp_path / "b", resume=True, **given)
    assert done.trunk
    assert (tmp_path / "a/trunk.tsv").read_bytes() == (tmp_path / "b/trunk.tsv").read_bytes()
    a, b = (zarr.open_group(tmp_path / name / "scores.zarr", mode="r") for name in "ab")
    assert np.array_equal(a["exact"][:], b["exact"][:])
    assert np.array_equal(a["scores"][:], b["scores"][:], equal_nan=True)
    with pytest.raises(ValueError, match="asked for something else: parameters"):
        nucleoscope.scan(
            attending_net(), genome, regions, tmp_path / "b", resume=True, **(given | {"trunk": "exact"})
        )  # fmt: skip


def test_an_exact_scan_has_neither(genome: Path, tmp_path: Path) -> None:
    regions = ["chr1:101-140"]
    done = nucleoscope.scan(
        attending_net(), genome, regions, tmp_path / "o", target=1, trunk="exact"
    )
    assert done.clean
    assert done.trunk == ""
    assert "exact" not in zarr.open_group(done.store, mode="r")
    assert not (tmp_path / "o/trunk.tsv").exists()
    assert json.loads((tmp_path / "o/manifest.json").read_text())["trunk"] is False


@pytest.mark.parametrize(
    ("net", "given", "message"),
    [
        (pooled_net, {"length": 60}, "this model has no trunk: .*Leave trunk out"),
        (pooled_net, {"coordinates": "genome"}, "this model has no trunk"),
        (attending_net, {"coordinates": "genome"}, r"cannot be tiled exactly: .*Give window="),
        (attending_net, {"reverse_complement": True}, "one model, one strand and no shift"),
        (attending_net, {"shifts": (0, 1)}, "one by one, each into a folder of its own"),
        (lambda: [attending_net()] * 2, {}, "one model, one strand"),
        (attending_net, {"trunk": "cubic"}, "trunk='cubic': use 'exact', 'linear'"),
    ],
)
def test_what_is_refused_before_a_shard_is_begun(
    genome: Path, tmp_path: Path, net: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        nucleoscope.scan(net(), genome, ["chr1:1-60"], tmp_path / "o", **{**GIVEN, **given})
    assert not (tmp_path / "o/manifest.json").exists()


def test_other_methods_take_none(genome: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="saliency takes no trunk in a scan"):
        nucleoscope.scan(
            attending_net(), genome, ["chr1:1-60"], tmp_path / "o", method="saliency", trunk="linear"
        )  # fmt: skip
    (tmp_path / "v.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    )
    with pytest.raises(TypeError, match=r"variants takes no trunk: .* are scored exactly"):
        nucleoscope.variants(
            attending_net(), genome, tmp_path / "v.vcf", tmp_path / "p", length=60, trunk="linear"
        )  # fmt: skip


def test_a_shard_s_own_refusal_is_kept(genome: Path, tmp_path: Path) -> None:
    """Where neither length nor window is given, what a region's length is is seen in its shard."""
    done = nucleoscope.scan(pooled_net(), genome, ["chr1:1-60"], tmp_path / "o", retries=0, **GIVEN)
    assert "this model has no trunk" in done.failed[0]


def test_the_table_in_a_sentence(tmp_path: Path) -> None:
    row = [0.25, 0.5, 1.5, 0.1, 0.3, 0.02, 24.0, 2e-3, 0.9, 8.0]
    figures = np.array([row, [*row[:1], np.nan, *row[2:7], np.inf, *row[8:]]])
    write(tmp_path / "trunk.tsv", [(0, "chr1:1-9", figures), (3, "chr1:9-12", figures[:1])])
    said = summary(tmp_path / "trunk.tsv")
    assert "but for 25.0% of the sites, in 3 calls and targets: r 0.500, at worst 0.500" in said
    assert "off by inf or less" in said
    assert summary(tmp_path / "none.tsv") == ""
    write(tmp_path / "none.tsv", [])
    assert summary(tmp_path / "none.tsv") == "APPROXIMATE (linear trunk): no call gave scores"


def test_no_scores_at_all(genome: Path, tmp_path: Path) -> None:
    """N alone along a chromosome: no call is made."""
    done = nucleoscope.scan(
        attending_net(), genome, ["chr1:501-520"], tmp_path / "o", coordinates="genome", window=60, **GIVEN
    )  # fmt: skip
    assert GENOME["chr1"][500:520] == "N" * 20
    assert done.trunk == "APPROXIMATE (linear trunk): no call gave scores"
