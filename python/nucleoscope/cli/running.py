"""The options that commands share whose work lies in a folder, in shards; and how such a command ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nucleoscope.cli import options
from nucleoscope.scan import Scan

Command = TypeVar("Command", bound=Callable[..., Any])
SOME_LEFT_OUT = 3  # exit code: the run is over, and something was rejected or failed
EPILOG = (
    "Exit codes: 0 all done, 3 done but something was rejected or failed, 1 an error, 130 interrupted. After "
    "the last two the same command with --resume goes on."
)


def part(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, int]:  # noqa: ARG001
    """``3/16``: this process is the third of 16."""
    written = re.fullmatch(r"(\d+)/(\d+)", text)
    if not written or not 1 <= int(written[1]) <= int(written[2]):
        raise click.BadParameter(f"{text!r}: write i/n, such as 3/16, with i from 1 to n")
    return int(written[1]), int(written[2])


GENOME = click.option(
    "--genome", type=options.EXISTING, required=True, help="FASTA, plain or bgzipped, or .2bit."
)
RUN = (
    click.option("--device", type=options.device, default="cpu", show_default=True),
    click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path),
        help="A new folder, or with --resume that of a scan to go on with.",
    ),
    click.option("--resume", is_flag=True, help="Go on where a scan with the same options stopped."),
    click.option(
        "--shard", default="1/1", callback=part, metavar="I/N",
        help="Do the I-th of N parts, as a member of an array job; `nucleoscope merge` when all are done.",
    ),
    click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True),
    click.option(
        "--threads", type=click.IntRange(min=1), help="Of each worker. Default: cores, split."
    ),
    click.option("--dask", is_flag=True, help="Workers by a Dask cluster on this machine."),
    click.option("--scheduler", metavar="ADDRESS", help="The workers of this Dask scheduler."),
    click.option("--retries", type=click.IntRange(min=0), default=2, show_default=True),
    click.option(
        "--progress", type=click.Choice(["bar", "json", "none"]),
        help="On stderr. Default: a bar where a terminal shows it.",
    ),
    click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure."),
)  # fmt: skip


def of_run(command: Command) -> Command:
    """Give a command the options of a run in shards."""
    for option in reversed(RUN):
        command = option(command)
    return command


def shown(progress: str | None) -> str:
    """How progress is shown where nothing is said."""
    return progress or ("bar" if sys.stderr.isatty() else "none")


def note(text: str) -> None:
    """A remark of a run."""
    click.echo(f"Note: {text}", err=True)


def end(done: Scan, whole: bool = True) -> None:
    """Say how a scan stands, and end with the exit code that says so too."""
    click.echo(str(done))
    if done.rejects or done.failed or (whole and not done.store):
        raise click.exceptions.Exit(SOME_LEFT_OUT)
