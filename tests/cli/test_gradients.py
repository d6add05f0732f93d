"""`nucleoscope gradients`: the same numbers as the functions, and a clear word for bad input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.scan.letters import one_hot

MODEL = """
import torch
from torch import nn

def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 3, 3, padding=1))

class Blind(nn.Module):
    def forward(self, x):
        return x.argmax(1).float()
"""
BASES = "ACGTTGCAAGGCTTACNACGR" * 5
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the command in a folder that holds a genome and a module of models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("nets_of_gradients.py").write_text(MODEL)
    Path("genome.fa").write_text(f">chr1\n{BASES}\n")

    def invoke(method: str, *given: str, model: str = "net") -> Result:
        name = [
            "--model",
            f"nets_of_gradients:{model}",
            "--fasta",
            "genome.fa",
            "--region",
            "chr1:11-60",
        ]
        return CliRunner().invoke(main, ["gradients", "--method", method, *name, *given])

    yield invoke
    sys.modules.pop("nets_of_gradients", None)


def net() -> torch.nn.Module:
    space: dict[str, Callable[[], torch.nn.Module]] = {}
    exec(MODEL, space)
    return space["net"]()


CALLS: dict[str, tuple[list[str], dict[str, object]]] = {
    "saliency": (["--center", "none", "--hypothetical"], {"center": "none", "hypothetical": True}),
    "input_x_gradient": (["--precision", "fp64"], {"precision": "fp64"}),
    "integrated_gradients": (
        ["--n-steps", "16", "--rule", "trapezoid", "--baselines", "zeros"],
        {"n_steps": 16, "method": "trapezoid", "baselines": "zeros"},
    ),
    "expected_gradients": (
        ["--n-shuffles", "3", "--n-steps", "2", "--random-state", "4"],
        {"n_shuffles": 3, "n_steps": 2, "random_state": 4},
    ),
    "smooth_grad": (
        ["--n-samples", "5", "--noise", "substitutions", "--level", "0.2", "--random-state", "4"],
        {"n_samples": 5, "noise": "substitutions", "level": 0.2, "random_state": 4},
    ),
    "deep_lift_shap": (
        ["--n-shuffles", "3", "--random-state", "4", "--hypothetical"],
        {"n_shuffles": 3, "random_state": 4, "hypothetical": True},
    ),
}


@pytest.mark.parametrize("method", CALLS)
def test_the_numbers_are_those_of_the_function(run: Run, method: str) -> None:
    given, settings = CALLS[method]
    done = run(method, "--target", "0,:", "--out", "o.npz", *given)
    assert done.exit_code == 0, done.output
    held = nucleoscope.Attribution.load("o.npz")
    X = one_hot([BASES[10:60]])
    want = getattr(nucleoscope, method)(net().eval(), X, target=(0, slice(None)), **settings)
    torch.testing.assert_close(held.scores, want.scores)
    assert (held.error_bar is None) == (want.error_bar is None)
    assert held.facts["regions"] == [{"chromosome": "chr1", "start": 10, "end": 60}]
    assert f"Attribution({method}: sequence=1, letter=4, site=50" in done.output


def test_a_tolerance(run: Run) -> None:
    done = run("integrated_gradients", "--tolerance", "0.05", "--out", "o.npz")
    assert "passed  tolerance: 1 of 1 sequences are within 0.05" in done.output


def test_the_plan_is_printed(run: Run) -> None:
    done = run("expected_gradients", "--dry-run", "--target", "0", "--target", "1")
    assert done.exit_code == 0, done.output
    assert "Plan: 80 gradients (1 sequences, 80 each) of 2 targets" in done.output
    assert "The model has kinks (Relu): midpoints" in done.output
    assert not Path("o.npz").exists()


def test_a_plan_of_a_smooth_model_that_is_partly_blind() -> None:
    class Partly(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x).sum((1, 2)) * x.detach().mean((1, 2))

    made = nucleoscope.plan_gradients(Partly().eval(), one_hot(["ACGT"]))
    assert made.smooth
    assert "The gradient does not see torch.Tensor.detach at" in str(made)


FAULTY = [
    (["--rule", "midpoint"], "--rule is of --method integrated_gradients, not of saliency"),
    (["--target", "9", "--out", "o.npz"], "target=9 does not index"),
    ([], "give --out FILE.npz, or --dry-run"),
    (["--bed", "genome.fa", "--out", "o.npz"], "give one of --bed and --region"),
    (["--out", "o.txt"], "must end in .npz"),
]


@pytest.mark.parametrize(("given", "said"), FAULTY)
def test_bad_input_is_named(run: Run, given: list[str], said: str) -> None:
    done = run("saliency", *given)
    assert done.exit_code == 2
    assert said in done.output


def test_a_model_without_a_gradient_is_one_message(run: Run) -> None:
    done = run("saliency", "--out", "o.npz", model="Blind")
    assert done.exit_code == 1
    assert "argmax at " in done.output
    assert "Traceback" not in done.output
