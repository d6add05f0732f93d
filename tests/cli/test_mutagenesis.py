"""`nucleoscope mutagenesis`: the same numbers as the function, and a clear word for bad input."""

from __future__ import annotations

import gzip
import itertools
import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.cli.options import memory
from nucleoscope.scan.letters import one_hot, reverse_complement

MODEL = """
import torch
from torch import nn

def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 3, 3, padding=1))

class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()
    def forward(self, x):
        return self.net(x.mT)

class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()
    def forward(self, x):
        return torch.tanh(torch.roll(self.net(x), 1, 2))

ready = net()
number = 3
def text(): return "no model"
class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(400, 2)
    def forward(self, x):
        return self.dense(x.flatten(1))
class Untraceable(nn.Module):
    def forward(self, x):
        return x.sum((1, 2)) if float(x.sum()) > 0 else x.mean((1, 2))
"""
CHROMOSOME = "".join(itertools.islice(itertools.cycle("ACGTTGCAAGGCTTAC"), 300))
GENOME = {"chr1": CHROMOSOME, "chr2": "acgtNnRYacgt" * 5}
numbers = itertools.count()

Run = Callable[..., Result]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """The name of a module of models, importable from the folder that the command runs in."""
    name = f"models_{next(numbers)}"
    (tmp_path / f"{name}.py").write_text(MODEL)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def run(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a folder that holds a genome and a module of models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    records = (f">{name} described\n{bases}\n" for name, bases in GENOME.items())
    Path("genome.fa").write_text("".join(records))
    Path("regions.bed").write_text("# a comment\ntrack x\nchr1\t10\t50\tfirst\nchr1\t100\t140\n")

    def invoke(*given: str, **changed: str | None) -> Result:
        options: dict[str, str | None] = {
            "model": f"{module}:net", "fasta": "genome.fa", "bed": "regions.bed", "out": "o.npz",
        }  # fmt: skip
        options |= changed
        typed = [text for name, value in options.items() if value for text in (f"--{name}", value)]
        keep = [] if "--keep" in given else ["--overwrite"]
        given = tuple(text for text in given if text != "--keep")
        return CliRunner().invoke(main, ["mutagenesis", *typed, *keep, *given])

    return invoke


def read(module: str, name: str) -> torch.nn.Module:
    made = getattr(sys.modules[module], name)
    return (made if isinstance(made, torch.nn.Module) else made()).eval()


def same(regions: list[str], net: torch.nn.Module, **asked: object) -> None:
    """o.npz holds what the function gives for these sequences."""
    layout = str(asked.get("layout", "NCL"))
    expected = nucleoscope.saturation_mutagenesis(net, one_hot(regions, layout=layout), **asked)  # type: ignore[arg-type]
    written = nucleoscope.Attribution.load("o.npz")
    torch.testing.assert_close(written.scores, expected.scores)
    assert written.axes == expected.axes


def test_numbers_are_those_of_the_function(run: Run, module: str) -> None:
    done = run("--target", "1,20")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], read(module, "net"), target=(1, 20))
    written = nucleoscope.Attribution.load("o.npz")
    assert written.facts["regions"] == [
        {"chromosome": "chr1", "start": 10, "end": 50},
        {"chromosome": "chr1", "start": 100, "end": 140},
    ]
    assert written.facts["fasta"] == "genome.fa"
    assert written.checks[0].passed
    assert "passed  verification" in done.output


def test_every_option_arrives(run: Run, module: str) -> None:
    done = run(
        "--target", "0:2", "--target", "0,-1", "--hypothetical", "--center", "none", "--precision",
        "fp64", "--verify", "0", "--memory", "200M", "--layout", "NLC", "--length", "20", bed=None,
        region="chr1:101-140", model=f"{module}:Last",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    asked = {"hypothetical": True, "center": "none", "precision": "fp64", "layout": "NLC"}
    targets = [slice(0, 2), (0, -1)]
    same([CHROMOSOME[110:130]], read(module, "Last"), target=targets, **asked)
    assert nucleoscope.Attribution.load("o.npz").checks == ()


def test_dry_run_prints_the_plan_and_writes_nothing(run: Run) -> None:
    done = run("--dry-run", out=None)
    assert done.exit_code == 0, done.output
    assert "Plan: 120 substitutions per sequence" in done.output
    assert not Path("o.npz").exists()


def test_progress_on_demand(run: Run) -> None:
    assert "edits/s" in run("--progress").stderr
    assert "edits/s" not in run("--no-progress").stderr


def test_letters_of_every_kind(run: Run, module: str) -> None:
    """Lower case, N, and codes for several letters."""
    assert run(bed=None, region="chr2:1-60").exit_code == 0
    same([GENOME["chr2"].upper()], read(module, "net"))
    X = one_hot(["acgtNR"])
    assert X[0].T.tolist() == [*torch.eye(4).tolist(), [0, 0, 0, 0], [0.5, 0, 0.5, 0]]
    assert reverse_complement("AACRn") == "nYGTT"
    with pytest.raises(ValueError, match="sequence 1 has '-' at its position 3"):
        one_hot(["AC-T"])


def test_untraceable_model_runs_by_the_loop_and_says_so(run: Run, module: str) -> None:
    done = run(model=f"{module}:Untraceable")
    assert done.exit_code == 0, done.output
    assert "Warning: the model cannot be traced, so the plain loop runs" in done.stderr


@pytest.mark.parametrize("kind", ["state", "checkpoint", "safetensors"])
def test_weights(run: Run, kind: str) -> None:
    torch.manual_seed(5)
    net = torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv1d(6, 3, 3, padding=1)
    ).eval()
    if kind == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
        from safetensors.torch import save_file

        save_file(net.state_dict(), "w.safetensors")
    else:
        state = net.state_dict()
        torch.save({"state_dict": state} if kind == "checkpoint" else state, "w.pt")
    done = run(weights="w.safetensors" if kind == "safetensors" else "w.pt")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], net)


class Malicious:
    """Unpickling this makes a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("wrapped", ["pickle", "zip"])
def test_nothing_is_unpickled(run: Run, wrapped: str) -> None:
    if wrapped == "zip":
        torch.save({"0.weight": Malicious()}, "w.pt")
    else:
        Path("w.pt").write_bytes(pickle.dumps(Malicious()))
    done = run(weights="w.pt")
    assert done.exit_code == 1
    assert "does not hold a plain state dict" in done.output
    assert not Path("executed").exists()


def test_exported_program_needs_trust(run: Run, module: str) -> None:
    assert run().exit_code == 0  # which imports the module
    net = read(module, "net")
    sample = one_hot([CHROMOSOME[10:50]] * 2)
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(net, (sample,), dynamic_shapes=shapes), "net.pt2")
    refused = run(model="net.pt2")
    assert refused.exit_code == 2
    assert "can run any code" in refused.output
    done = run("--trust", model="net.pt2")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], net)


def test_exported_for_one_batch_size(run: Run, module: str) -> None:
    assert run().exit_code == 0
    net, sample = read(module, "net"), one_hot([CHROMOSOME[10:50]])
    torch.export.save(torch.export.export(net, (sample,)), "net.pt2")
    done = run("--trust", model="net.pt2", bed=None, region="chr1:101-140")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[100:140]], net)


def test_exported_in_training_mode(run: Run) -> None:
    net = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.Dropout(0.5)).train()
    torch.export.save(torch.export.export(net, (one_hot([CHROMOSOME[:40]]),)), "net.pt2")
    done = run("--trust", model="net.pt2")
    assert done.exit_code == 1
    assert "was exported in training mode (aten.dropout.default)" in done.output


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"0.weight": torch.zeros(2, 2)}, r"3 missing: 0.bias, 2.bias, 2.weight"),
        ({"0.weight": torch.zeros(2, 2)}, r"1 of another shape: 0.weight is (2, 2), the model's"),
        ({"module.0.weight": torch.zeros(2)}, r"1 unknown to the model: module.0.weight"),
        ([torch.zeros(2)], "holds no state dict"),
    ],
)
def test_weights_that_do_not_fit(run: Run, weights: object, message: str) -> None:
    torch.save(weights, "w.pt")
    done = run(weights="w.pt")
    assert done.exit_code == 1
    assert message in done.output


@pytest.mark.parametrize(
    ("bed", "message"),
    [
        ("chr1\t10\n", "regions.bed line 1: a BED line has at least"),
        ("chr1\t10\t50\n\nchr1\tten\t50\n", "regions.bed line 3: start and end must be whole"),
        ("chr1\t-3\t50\n", "line 1: start and end must be whole"),
        ("chr1\t50\t50\n", "line 1: the end must lie behind the start"),
        ("# nothing\n\n", "holds no regions"),
        ("chr1\t10\t50\nchr1\t10\t60\n", "40 at regions.bed line 1, 50 at regions.bed line 2"),
        ("chr1\t10\t301\n", "chr1:11-301 ends beyond chr1, which has 300 bases"),
        ("1\t10\t50\n", "has no sequence '1'; it calls it 'chr1'"),
        ("trackless\t10\t50\n", "has no sequence 'trackless'"),
        ("\xef\xbb\xbfchrX\t10\t50\n", "has no sequence 'chrX'"),
        ("chrX\t10\t50\n", "has no sequence 'chrX'; it has chr1, chr2"),
        ("chr1 10 50 \x00\xff", ""),
    ],
)
def test_bad_regions(run: Run, bed: str, message: str) -> None:
    Path("regions.bed").write_bytes(bed.encode("latin-1"))
    done = run()
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output
    assert not Path("o.npz").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"region": "chr1:1-40"}, "give one of --bed and --region"),
        ({"bed": None}, "give one of --bed and --region"),
        ({"bed": None, "region": "chr1"}, "'chr1' is no region: write chr1:1,001-2,000"),
        ({"bed": None, "region": "chr1:0-10"}, "positions count from 1"),
        ({"out": None}, "give --out FILE.npz, or --dry-run"),
        ({"alphabet": "ACG\u03a9"}, "is no alphabet: write each letter once"),
        ({"alphabet": "ACGG"}, "is no alphabet: write each letter once"),
        ({"out": "scores.txt"}, "must end in .npz"),
        ({"out": "nowhere/o.npz"}, "is not a folder that can be written to"),
        ({"target": "1;2"}, "'1;2' is neither a number, a range"),
        ({"target": "one"}, "it has no names"),
        ({"target": "7"}, "does not index one sequence's output"),
        ({"memory": "much"}, "no amount of memory"),
        ({"memory": "12"}, "less than 1M"),
        ({"device": "abacus"}, "'abacus' cannot be used"),
        ({"model": "net"}, "write module:callable, or name a .pt2 file"),
        ({"model": "no.such:net"}, "No module named 'no'"),
        ({"model": "net.pt2"}, "there is no file 'net.pt2'"),
        ({"fasta": "none.fa"}, "'none.fa' does not exist"),
        ({"verify": "-1"}, "'--verify'"),
        ({"length": "0"}, "'--length'"),
    ],
)
def test_bad_usage(run: Run, changed: dict[str, str | None], message: str) -> None:
    done = run(**changed)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("absent", 2, "has no 'absent'"),
        ("text", 2, "gives str, not a torch.nn.Module"),
        ("number", 1, "TypeError: 'int' object is not callable"),
        ("Fixed", 1, "If it was built for another length"),
    ],
)
def test_bad_models(run: Run, module: str, name: str, code: int, message: str) -> None:
    done = run(model=f"{module}:{name}")
    assert done.exit_code == code
    assert message in done.output
    assert "Traceback" not in done.output


def test_repeated_regions_are_run_once(run: Run) -> None:
    Path("regions.bed").write_text("chr1\t10\t50\nchr1\t10\t50\nchr1\t100\t140\n")
    done = run()
    assert "1 repeated region of regions.bed left out" in done.stderr
    assert nucleoscope.Attribution.load("o.npz").scores.shape[0] == 2


def test_length_reaches_beyond_the_end(run: Run, module: str) -> None:
    Path("regions.bed").write_text("chr1\t2\t6\nchr1\t290\t300\n")
    done = run("--length", "20")
    assert done.exit_code == 0, done.output
    assert "N stands in chr1:-5-14 and 1 more" in done.stderr
    same(["N" * 6 + CHROMOSOME[:14], CHROMOSOME[285:] + "N" * 5], read(module, "net"))


@pytest.mark.parametrize("packed", ["genome", "bed", "damaged"])
def test_compressed_files(run: Run, module: str, packed: str) -> None:
    if packed == "bed":
        Path("r.bed.gz").write_bytes(gzip.compress(Path("regions.bed").read_bytes()))
        done = run(bed="r.bed.gz")
    else:
        held = gzip.compress(Path("genome.fa").read_bytes())
        Path("g.fa.gz").write_bytes(held if packed == "genome" else held[:-30])
        done = run(fasta="g.fa.gz")
    assert done.exit_code == (packed == "damaged"), done.output
    if packed == "damaged":
        assert "no gzip file, or damaged" in done.output
    else:
        same([CHROMOSOME[10:50], CHROMOSOME[100:140]], read(module, "net"))


@pytest.mark.parametrize("stale", [False, True])
def test_folder_that_cannot_be_written(
    run: Run, module: str, stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index then lies in a temporary folder; one that is out of date is not used."""
    if stale:
        Path("genome.fa.fai").write_text("chr1\t5\t99\t5\t6\n")
        os.utime("genome.fa.fai", (1, 1))
    Path("genomes").mkdir()
    for name in ["genome.fa", *["genome.fa.fai"] * stale]:
        Path(name).rename(f"genomes/{name}")
    before = {path.name: path.read_bytes() for path in Path("genomes").iterdir()}
    access = os.access

    def denied(path: str | Path, mode: int) -> bool:
        return not (mode == os.W_OK and "genomes" in str(path)) and access(path, mode)

    monkeypatch.setattr(os, "access", denied)
    done = run(fasta="genomes/genome.fa")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], read(module, "net"))
    assert {path.name: path.read_bytes() for path in Path("genomes").iterdir()} == before


@pytest.mark.parametrize("content", ["", "no header\nACGT\n", ">a\nACGT\nAC\nACGTA\n", "\xff\xfe"])
def test_bad_fasta(run: Run, content: str) -> None:
    Path("genome.fa").write_bytes(content.encode("latin-1"))
    done = run()
    assert done.exit_code == 1
    assert "genome.fa" in done.output
    assert "Traceback" not in done.output


def test_a_refused_fasta_leaves_no_index(run: Run) -> None:
    Path("genome.fa").write_text(">a\nACGT\n>a\nACGT\n")
    assert run().exit_code == 1
    assert not Path("genome.fa.fai").exists()


def test_a_byte_order_mark_is_named(run: Run) -> None:
    Path("genome.fa").write_bytes(b"\xef\xbb\xbf" + Path("genome.fa").read_bytes())
    assert "genome.fa begins with a byte order mark" in run().output


def test_an_unknown_letter_is_told_by_its_region(run: Run) -> None:
    Path("genome.fa").write_text(">chr1\n" + "ACGT" * 30 + "!" + "ACGT" * 10 + "\n")
    assert "chr1:101-140 has '!' at its position 21" in " ".join(run().output.split())


def test_a_small_alphabet(run: Run, module: str) -> None:
    assert run(alphabet="acgt").exit_code == 0
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], read(module, "net"))


def test_a_damaged_program_is_named(run: Run) -> None:
    Path("net.pt2").write_bytes(b"PK\x03\x04 cut off")
    done = run("--trust", model="net.pt2")
    assert done.exit_code == 1
    assert "net.pt2 is no exported program, or damaged" in done.output


def test_another_archive_is_named(run: Run) -> None:
    with zipfile.ZipFile("net.pt2", "w") as archive:
        archive.writestr("a.txt", "no program")
    done = run("--allow-pickle", model="net.pt2")
    assert done.exit_code == 1
    assert "net.pt2 cannot be read as an exported program" in done.output
    assert "Copy it again" in done.output


def test_a_whole_model_needs_leave_to_be_unpickled(run: Run, module: str) -> None:
    assert run().exit_code == 0  # which imports the module
    net = read(module, "net")
    torch.save(net, "net.pt")
    refused = run(model="net.pt")
    assert refused.exit_code == 2
    assert "can run any code" in refused.output
    assert "--allow-pickle" in refused.output
    done = run("--allow-pickle", model="net.pt")
    assert done.exit_code == 0, done.output
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], net)
    torch.save(net.state_dict(), "state.pt")
    done = run("--allow-pickle", model="state.pt")
    assert "holds no model but a OrderedDict" in done.output
    assert "as --weights" in done.output
    Path("cut.pt").write_bytes(Path("net.pt").read_bytes()[:-100])
    assert "cut.pt cannot be unpickled" in run("--allow-pickle", model="cut.pt").output
    assert "no file 'none.pt'" in run("--allow-pickle", model="none.pt").output


def test_a_file_is_not_replaced_unasked(run: Run) -> None:
    Path("o.npz").write_text("a week's work")
    refused = run("--keep")
    assert refused.exit_code == 2
    assert "'o.npz' is there already; add --overwrite" in refused.output
    assert Path("o.npz").read_text() == "a week's work"
    assert run().exit_code == 0


def test_both_strands(run: Run, module: str) -> None:
    assert run("--reverse-complement").exit_code == 0
    asked = {"reverse_complement": True}
    same([CHROMOSOME[10:50], CHROMOSOME[100:140]], read(module, "net"), **asked)


def test_a_linear_trunk_is_told(run: Run, module: str) -> None:
    done = run("--trunk", "linear", "--target", "1", model=f"{module}:Turned")
    assert done.exit_code == 0, done.output
    assert "APPROXIMATE" in done.output
    assert nucleoscope.Attribution.load("o.npz").exact is not None
    assert "no trunk" in run("--trunk", "linear").output
    assert "first order" in run("--trunk", "linear", "--dry-run", model=f"{module}:Turned").output


def test_amounts_of_memory() -> None:
    assert [memory(text) for text in ("2G", "1.5GiB", "4194304", "3mb")] == [
        2 << 30, 3 << 29, 4 << 20, 3 << 20,
    ]  # fmt: skip


def test_scores_are_read_without_unpickling(run: Run) -> None:
    assert run().exit_code == 0
    with np.load("o.npz", allow_pickle=False) as held:
        assert set(held) == {"scores", "original", "sequences", "facts"}
