"""The GPU benchmark, as far as it can be tried without a GPU: counts, clocks, tables, and a tiny run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import clock, roofline
from benchmarks.gpu.cases import TINY
from benchmarks.gpu.measure import Judge, all_sides, measured
from benchmarks.gpu.table import table
from benchmarks.nets import BPNetCounts
from benchmarks.structure import multiply_adds

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
NAME = "BPNet 8 filters, 120 bp, 3 sequences"


def test_every_side_gives_the_true_changes_or_says_why_not() -> None:
    job = TINY[NAME]
    model, X = job.ready(CPU)
    judge = Judge(job, model, X)
    made = {
        side[0]: measured(side, job, X, judge, CPU, limit=60)
        for side in all_sides(job, model, CPU, tiny=True)
        if "tangermeme" not in side[0]  # minutes of its own compilation
    }
    assert made["ours fp32"]["error"] < 1e-5
    assert made["ours fp32"]["error"] < made["loop, TF32 off, batch 32"]["error"] < 1e-3
    assert made["loop, torch.compile and bf16, batch 32"]["error"] > 0
    assert "TF32" in made["ours tf32"]["not_measured"]
    assert made["ours fp32"]["sampled"] == 1
    assert made["loop, TF32 off, batch 32"]["sampled"] == pytest.approx(8 / 360)


def test_a_loop_s_seconds_are_scaled_to_the_whole_job(monkeypatch: pytest.MonkeyPatch) -> None:
    job = TINY[NAME]
    model, X = job.ready(CPU)
    loop = next(s for s in all_sides(job, model, CPU, tiny=True) if s[0].startswith("loop"))
    monkeypatch.setattr(clock, "seconds", lambda run, _device: (run(), 2.0)[1])
    made = measured(loop, job, X, Judge(job, model, X), CPU, limit=60)
    assert made["seconds"] == pytest.approx(2.0 * 360 / 8)


def test_a_clock_stops_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def second(_job: Any, _device: torch.device) -> float:
        now[0] += 1
        return 1.0

    monkeypatch.setattr(clock, "seconds", second)
    monkeypatch.setattr(clock.time, "monotonic", lambda: now[0])
    assert len(clock.timed(lambda: None, CPU, limit=4.5).rounds) == 3
    assert len(clock.timed(lambda: None, CPU, limit=100).rounds) == 7
    assert len(clock.timed(lambda: None, CPU, limit=0.5).rounds) == 1
    with pytest.raises(clock.OutOfTime, match="first call took 1 s"):
        clock.timed(lambda: None, CPU, limit=0.3)


def test_the_table_shows_what_was_and_was_not_measured() -> None:
    sides = {
        "ours fp32": {
            "seconds": 2.0, "rounds": [1.9, 2.0, 2.2], "first": 5.0, "sampled": 1.0,
            "edits_a_second": 1e6, "error": 3e-7,
        },
        "loop": {
            "seconds": 80.0, "rounds": [0.8], "first": 1.0, "sampled": 0.01, "edits_a_second": 25e3,
            "error": None,
        },
        "peer": {"not_measured": "its windowed path was not taken"},
    }  # fmt: skip
    made = {
        "conditions": {"gpu": "H100", "device": "cuda", "date": "2026-11-25", "torch": "2.13"},
        "tiny": False, "jobs": {"BPNet": {"settings": {"edits": 2_029_440}, "sides": sides}},
    }  # fmt: skip
    shown = table(made)
    assert "H100" in shown
    assert "TRIAL" not in shown
    assert "40.00" in shown  # the loop against the engine
    assert "3: 1.9–2.2 s" in shown
    assert "its windowed path was not taken" in shown
    made["conditions"].update(device="cpu", processor="some")
    assert table(made).startswith("TRIAL")


def test_the_roofline_counts_what_the_structure_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "SAMPLE", 120)
    torch.manual_seed(0)
    made = roofline.job(lambda: BPNetCounts(8, 3, 20), 120)
    counted = multiply_adds(BPNetCounts(8, 3, 20).eval(), 120, range(120), sample=120)
    assert made["gflop"] == pytest.approx(2e-9 * counted, rel=1e-6)
    assert made["gflop_issued"] >= made["gflop"]
    slow, fast = (made["predicted"][p]["ms"] for p in ("fp32 (ieee)", "bf16"))
    assert fast <= slow
    assert "PREDICTED" in roofline.table({"net": made})


def test_without_a_gpu_the_command_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu" / "run.sh"], env={**os.environ, "PYTHON": sys.executable},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no GPU here" in done.stderr


@pytest.mark.slow
def test_a_tiny_run_writes_json_and_table(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.measure", "--device", "cpu", "--tiny", "--seconds", "120",
         "--out", tmp_path],
        cwd=ROOT, check=True,
    )  # fmt: skip
    made = json.loads((tmp_path / "results.json").read_text())
    assert set(made["jobs"]) == set(TINY)
    assert "TRIAL" in (tmp_path / "results.txt").read_text()
    for job in made["jobs"].values():
        assert job["sides"]["ours fp32"]["error"] < 1e-4
