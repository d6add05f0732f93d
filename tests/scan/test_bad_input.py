"""Whatever a user's files hold: each thing is counted and told, the rest goes on, the exit code says so."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nucleoscope.cli import main
from nucleoscope.scan.genome.lines import lines, position
from nucleoscope.scan.results.store import LONGEST, safe_name
from nucleoscope.scan.shards.folder import MARK, Folder
from tests.scan.genomes import CHR1, write_fasta

zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
GIVEN = ("--model", "tests.scan.genomes:pooled_net", "--target", "1", "--verify", "0")
HEAD = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GOOD = b"chr1\t10\t70\n"
OTHERS = (  # called as ours are, or nearly
    "notes.txt", "items.tsv", "rejects.tsv", "shards.npy", "manifest.json", "prepare.lock", "Cargo.lock",
    ".movie.partial", ".items.tsv.12.partial",
)  # fmt: skip
REGIONS = {  # a line each, as bytes, and how it is called; None: nothing is wrong with it
    b"browser position chr7:1-2": None,
    b'track name="x y"': None,
    b"chr1\t10\t70": None,
    b"2\t2\t62\r": None,
    b"chrX\t0\t60": "no such chromosome",
    b"../../etc/passwd\t0\t60": "no such chromosome",
    b"chr1\t980\t1040": "beyond the end",
    b"chr1\t5\t5": "zero length",
    b"chr1\t9\t5": "end before start",
    b"chr\xff\t1\t2": "not UTF-8",
    b"chr1\t1.0\t61": "not a BED line",
    b"chr1\t0\t" + b"9" * 5000: "not a BED line",
    "chr1\t\u0663\t70".encode(): "not a BED line",
    b"chr1\t0\t61": "another length",
    b"../up\t0\t60": None,
}


def run(command: str, genome: Path, out: Path, *given: object) -> Result:
    typed = ("--genome", str(genome), "--out", str(out), *map(str, given))
    return CliRunner().invoke(main, [command, *GIVEN, *typed])


def rejected(out: Path) -> Counter[str]:
    rows = (out / "rejects.tsv").read_text().splitlines()[1:]
    return Counter(row.split("\t")[1] for row in rows)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa")


def test_every_bad_region_is_told(genome: Path, tmp_path: Path) -> None:
    """From a file that is gzipped but not called so, beside a name that would lead out of the folder."""
    bed, out = tmp_path / "r.bed", tmp_path / "o"
    bed.write_bytes(gzip.compress(b"\n".join(REGIONS)))
    before = {path.name for path in tmp_path.iterdir()}
    done = run("scan", genome, out, "--bed", bed, "--npz")
    assert done.exit_code == 3, done.output
    assert rejected(out) == Counter(kind for kind in REGIONS.values() if kind)
    assert Folder(out).manifest["rejects"] == rejected(out)
    held = zarr.open_group(out / "scores.zarr", mode="r")
    assert held["start"][:].tolist() == [10, 2, 0]
    assert not np.isnan(held["scores"][:]).any()
    assert {path.name for path in tmp_path.iterdir()} - before == {"o"}


def test_along_chromosomes_regions_are_sorted_and_apart(genome: Path, tmp_path: Path) -> None:
    bed, out = tmp_path / "r.bed", tmp_path / "o"
    bed.write_text("chr1\t100\t160\nchr1\t150\t170\nchr1\t0\t9\nchr1\t160\t170\n../up\t0\t9\n")
    before = {path.name for path in tmp_path.iterdir()}
    done = run("scan", genome, out, "--bed", bed, "--coordinates", "genome")
    assert done.exit_code == 3, done.output
    assert rejected(out) == {"overlapping or unsorted": 2}
    held = zarr.open_group(out / "scores.zarr", mode="r")["chromosomes"]
    assert np.flatnonzero(~np.isnan(held["chr1"][0])).tolist() == list(range(100, 170))
    assert sorted(dict(held.members())) == ["%2E.%2Fup", "chr1"]
    assert {path.name for path in tmp_path.iterdir()} - before == {"o"}


def test_every_bad_variant_is_told(genome: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    pysam = pytest.importorskip("pysam", reason="pysam writes VCF")
    r = CHR1[99]
    a, b, _ = "ACGT".replace(r, "")
    rows = {
        f"chr1\t100\t.\t{r}\t{a}": [],
        f"1\t100\t.\t{r.lower()}\t{a.lower()}": ["duplicate"],
        f"chr1\t100\t.\t{a}\t{r}": ["REF is not the genome's"],
        f"chr1\t100\t.\t{r}\t<DEL>,*,{b},[chr1:5[{a}": ["symbolic allele"] * 3,
        f"chr1\t100\t.\t{r}\t.": ["no alternative"],
        f"chr1\t100\t.\t{r}\tR": ["unknown bases"],
        f"chr9\t100\t.\t{r}\t{a}": ["no such chromosome"],
        f"../../x\t100\t.\t{r}\t{a}": ["no such chromosome"],
        f"chr1\t1004\t.\t{r}\t{a}": ["beyond the end"],
        f"chr1\t{'9' * 5000}\t.\t{r}\t{a}": ["not a VCF line"],
        f"chr1 100 . {r} {a}": ["not a VCF line"],
        f"chr1\t100\t\udcff\t{r}\t{a}": ["not UTF-8"],
        f"../up\t100\t.\t{r}\t{r}": ["REF is not the genome's"],
    }
    body = "".join(f"{row}\t.\t.\t.\r\n" for row in rows).encode("utf-8", "surrogateescape")
    vcf, out = tmp_path / "v.vcf", tmp_path / "o"
    vcf.write_bytes(gzip.compress(b"\xef\xbb\xbf" + HEAD + body))
    before = {path.name for path in tmp_path.iterdir()}
    done = run("variants", genome, out, "--vcf", vcf, "--length", "61")
    assert done.exit_code == 3, done.output
    assert rejected(out) == Counter(kind for kinds in rows.values() for kind in kinds)
    with pysam.VariantFile(str(out / "variants.vcf.gz")) as file:
        scored = [record.info["NS_DIFFERENCE"] for record in file if "NS_DIFFERENCE" in record.info]
    assert [[each is not None for each in line] for line in scored] == [
        [True], [False, False, True, False],
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} - before == {"o"}


def test_a_folder_with_files_of_others_is_left_alone(genome: Path, tmp_path: Path) -> None:
    """Also where they are called as ours are: a finished run removes its scratch folder."""
    bed = tmp_path / "r.bed"
    bed.write_bytes(GOOD)
    for name in (*OTHERS, "scratch/thesis.txt", "shards/data.npz", "scores.zarr/zarr.json"):
        out = tmp_path / f"of {name.replace('/', ' ')}"
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("a year's work")
        for more in ((), ("--resume",), ("--shard", "1/2")):
            done = run("scan", genome, out, "--bed", bed, *more)
            assert done.exit_code == 1
            assert "name a new folder, or an empty one" in done.output
            assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
            assert (out / name).read_text() == "a year's work"
    (tmp_path / "linked").mkdir()
    (tmp_path / "o").mkdir()
    (tmp_path / "o/scratch").symlink_to(tmp_path / "linked")
    assert (
        "other files, such as scratch" in run("scan", genome, tmp_path / "o", "--bed", bed).output
    )


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"name": "app"}', '{"format": 1, "items": 2}', "\xff"]
)
def test_a_manifest_of_others_is_left_alone(genome: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "app"
    out.mkdir()
    for name in ("items.tsv", "manifest.json"):  # and with what a scan has beside it
        (out / name).write_bytes(text.encode("latin-1"))
        for more in ((), ("--resume",), ("--shard", "1/2")):
            assert run("scan", genome, out, *more).exit_code == 1
        assert CliRunner().invoke(main, ["merge", str(out)]).exit_code == 1
    assert {path.name for path in out.rglob("*")} == {"items.tsv", "manifest.json"}


def test_a_finished_run_removes_what_is_its_own(genome: Path, tmp_path: Path) -> None:
    """What a killed process left is gone; what a user put beside it since is not."""
    out, bed = tmp_path / "o", tmp_path / "r.bed"
    bed.write_bytes(GOOD)
    assert run("scan", genome, out, "--bed", bed, "--shard", "1/1").exit_code == 0
    left = (
        ".items.tsv.12.partial", ".scores.12.partial.bw", "shards/0000000.npz",
        "shards/.0000001.npz.7.partial",
    )  # fmt: skip
    kept = (".movie.partial", ".items.tsv.partial", "notes.txt", "shards/mine.npz", "failed/a.txt")
    for name in (*left, *kept):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("text")
    assert run("scan", genome, out, "--bed", bed, "--resume").exit_code == 0
    assert not any((out / name).exists() for name in left)
    assert all((out / name).read_text() == "text" for name in kept)
    (out / "scratch").mkdir()
    (out / "scratch/thesis.txt").touch()
    assert "such as scratch" in run("scan", genome, out, "--bed", bed, "--resume").output
    assert (out / "scratch/thesis.txt").exists()


def test_a_folder_of_before_there_was_a_mark_is_gone_on_with(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "r.bed"
    bed.write_bytes(GOOD)
    assert run("scan", genome, tmp_path / "o", "--bed", bed, "--shard", "1/2").exit_code == 0
    (tmp_path / "o" / MARK).unlink()
    assert run("scan", genome, tmp_path / "o", "--bed", bed, "--resume").exit_code == 0
    assert (tmp_path / "o" / MARK).exists()


def test_a_folder_of_a_run_that_did_not_get_far_is_taken_again(
    genome: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "r.bed"
    for content, code in [(b"# no region\n", 1), (GOOD, 0), (GOOD, 1)]:
        bed.write_bytes(content)
        assert run("scan", genome, tmp_path / "o", "--bed", bed).exit_code == code


@pytest.mark.parametrize("text", [b"a\nb\r\nc", b"\xef\xbb\xbfa\r\nb\nc\n"])
def test_lines_of_every_kind(tmp_path: Path, text: bytes) -> None:
    for name, content in [("x", text), ("x.gz", text), ("y", gzip.compress(text))]:
        (tmp_path / name).write_bytes(content)
        assert list(lines(tmp_path / name, "BED")) == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_lines_that_end_in_cr_alone_are_told_once(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "r.bed"
    bed.write_bytes(b"chr1\t0\t60\rchr1\t60\t120\r")
    done = run("scan", genome, tmp_path / "o", "--bed", bed)
    assert done.exit_code == 1
    assert "end in CR alone" in done.output
    (tmp_path / "v.vcf").write_bytes(HEAD.replace(b"\n", b"\r"))
    with pytest.raises(ValueError, match="end in CR alone"):
        list(lines(tmp_path / "v.vcf", "VCF"))


def test_positions_and_names() -> None:
    assert [position(t) for t in ("0", "12", "", "-1", "+1", "1_0", " 1", "9" * 19)] == [
        0, 12, *[None] * 6,
    ]  # fmt: skip
    names = ["a", "..", "a/b", "x" * 300, "x" * 299 + "y", "\u00e9" * 100]
    stored = list(map(safe_name, names))
    assert len(set(stored)) == len(names)
    assert max(map(len, stored)) <= LONGEST
    assert not any(set(name) & set("/\\") or name.startswith(".") for name in stored)


STREAMED = """
import resource, sys
from pathlib import Path
from nucleoscope.scan.shards.folder import MARK, Folder
from nucleoscope.scan.genome.genome import Genome
from nucleoscope.scan.genome.regions import stream_bed
from nucleoscope.scan.regions.sources import Sieve

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

genome = Genome(Path("g.fa"), {{"chr1": 1 << 28}}, None)
for count in (10_000, {count}):
    with open("r.bed", "w") as file:
        for n in range(count):
            file.write(f"chr{{1 + n % 2}}\\t{{10 * n}}\\t{{10 * n + 8}}\\n")
    folder = Folder(Path(f"o{{count}}"))
    folder.make()
    before = peak()
    folder.prepare(Sieve(genome, None, None).items(stream_bed(Path("r.bed"))), 1 << 17, {{}})
    print(folder.manifest["items"], folder.manifest["rejects"]["no such chromosome"], peak() - before)
"""


@pytest.mark.parametrize("count", [200_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_a_long_bed_file_is_streamed(tmp_path: Path, count: int) -> None:
    """Half of its lines are rejected, half become items; memory in MB, of a process of its own."""
    command = [sys.executable, "-c", STREAMED.format(count=count)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    _, last = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert last[:2] == [count // 2, count // 2]
    assert last[2] < 30, "MB more than for 10,000 lines"
