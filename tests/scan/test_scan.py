"""Scans end to end, in this process: the right numbers in the right places, and every reject told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nucleoscope
from nucleoscope.scan import InUse, estimate, export, merge
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.regions import job as region_job
from tests.scan.genomes import CHR1, GENOME, attending_net, dense_net, pooled_net, write_fasta

zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
SMALL: dict[str, Any] = {"target": 1, "cell": 100, "shard_bases": 250}


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa")


def chromosome(store: Path | None, name: str = "chr1") -> Any:
    return zarr.open_group(store, mode="r")[f"chromosomes/{name}"][:]


def untiled(net: Any, bases: str, **views: Any) -> Any:
    """Scores of a whole chromosome in one call, of the sum over the output's positions; N has none."""
    X = one_hot([bases])
    scores = nucleoscope.saturation_mutagenesis(net, X, target=1, **views).scores.numpy()[0]
    scores = scores * (net[0] if isinstance(net, list) else net)(X).shape[-1]
    scores[:, np.array(list(bases.upper())) == "N"] = np.nan
    return scores


def same(found: Any, wanted: Any) -> None:
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert np.nanmax(np.abs(found - wanted)) < 1e-6 * np.nanmax(np.abs(wanted))


def test_a_whole_genome_joins_exactly(genome: Path, tmp_path: Path) -> None:
    net = pooled_net()
    done = nucleoscope.scan(net, genome, None, tmp_path / "o", **SMALL)
    assert done.clean
    assert (done.shards, done.done) == (6, 6)
    for name, stored in [("chr1", "chr1"), ("chr2", "chr2"), ("../up", "%2E.%2Fup")]:
        same(chromosome(done.store, stored), untiled(net, GENOME[name]))
    attributes = zarr.open_group(done.store, mode="r").attrs
    assert attributes["genome"] == "g.fa"
    assert len(attributes["model_sha256"]) == len(attributes["genome_sha256"]) == 64
    assert "join exactly" in attributes["tiling"]
    assert {path.name for path in tmp_path.iterdir()} == {"g.fa", "o"}
    assert not (tmp_path / "o/shards").exists()  # the store holds all


@pytest.mark.parametrize(
    "views",
    [
        {"reverse_complement": True},
        {"shifts": (-2, 0, 5)},
        {"reverse_complement": True, "shifts": (1, 0)},
    ],
)
def test_strands_and_shifts_join_exactly(
    genome: Path, tmp_path: Path, views: dict[str, Any]
) -> None:
    """With a stride of 6 in a chromosome of 1,003 bases: each strand has a phase of its own."""
    net = pooled_net()
    done = nucleoscope.scan(net, genome, None, tmp_path / "o", **SMALL, **views)
    assert done.clean, str(done)
    for name, stored in [("chr1", "chr1"), ("../up", "%2E.%2Fup")]:
        same(chromosome(done.store, stored), untiled(net, GENOME[name], **views))


def test_several_models_join_exactly(genome: Path, tmp_path: Path) -> None:
    """Each with halos of its own; and outputs of unlike lengths have no common sum."""
    torch.manual_seed(5)
    nets = [nn.Sequential(nn.Conv1d(4, 3, k, padding=k // 2), nn.Tanh()).eval() for k in (3, 9)]
    done = nucleoscope.scan(
        nets, genome, ["chr1:1-300"], tmp_path / "o", coordinates="genome", **SMALL
    )
    wanted = untiled(nets, CHR1)
    wanted[:, 300:] = np.nan
    same(chromosome(done.store), wanted)
    nets[1] = nn.Sequential(nn.Conv1d(4, 3, 9), nn.Tanh()).eval()
    done = nucleoscope.scan(
        nets, genome, ["chr1:1-30"], tmp_path / "p", coordinates="genome", retries=0, **SMALL
    )
    assert "unlike numbers of outputs" in done.failed[0]


def test_regions_of_a_chromosome_are_the_whole_scan_s(genome: Path, tmp_path: Path) -> None:
    """Whatever the regions: the grid is the chromosome's. Out of order and overlapping are rejected."""
    bed = tmp_path / "r.bed"
    bed.write_text("1\t95\t107\nchr1\t107\t230\nchr1\t200\t240\nchr1\t50\t60\nchr2\t0\t77\n")
    done = nucleoscope.scan(
        pooled_net(), genome, bed, tmp_path / "o", coordinates="genome", **SMALL
    )
    assert done.rejects == {"overlapping or unsorted": 2}
    assert not done.clean
    wanted = untiled(pooled_net(), CHR1)
    wanted[:, :95] = wanted[:, 230:] = np.nan
    same(chromosome(done.store), wanted)
    assert "r.bed line 3\toverlapping or unsorted" in (tmp_path / "o/rejects.tsv").read_text()


def test_rows_are_what_the_method_gives(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "r.narrowPeak"
    bed.write_text("chr1\t480\t520\nchr2\t2\t42\n2\t9\t49\nchr1\t20\t21\n" * 3)
    net = dense_net(60)
    done = nucleoscope.scan(
        net, genome, bed, tmp_path / "o", length=60, target=[0, 1], shard_bases=250
    )
    assert done.clean, str(done)
    held = zarr.open_group(done.store, mode="r")
    assert held["scores"].shape == (12, 2, 4, 60)
    assert held["start"][:4].tolist() == [470, -8, -1, -10]
    bases = [CHR1[470:530], "N" * 8 + GENOME["chr2"][:52]]
    wanted = nucleoscope.saturation_mutagenesis(net, one_hot(bases), target=[0, 1]).scores.numpy()
    for row, sequence in enumerate(bases):
        wanted[row][..., np.array(list(sequence.upper())) == "N"] = np.nan
    same(held["scores"][:2], wanted)
    same(held["scores"][4:6], wanted)


def test_windows_of_one_length(genome: Path, tmp_path: Path) -> None:
    """A model that takes 60 bases, of which each window reports [20, 45)."""
    net = dense_net(60)
    done = nucleoscope.scan(net, genome, None, tmp_path / "o", window=60, report=(20, 45), target=1)
    found = chromosome(done.store)
    for first in (0, 100, 975, 1000):
        lo, hi = first - 20, first + 40
        bases = "N" * max(-lo, 0) + CHR1[max(lo, 0) : hi]
        X = one_hot([bases.ljust(60, "N")])
        scores = nucleoscope.saturation_mutagenesis(net, X, target=1).scores.numpy()[0]
        wide = min(25, len(CHR1) - first)
        same(found[:, first : first + wide], scores[:, 20 : 20 + wide])


def test_a_method_of_whole_sequences(genome: Path, tmp_path: Path) -> None:
    """Gradients score all of a window, of which the bases that are reported are kept."""
    net, given = dense_net(60), {"method": "saliency", "target": 1}
    rows = nucleoscope.scan(net, genome, ["chr1:101-160"], tmp_path / "r", **given)
    along = nucleoscope.scan(
        net,
        genome,
        ["chr1:101-125"],
        tmp_path / "g",
        coordinates="genome",
        window=60,
        report=(20, 45),
        **given,
    )
    wanted = nucleoscope.saliency(net, one_hot([CHR1[100:160]]), target=1).scores.numpy()[0]
    same(zarr.open_group(rows.store, mode="r")["scores"][0], wanted)
    wanted = nucleoscope.saliency(net, one_hot([CHR1[80:140]]), target=1).scores.numpy()[0]
    same(chromosome(along.store)[:, 100:125], wanted[:, 20:45])


def test_masked_bases_may_be_left_out(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "g.fa", {"a": CHR1[:100] + CHR1[100:200].lower()})
    done = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", skip_masked=True, **SMALL)
    wanted = untiled(pooled_net(), CHR1[:200])
    wanted[:, 100:] = np.nan
    same(chromosome(done.store, "a"), wanted)


def test_rejects_are_counted_by_their_reason(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "r.bed"
    bed.write_bytes(
        b"chr1\t0\t60\nchrX\t0\t60\nchr1\t980\t1040\nchr1\t5\t5\nx\nchr\xff\t1\t2\nchr1\t0\t61\nchr1\t9\t69\n"
    )
    done = nucleoscope.scan(dense_net(60), genome, bed, tmp_path / "o", target=0)
    assert done.rejects == {
        "no such chromosome": 1, "beyond the end": 1, "zero length": 1, "not a BED line": 1,
        "not UTF-8": 1, "another length": 1,
    }  # fmt: skip
    assert zarr.open_group(done.store, mode="r")["scores"].shape == (2, 4, 60)
    assert len((tmp_path / "o/rejects.tsv").read_text().splitlines()) == 7
    assert "Left out: 1 no such chromosome" in str(done)


def test_a_scan_with_nothing_but_rejects_ends_well(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("chrX\t0\t60\n")
    done = nucleoscope.scan(dense_net(60), genome, bed, tmp_path / "o", target=0)
    assert (done.shards, done.rejects) == (0, {"no such chromosome": 1})
    assert estimate(dense_net(60), genome, bed, target=0).bases == 0


def test_a_shard_that_fails_is_recorded_and_tried_again_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome = write_fasta(tmp_path / "g.fa", {"a": CHR1[:100], "b": CHR1[:90], "c": CHR1[:70]})
    given: dict[str, Any] = {"target": 1, "shard_bases": 100}
    tile = region_job._Opened._tile

    def failing(opened: Any, piece: Any) -> Any:
        if piece.chromosome == "b":
            raise RuntimeError("out of memory")
        return tile(opened, piece)

    with monkeypatch.context() as device:
        device.setattr(region_job._Opened, "_tile", failing)
        done = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", **given)
    assert (done.done, done.failed) == (2, {1: "RuntimeError: out of memory"})
    assert set(zarr.open_group(done.store, mode="r")["chromosomes"]) == {"a", "c"}
    again = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", resume=True, **given)
    assert again.clean
    whole = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "whole", **given)
    assert contents(again.store) == contents(whole.store)


def test_parts_of_a_scan_and_their_merge(genome: Path, tmp_path: Path) -> None:
    """In any order; the store is that of a scan in one go, byte for byte."""
    whole = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "whole", **SMALL)
    for part in (2, 3):
        done = nucleoscope.scan(
            pooled_net(), genome, None, tmp_path / "o", shard=(part, 3), **SMALL
        )
        assert done.store is None
    with pytest.raises(ValueError, match="2 of 6 shards are not done yet: 0, 3"):
        merge(tmp_path / "o")
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", shard=(1, 3), **SMALL)
    assert contents(merge(tmp_path / "o").store) == contents(whole.store)
    assert merge(tmp_path / "o").clean  # again


def test_a_shard_that_a_member_does_anew_during_a_merge_is_in_the_store(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nucleoscope.scan.results import store
    from nucleoscope.scan.shards.folder import Folder

    whole = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "whole", **SMALL)
    for part in (1, 2):
        nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", shard=(part, 2), **SMALL)
    checkpoint, assemble = tmp_path / "o/shards/0000002.npz", store.assemble
    held = checkpoint.read_bytes()
    checkpoint.unlink()
    Folder(tmp_path / "o").fail(2, "once")

    def meanwhile(folder: Folder) -> Path:
        made = assemble(folder)
        checkpoint.write_bytes(held)
        return made

    monkeypatch.setattr(store, "assemble", meanwhile)
    done = merge(tmp_path / "o")
    assert done.clean
    assert contents(done.store) == contents(whole.store)


def contents(store: Path | None) -> dict[str, bytes]:
    assert store is not None
    files = [path for path in store.rglob("*") if path.is_file()]
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def test_one_writer_at_a_time(genome: Path, tmp_path: Path) -> None:
    from nucleoscope.scan.shards.folder import Folder

    folder = Folder(tmp_path / "o")
    folder.make()
    with folder.lock("part-1-of-1"), pytest.raises(InUse, match="another process is writing"):
        nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", **SMALL)


@pytest.mark.parametrize(
    ("held", "ours", "message"),
    [
        ("part-2-of-3", (1, 1), r"shard 2/3 of an array job .*\(i, 3\)"),
        ("part-2-of-3", (1, 2), r"shard 1/2\) would do some of the same"),
        ("part-1-of-1", (2, 3), r"doing all shards .* until it has ended\.$"),
    ],
)
def test_no_shard_is_done_by_two(
    genome: Path, tmp_path: Path, held: str, ours: tuple[int, int], message: str
) -> None:
    """Resumed as a whole, or in other parts, beside a process that is at some."""
    from nucleoscope.scan.shards.folder import Folder

    out, given = tmp_path / "o", SMALL | {"resume": True}
    nucleoscope.scan(pooled_net(), genome, None, out, shard=(3, 3), **SMALL)
    with Folder(out).lock(held):
        with pytest.raises(InUse, match=message):
            nucleoscope.scan(pooled_net(), genome, None, out, shard=ours, **given)
        if held == "part-2-of-3":
            nucleoscope.scan(pooled_net(), genome, None, out, shard=(1, 3), **given)
    assert nucleoscope.scan(pooled_net(), genome, None, out, **given).clean


def test_a_folder_is_gone_on_with_only_by_the_same_scan(genome: Path, tmp_path: Path) -> None:
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", **SMALL)
    with pytest.raises(ValueError, match="holds a scan already"):
        nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", **SMALL)
    other = copy.deepcopy(pooled_net())
    with torch.no_grad():
        other[0].bias += 1  # type: ignore[index]
    with pytest.raises(ValueError, match="asked for something else: model_sha256 was"):
        nucleoscope.scan(other, genome, None, tmp_path / "o", resume=True, **SMALL)
    changed = SMALL | {"target": 0}
    with pytest.raises(ValueError, match=r"something else: parameters was .*'target': '1'"):
        nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", resume=True, **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "plan"}, "no method of nucleoscope"),
        ({"method": "../x"}, "no method of nucleoscope"),
        ({"method": "saliency", "cell": 9}, "scores whole sequences"),
        ({"start": 3}, "takes no start and end in a scan"),
        ({"colour": 3}, "takes no colour"),
        ({"reverse_target": 1}, "no other strand without reverse_complement=True"),
        ({"reverse_target": [0, 1], "reverse_complement": True}, "names 2 targets, target 1"),
        (
            {"method": "saliency", "window": 60, "reverse_target": 1},
            "reads the same target on both strands; leave it out",
        ),
        ({"coordinates": "moon"}, "use 'regions' or 'genome'"),
        ({"coordinates": "regions"}, "for coordinates='genome' only"),
        ({"length": 7}, "for coordinates='regions' only"),
        ({"report": (1, 2)}, "give window too"),
        ({"window": 60, "report": (5, 70)}, "with 0 <= a < b <= 60"),
        ({"cell": 0}, "1 or more"),
        ({"shard": (3, 2)}, "1 <= i <= n"),
        ({"workers": 0}, "1 or more"),
        ({"progress": "loud"}, "use one of 'bar', 'json', 'none'"),
        ({"regions": []}, "holds no regions"),
        ({"target": (1, 3)}, "cannot be tiled exactly: target: it reads some"),
    ],
)
def test_arguments_that_cannot_be_meant(
    genome: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    given = SMALL | changed
    regions = given.pop("regions", None)
    with pytest.raises((ValueError, TypeError), match=message):
        nucleoscope.scan(pooled_net(), genome, regions, tmp_path / "o", **given)
    assert not (tmp_path / "o/scores.zarr").exists()


def test_a_global_model_is_told_to_take_windows(genome: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)cannot be tiled exactly.* Give window= and report="):
        nucleoscope.scan(dense_net(2048), genome, None, tmp_path / "o", target=0)


def test_an_output_folder_that_cannot_be_made(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        nucleoscope.scan(pooled_net(), genome, None, tmp_path / "file" / "o", **SMALL)


def test_tracks_and_tables(genome: Path, tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")
    done = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", **SMALL)
    names = [path.name for path in export(done, bigwig=True, parquet=True, npz=True)]
    assert names == ["scores.bw", "scores.bw.json", "scores.parquet", "scores.npz"]
    wanted = chromosome(done.store)
    with pybigtools.open(str(tmp_path / "o/scores.bw")) as track:
        assert track.chroms() == {name: len(bases) for name, bases in GENOME.items()}
        np.testing.assert_array_equal(
            track.values("chr1", 0, len(CHR1), fillna=np.nan), wanted.sum(0).astype(np.float32)
        )
    attributes = dict(zarr.open_group(done.store, mode="r").attrs)
    metadata = parquet.read_schema(tmp_path / "o/scores.parquet").metadata
    assert json.loads(metadata[b"nucleoscope"]) == attributes
    beside = json.loads((tmp_path / "o/scores.bw.json").read_text())
    assert beside == {"track": "scores.bw", "target": None, **attributes}
    assert {"method", "parameters", "model_sha256", "genome_sha256", "torch"} <= set(beside)
    table = parquet.read_table(tmp_path / "o/scores.parquet").to_pydict()
    assert len(table["position"]) == sum(len(b) for b in GENOME.values()) - 20
    row = table["chromosome"].index("chr1") + 700 - 20
    assert table["position"][row] == 700
    assert [table[f"score_{n}"][row] for n in range(4)] == wanted[:, 700].tolist()
    with np.load(tmp_path / "o/scores.npz") as held:
        np.testing.assert_array_equal(held["chromosomes/chr1"], wanted)
        assert json.loads(str(held["nucleoscope"])) == attributes


@pytest.mark.parametrize("regions", [None, ["chr7:1-9"]])
def test_tables_and_tracks_without_a_score(tmp_path: Path, regions: list[str] | None) -> None:
    """A chromosome of N, and regions that were all left out: valid files, and a remark."""
    pybigtools = pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")
    genome = write_fasta(tmp_path / "g.fa", {"chr1": "N" * 90})
    done = nucleoscope.scan(pooled_net(), genome, regions, tmp_path / "o", target=1)
    notes: list[str] = []
    export(done, bigwig=True, parquet=True, npz=True, note=notes.append)
    assert notes == ["no base has a score: scores.bw holds a NaN at the first base, and no score"]
    with pybigtools.open(str(tmp_path / "o/scores.bw")) as track:
        assert track.chroms() == {"chr1": 90}
        assert np.isnan(track.values("chr1", 0, 90, fillna=np.nan)).all()
    assert parquet.read_table(tmp_path / "o/scores.parquet").num_rows == 0
    assert "nucleoscope" in np.load(tmp_path / "o/scores.npz")


def test_rows_as_anndata(genome: Path, tmp_path: Path) -> None:
    """A region a row, a site a column, the observed letters' scores; a layer for every further target."""
    read = pytest.importorskip("anndata", reason="anndata writes .h5ad").read_h5ad
    bed = tmp_path / "r.bed"
    bed.write_text("chr1\t480\t540\nchr2\t2\t62\n")
    done = nucleoscope.scan(dense_net(60), genome, bed, tmp_path / "o", target=[0, 1])
    assert export(done, anndata=True) == [tmp_path / "o/scores.h5ad"]
    held, scores = read(tmp_path / "o/scores.h5ad"), zarr.open_group(done.store)["scores"][:]
    assert held.shape == (2, 60)
    np.testing.assert_array_equal(held.X, scores[:, 0].sum(1))
    np.testing.assert_array_equal(held.layers["target1"], scores[:, 1].sum(1))
    assert held.obs["chromosome"].tolist() == ["chr1", "chr2"]
    assert held.obs["start"].tolist() == [480, 2]
    assert "model_sha256" in held.uns["nucleoscope"]
    along = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "g", **SMALL)
    with pytest.raises(ValueError, match="scan regions"):
        export(along, anndata=True)


def test_tracks_of_overlapping_regions_have_their_mean(genome: Path, tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    regions = ["chr1:101-160", "chr1:61-120", "chr2:1-60", "chr1:641-700"]
    done = nucleoscope.scan(dense_net(60), genome, regions, tmp_path / "o", target=[0, 1])
    paths = export(done, bigwig=True)
    names = [f"scores.{target}.bw{end}" for target in range(2) for end in ("", ".json")]
    assert [path.name for path in paths] == names
    scores = zarr.open_group(done.store, mode="r")["scores"][:, 1].sum(1)
    assert json.loads(paths[3].read_text())["target"] == 1
    with pybigtools.open(str(paths[2])) as track:
        found = track.values("chr1", 0, 200, fillna=np.nan)
    assert np.isnan(found[:60]).all()
    assert np.isnan(found[160:]).all()
    np.testing.assert_allclose(found[60:100], scores[1, :40], rtol=1e-6)
    np.testing.assert_allclose(found[100:120], (scores[1, 40:] + scores[0, :20]) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[120:160], scores[0, 20:], rtol=1e-6)


def test_hypothetical_scores_are_no_track(genome: Path, tmp_path: Path) -> None:
    pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    done = nucleoscope.scan(
        dense_net(60), genome, ["chr1:1-60"], tmp_path / "o", target=0, hypothetical=True
    )
    with pytest.raises(ValueError, match="a track has one"):
        export(done, bigwig=True)


def test_attention_of_many_rows_is_no_track(genome: Path, tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools", reason="pybigtools writes bigWig")
    given: dict[str, Any] = {"method": "attention_rollout", "per_base": True}
    every = nucleoscope.scan(attending_net(), genome, ["chr1:1-60"], tmp_path / "o", **given)
    with pytest.raises(ValueError, match=r"this scan 30, one a row: scan with rows="):
        export(every, bigwig=True)
    given["rows"] = [3]
    one = nucleoscope.scan(attending_net(), genome, ["chr1:1-60"], tmp_path / "p", **given)
    export(one, bigwig=True)
    with pybigtools.open(str(tmp_path / "p/scores.bw")) as track:
        found = track.values("chr1", 0, 60, fillna=np.nan)
    stored = zarr.open_group(one.store, mode="r")["scores"][0, 0]
    np.testing.assert_allclose(found, stored, rtol=1e-6)


def test_progress_in_lines_of_json(
    genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", progress="json", **SMALL)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [t["event"] for t in told] == ["began", *["shard"] * 6, "ended"]
    total = sum(len(b) for b in GENOME.values())
    assert told[-1]["done"] == told[-1]["total"] == total
    assert told[1]["eta"] > 0


@pytest.mark.parametrize("regions", [None, ["chr1:1-60", "chr1:201-260"]])
def test_estimates(genome: Path, regions: list[str] | None) -> None:
    net = pooled_net() if regions is None else dense_net(60)
    found = estimate(net, genome, regions, target=1)
    assert found.bases == (sum(map(len, GENOME.values())) if regions is None else 120)
    assert 0 < found.seconds < 60
    assert found.memory > 1 << 30
    assert found.disk == found.bases * 4 * 4 * 2
    assert "bases a second" in str(found)


class TwoReaches(nn.Module):
    """One output sees 3 bases, the other 41: each [N, 1, L]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.near, self.far = (nn.Conv1d(4, 1, k, padding=k // 2) for k in (3, 41))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"near": self.near(x).tanh(), "far": self.far(x).tanh()}


def test_the_other_strand_s_target_has_a_halo_too(genome: Path, tmp_path: Path) -> None:
    net = TwoReaches().eval()
    asked: dict[str, Any] = {
        "target": ("near", 0), "reverse_target": ("far", 0), "reverse_complement": True,
    }  # fmt: skip
    done = nucleoscope.scan(
        net, genome, ["chr1:1-200"], tmp_path / "o", coordinates="genome", cell=50, **asked
    )
    assert done.clean, str(done)
    found = nucleoscope.saturation_mutagenesis(net, one_hot([CHR1]), **asked)
    same(chromosome(done.store)[:, :200], found.scores.numpy()[0][:, :200] * len(CHR1))


def test_pieces_may_be_shorter_than_a_shift(genome: Path, tmp_path: Path) -> None:
    """In the middle, and at both ends of a chromosome."""
    views: dict[str, Any] = {"shifts": (-4, 0, 5)}
    wanted = untiled(pooled_net(), CHR1, **views)
    regions = ["chr1:1-3", "chr1:101-104", "chr1:1002-1003"]
    done = nucleoscope.scan(
        pooled_net(), genome, regions, tmp_path / "o", coordinates="genome", **SMALL, **views
    )
    assert done.clean, str(done)
    for low, high in [(0, 3), (100, 104), (1001, 1003)]:
        same(chromosome(done.store)[:, low:high], wanted[:, low:high])
