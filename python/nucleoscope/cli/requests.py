"""The options that commands share which put a model and a method together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nucleoscope.cli import options

Command = TypeVar("Command", bound=Callable[..., Any])

MODEL = (
    click.option(
        "--model", required=True, metavar="MODULE:CALLABLE|FILE",
        help="What gives the model: a class or function of yours called without arguments, a "
        "program saved by torch.export (.pt2), or a whole model saved by torch.save (.pt, .pth).",
    ),
    click.option(
        "--weights", type=options.EXISTING,
        help="Its state dict: .pt by torch.save, or .safetensors.",
    ),
    click.option(
        "--allow-pickle", "--trust", "trust", is_flag=True,
        help="Open a .pt2, or a whole model in a .pt, although that can run code held in it.",
    ),
)  # fmt: skip
MODELS = (
    click.option(
        "--model", "models", required=True, multiple=True, metavar="MODULE:CALLABLE|FILE",
        help="What gives the model: a class or function of yours called without arguments, a "
        "program saved by torch.export (.pt2), or a whole model saved by torch.save (.pt, .pth). "
        "Repeat for an ensemble, whose mean is taken.",
    ),
    click.option(
        "--weights", type=options.EXISTING, multiple=True,
        help="Its state dict: .pt by torch.save, or .safetensors. Of several models one each, in their "
        "order; several of one model, such as folds, are an ensemble.",
    ),
    MODEL[-1],
)  # fmt: skip
STRANDS = (
    click.option("--reverse-complement", is_flag=True, help="The mean over both strands."),
    click.option(
        "--reverse-target", "reverse_targets", type=options.target, multiple=True, metavar="INDEX",
        help="What to read off on the other strand, where outputs are of one strand: repeated as --target is. "
        "Default: the same.",
    ),
)  # fmt: skip
SHIFTS = (
    click.option(
        "--shift", "shifts", type=int, multiple=True, default=(0,), show_default=True,
        help="The mean over the sequence moved by so many bases; repeat for several.",
    ),
)  # fmt: skip
TRUNK = (
    click.option(
        "--trunk", type=click.Choice(["exact", "linear"]), default="exact", show_default=True,
        help="linear: an approximation of models that end in attention, its error measured.",
    ),
)  # fmt: skip
READING = (
    click.option(
        "--target", "targets", type=options.target, multiple=True, metavar="INDEX",
        help="What to read off the output of one sequence, as Python would index it: 3, 10:20 or "
        "1,7500; of several outputs the name comes first: profile,0,400:600. What is selected is averaged. "
        "Repeat for several targets. Default: the mean of all.",
    ),
    click.option(
        "--layout", type=click.Choice(["NCL", "NLC"]), default="NCL", show_default=True,
        help="Axes of the model's input: sequences, letters (channels) and sites.",
    ),
    click.option(
        "--alphabet", type=options.alphabet, default=None,
        help="Order of the input's channels. Default: what the model says (its `alphabet`), else ACGT.",
    ),
)  # fmt: skip
SCORING = (
    click.option(
        "--center", type=click.Choice(["mean", "alternatives", "none"]), default="mean",
        show_default=True, help="What a score is measured against.",
    ),
    click.option(
        "--hypothetical", is_flag=True, help="Keep the scores of letters that are not there."
    ),
)  # fmt: skip
COMPUTING = (
    click.option(
        "--precision", type=click.Choice(["fp32", "tf32", "bf16", "fp64"]), default="fp32",
        show_default=True,
    ),
    click.option(
        "--verify", type=click.IntRange(min=0), default=2, show_default=True, metavar="N",
        help="Edits to recompute through the model itself.",
    ),
)  # fmt: skip
REGIONS = (
    click.option("--fasta", type=options.EXISTING, required=True, help="The genome, plain or gzipped."),
    click.option(
        "--bed", type=options.EXISTING, help="Regions: the first three columns of a BED file."
    ),
    click.option("--region", metavar="CHR:START-END", help="One region, 1-based, end included."),
    click.option(
        "--length", type=click.IntRange(min=1),
        help="Cut or extend every region to this length about its midpoint.",
    ),
)  # fmt: skip
SCORES: tuple[Callable[[Any], Any], ...] = (
    click.option("--memory", type=options.memory, metavar="SIZE", help="What may be held: 2G, 500M."),
    click.option("--device", type=options.device, default="cpu", show_default=True),
    options.overwrite,
    click.option(
        "--out", type=click.Path(dir_okay=False, path_type=Path), callback=options.writable(".npz"),
        help="The .npz file to write; needed unless --dry-run.",
    ),
    click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
    click.option("--progress/--no-progress", default=None, help="Default: where a terminal shows it."),
    click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure."),
)  # fmt: skip


def of_model(command: Command) -> Command:
    """Give a command the options that name a model."""
    return _with(command, MODEL)


def of_models(command: Command) -> Command:
    """Give a command the options that name a model, or an ensemble of them."""
    return _with(command, MODELS)


def of_strands(command: Command) -> Command:
    """Give a command the options of both strands."""
    return _with(command, STRANDS)


def of_shifts(command: Command) -> Command:
    """Give a command the option of moved sequences."""
    return _with(command, SHIFTS)


def of_trunk(command: Command) -> Command:
    """Give a command the option of a linear trunk."""
    return _with(command, TRUNK)


def of_method(command: Command) -> Command:
    """Give a command the options of a method that scores sites."""
    return _with(command, (*READING, *SCORING, *COMPUTING))


def of_reading(command: Command) -> Command:
    """Give a command the options that say what is read off the model, and how its input is laid out."""
    return _with(command, READING)


def of_regions(command: Command) -> Command:
    """Give a command the options that name a genome and regions of it."""
    return _with(command, REGIONS)


def of_scores(command: Command) -> Command:
    """Give a command that writes one .npz of scores the options of how, where and whether it is made."""
    return _with(command, SCORES)


def of_edits(command: Command) -> Command:
    """Give a command the options of a method on edits."""
    return _with(command, (*READING, *COMPUTING))


def _with(command: Command, given: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(given):
        command = option(command)
    return command


def asked(targets: tuple[options.Pick, ...]) -> Any:
    """No target, one, or a list, as the methods take them."""
    return list(targets) if len(targets) > 1 else targets[0] if targets else None
