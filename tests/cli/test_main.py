"""The command itself: help, version, exit codes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import nucleoscope
from nucleoscope.cli import COMMANDS, main
from nucleoscope.cli.failures import one_message

SLOW_MODEL = """
import torch
class Slow(torch.nn.Module):
    def forward(self, x):
        print("running", flush=True)
        torch.randn(6000, 6000) @ torch.randn(6000, 6000) @ torch.randn(6000, 6000)
        return x.sum((1, 2))
"""


def test_version() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert (done.exit_code, done.output) == (0, f"nucleoscope, version {nucleoscope.__version__}\n")


def test_help_lists_every_command() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    for name, summary in COMMANDS.items():
        assert name in done.output
        assert summary.split()[0] in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"Usage: main {name}" in done.output
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert (command.help or "").startswith(COMMANDS[name]), "two descriptions of one command"


def test_unknown_command() -> None:
    done = CliRunner().invoke(main, ["mutagenise"])
    assert done.exit_code == 2
    assert "No such command 'mutagenise'" in done.output


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nucleoscope", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"nucleoscope, version {nucleoscope.__version__}\n", done.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("X: too short"), 1, "X: too short"),
        (RuntimeError("no such size"), 1, "RuntimeError: no such size"),
        (IndexError("target=9 is too large"), 2, "target=9 is too large"),
        (click.UsageError("give one"), 2, "give one"),
    ],
)
def test_errors_are_one_message(error: Exception, code: int, message: str) -> None:
    with pytest.raises(click.ClickException) as caught, one_message():
        raise error
    assert caught.value.exit_code == code
    assert message in caught.value.format_message()


def test_traceback_on_demand() -> None:
    with pytest.raises(ZeroDivisionError), one_message(traceback=True):
        1 / 0  # noqa: B018


@pytest.mark.usefixtures("hears_interrupts")
def test_interrupt_ends_soon_and_leaves_nothing(tmp_path: Path) -> None:
    """Even while torch is busy and Python cannot react."""
    (tmp_path / "slow.py").write_text(SLOW_MODEL)
    (tmp_path / "genome.fa").write_text(">chr1\n" + "ACGT" * 10 + "\n")
    command = [
        sys.executable, "-m", "nucleoscope", "mutagenesis", "--model", "slow:Slow",
        "--fasta", "genome.fa", "--region", "chr1:1-40", "--out", "scores.npz",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    asked = time.perf_counter()
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        opening = time.perf_counter() - asked  # longer on a busy machine, as all is
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        took = time.perf_counter() - began
    assert process.returncode == 130, errors
    assert took < opening, f"{took:.1f} s, where it took {opening:.1f} s to begin"
    assert b"Interrupted." in errors
    assert b"Traceback" not in errors
    assert {p.name for p in tmp_path.iterdir()} <= {
        "slow.py", "genome.fa", "genome.fa.fai", "__pycache__",
    }  # fmt: skip
