"""Saturation mutagenesis as users meet it: axes, conventions, targets, checks, files, Ctrl-C."""

# ruff: noqa: ARG005 - every forward and every case is called alike, whatever it uses

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.rules import pointwise
from tests.parts import Net, conv, sequences
from tests.truth import assert_close, engine, largest, truth


def small() -> Net:
    torch.manual_seed(0)
    return Net(lambda net, x: net.last(torch.tanh(net.first(x))), first=conv(4, 4), last=conv(4, 3))


X = sequences(3, 16)
run = nucleoscope.saturation_mutagenesis


def test_axes() -> None:
    one = run(small(), X, target=(0, 4), start=3, end=9)
    assert one.axes == ("sequence", "letter", "site")
    assert one.scores.shape == (3, 4, 6)
    assert (one.start, one.alphabet, one.original.shape) == (3, "ACGT", (3, 1))
    many = run(small(), X, target=[0, (1, 2)], start=3)
    assert many.axes == ("sequence", "target", "letter", "site")
    assert many.scores.shape == (3, 2, 4, 13)
    assert many.original.shape == (3, 2)
    single = run(small(), X, target=[0])
    assert single.scores.shape == (3, 1, 4, 16)
    assert not many.scores.requires_grad
    assert "sequence=3" in repr(many)


def test_original_is_the_target_of_the_unedited_sequences() -> None:
    with torch.no_grad():
        y = small()(X)
    got = run(small(), X, target=[None, 1, (2, slice(3, 5)), -1, (slice(None), 0)])
    want = torch.stack(
        [
            y.mean((1, 2)),
            y[:, 1].mean(1),
            y[:, 2, 3:5].mean(1),
            y[:, -1].mean(1),
            y[:, :, 0].mean(1),
        ],
        1,
    )
    torch.testing.assert_close(got.original, want)


def test_a_list_is_its_targets_one_by_one() -> None:
    targets = [None, 1, (2, slice(3, 5)), (0, -1)]
    many = engine(small(), X, target=targets)
    for at, target in enumerate(targets):
        alone = engine(small(), X, target=target)[:, 0]
        assert (many[:, at] - alone).abs().max() <= 1e-6 * alone.abs().max()


@pytest.mark.parametrize(
    ("center", "hypothetical"),
    [("mean", True), ("mean", False), ("alternatives", True), ("alternatives", False),
     ("none", True)],
)  # fmt: skip
def test_conventions(center: str, hypothetical: bool) -> None:
    raw = truth(small(), X, target=1)[:, 0]
    if center == "mean":
        want = raw - raw.sum(1, keepdim=True) / 4
    else:
        want = raw - (raw.sum(1, keepdim=True) / 3 if center == "alternatives" else 0)
    want = want if hypothetical else want * X
    got = run(
        small(), X, target=1, center=center, hypothetical=hypothetical, precision="fp64"
    ).scores
    assert (got - want).abs().max() <= 1e-10 * raw.abs().max()
    if center == "none":
        assert (got[X == 1] == 0).all()
    if center == "mean" and hypothetical:
        assert got.sum(1).abs().max() <= 1e-10


def test_changes_as_they_are_are_nothing_at_the_letters_that_stand_there() -> None:
    with pytest.raises(ValueError, match="Pass hypothetical=True"):
        run(small(), X, center="none")


@pytest.mark.parametrize("target", [True, [0, False]], ids=str)
def test_a_truth_value_is_no_target(target: Any) -> None:
    with pytest.raises(IndexError, match="give the index of an output"):
        run(small(), X, target=target)


def test_whole_numbers_of_any_kind_are_taken() -> None:
    plain = run(small(), X, verify=1, memory=1 << 26).scores
    assert torch.equal(run(small(), X, verify=np.int64(1), memory=np.int64(1 << 26)).scores, plain)


def test_conventions_at_an_unknown_base() -> None:
    given = X.clone()
    given[0, :, 4] = 0
    got = run(small(), given, target=1, hypothetical=True, center="none")
    assert (got.scores[0, :, 4] != 0).all()
    assert (run(small(), given, target=1).scores[0, :, 4] == 0).all()


def test_func_comes_before_the_target() -> None:
    def power(y: Tensor) -> Tensor:
        return torch.logsumexp(y, 2).square()

    model = small()
    composed = Net(lambda net, x: power(net.inner(x)), inner=model)
    for target in (None, 1, [0, 2]):
        want = truth(composed, X, target=target)
        got = engine(model, X, target=target, func=power, precision="fp64")
        assert_close(got, want, 1e-9 * largest(want))
    got = run(model, X, target=1, func=power)
    torch.testing.assert_close(got.original[:, 0], power(model(X)).detach()[:, 1])


def test_layouts_agree() -> None:
    model = small()
    flipped = Net(lambda net, x: net.inner(x.transpose(1, 2)), inner=model)
    theirs = run(flipped, X.transpose(1, 2).contiguous(), layout="NLC", target=0)
    assert theirs.scores.shape == (3, 4, 16)
    torch.testing.assert_close(theirs.scores, run(model, X, target=0).scores)


def test_models_without_weights_or_without_the_sequence() -> None:
    bare = Net(lambda net, x: (x[:, 0] * 2 - x[:, 1]).cumsum(1))
    want = truth(bare, X, target=9)
    assert_close(engine(bare, X, target=9), want, 1e-6 * largest(want))
    deaf = Net(lambda net, x, c: c.mean(2), first=conv(4, 2))
    assert (engine(deaf, X, (torch.randn(3, 2, 5),)) == 0).all()
    constant = Net(
        lambda net, x: net.level.expand(x.shape[0], -1), level=nn.Parameter(torch.ones(1, 3))
    )
    assert (engine(constant, X) == 0).all()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)], ids=str)
def test_outputs_of_any_rank(shape: tuple[int, ...]) -> None:
    wide = int(np.prod(shape))
    model = Net(
        lambda net, x: net.last(net.first(x).tanh().mean(2)).reshape(-1, *shape),
        first=conv(4, 4),
        last=nn.Linear(4, wide),
    )
    assert_close(engine(model, X), want := truth(model, X), 1e-5 * largest(want))


def test_verification_is_reported() -> None:
    got = run(small(), X, verify=4)
    assert [check.passed for check in got.checks] == [True]
    assert "4" in got.checks[0].detail
    assert run(small(), X, verify=0).checks == ()
    assert run(small(), X[:1], start=2, end=3, verify=50).checks[0].passed


@pytest.mark.parametrize("error", [1.0, 1e-3])
def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    def wrong(z: Tensor, d: Tensor) -> Tensor:
        return (torch.tanh(z + d) - torch.tanh(z)) * (1 + error)

    monkeypatch.setattr(pointwise.Pointwise, "chained", False)
    monkeypatch.setattr(
        pointwise.Pointwise,
        "delta",
        lambda self, step: wrong(step.original(self.reads[0]), step.aligned(0)),
    )
    with pytest.raises(Disagreement):
        run(small(), X)
    assert run(small(), X, verify=0) is not None


def test_an_untraceable_model_runs_the_plain_loop() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.first(x).mean(2)
        return h * 2 if float(h.sum()) > 1e9 else torch.tanh(h)

    model = Net(forward, first=conv(4, 3))
    with pytest.warns(nucleoscope.NaiveFallback) as caught:
        got = run(model, X, target=[0, 2], hypothetical=True, center="none", start=2, end=11)
    assert caught[0].filename == __file__
    want = truth(model, X, target=[0, 2], start=2, end=11)
    assert_close(got.scores, want, 1e-4 * largest(want))
    with torch.no_grad():
        torch.testing.assert_close(got.original, model(X)[:, [0, 2]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(small(), X)


def test_save_and_load(tmp_path: Path) -> None:
    got = run(small(), X, target=[0, (1, 2)], start=2, verify=2)
    path = got.save(tmp_path / "scores.npz")
    back = nucleoscope.Attribution.load(path)
    assert torch.equal(back.scores, got.scores)
    assert torch.equal(back.original, got.original)
    assert (back.axes, back.alphabet, back.start) == (got.axes, got.alphabet, got.start)
    assert (back.facts, back.checks, repr(back)) == (got.facts, got.checks, repr(got))
    assert [p.name for p in tmp_path.iterdir()] == ["scores.npz"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    got.save(str(path))


def damaged(folder: Path) -> list[Path]:
    good = run(small(), X, verify=0).save(folder / "good.npz")
    content = good.read_bytes()
    (folder / "cut.npz").write_bytes(content[: len(content) // 2])
    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("scores")
    flipped = bytearray(content)
    flipped[content.index(b"scores.npy") + 200] ^= 0xFF  # among the compressed scores
    (folder / "flipped.npz").write_bytes(bytes(flipped))
    np.savez(folder / "other.npz", scores=np.zeros(3))
    np.savez(
        folder / "no_facts.npz",
        scores=np.zeros(3),
        original=np.zeros(3),
        facts=np.array(json.dumps({})),
    )
    np.savez(
        folder / "odd_facts.npz", scores=np.zeros(3), original=np.zeros(3), facts=np.array("[1, 2")
    )
    np.savez(
        folder / "pickled.npz", scores=np.array([{}]), original=np.zeros(3), facts=np.array("{}")
    )
    np.save(folder / "array.npy", np.zeros(3))
    with zipfile.ZipFile(folder / "zip.npz", "w") as file:
        file.writestr("readme", "nothing")
    return [p for p in folder.iterdir() if p.stem != "good"]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for path in damaged(tmp_path):
        with pytest.raises(ValueError, match=path.name):
            nucleoscope.Attribution.load(path)
    with pytest.raises(FileNotFoundError):
        nucleoscope.Attribution.load(tmp_path / "absent.npz")


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got = run(small(), X, verify=0)
    with pytest.raises(ValueError, match="path"):
        got.save(tmp_path / "scores.csv")
    with pytest.raises(OSError, match="absent"):
        got.save(tmp_path / "absent" / "scores.npz")
    path = got.save(tmp_path / "scores.npz")
    before = path.read_bytes()

    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        got.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.npz"]
    assert path.read_bytes() == before


LONG_JOB = """
import sys, torch, nucleoscope
from torch import nn
torch.manual_seed(0)
first, second = nn.Conv1d(4, 64, 15, padding=7), nn.Conv1d(64, 64, 15, padding=7)
layers = [first, nn.ReLU(), second, nn.ReLU(), nn.Conv1d(64, 2, 1)]
X = torch.eye(4)[torch.randint(4, (2, 20000))].transpose(1, 2).contiguous()
model = nn.Sequential(*layers, *map(eval, sys.argv[1:])).eval()
nucleoscope.saturation_mutagenesis(model, X[:, :, :200].contiguous(), start=3, end=4)
print("started", flush=True)
nucleoscope.saturation_mutagenesis(model, X)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to a process")
@pytest.mark.usefixtures("hears_interrupts")
@pytest.mark.parametrize(
    "seam",
    [pytest.param(False, id="deltas"), pytest.param(True, marks=pytest.mark.slow, id="tail")],
)
def test_ctrl_c(seam: bool) -> None:
    extra = ["nn.Softmax(2)"] if seam else []
    begun = time.monotonic()
    job = subprocess.Popen(
        [sys.executable, "-c", LONG_JOB, *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == "started\n"
        opening = time.monotonic() - begun  # longer on a busy machine, as all is
        time.sleep(2)
        assert job.poll() is None, "the job is too short to be interrupted"
        job.send_signal(signal.SIGINT)
        asked = time.monotonic()
        _, complaint = job.communicate(timeout=30)
        took = time.monotonic() - asked
    finally:
        job.kill()
        job.communicate()
    assert job.returncode != 0
    assert "KeyboardInterrupt" in complaint
    assert took < opening, f"{took:.1f} s, where it took {opening:.1f} s to begin"


def test_progress_goes_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    run(small(), X, progress=True)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "144" in shown  # 3 sequences x 16 sites x 3 letters
    run(small(), X)
    assert capsys.readouterr() == ("", "")
