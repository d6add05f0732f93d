"""`nucleoscope card`: how far saved scores of regions can be trusted, as a page and as JSON."""

from __future__ import annotations

from pathlib import Path

import click
import torch

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.fasta import read_one_hot
from nucleoscope.cli.loading import load_model
from nucleoscope.cli.requests import asked, of_model, of_regions


@click.command()
@of_model
@of_regions
@click.option(
    "--scores", type=options.EXISTING, required=True,
    help="What `nucleoscope gradients` or `mutagenesis` wrote of the same model, regions and target.",
)  # fmt: skip
@click.option(
    "--target", "targets", type=options.target, multiple=True, metavar="INDEX",
    help="What was read off the output, as it was given there.",
)  # fmt: skip
@click.option("--random-state", type=int, default=0, show_default=True, help="Seed of the draws.")
@click.option("--device", type=options.device, default="cpu", show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, callback=options.writable(".html"),
    help="The page; the same as JSON is written beside it.",
)  # fmt: skip
@options.overwrite
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def card(
    model: str, weights: Path | None, trust: bool, fasta: Path, bed: Path | None, region: str | None,
    length: int | None, scores: Path, targets: tuple[options.Pick, ...], random_state: int, device: torch.device,
    out: Path, traceback: bool,
) -> None:  # fmt: skip
    """Say how far scores can be trusted: the reliability card of an explanation.

    Asks whether scores go with what edits do, whether kernels and gradients are determined, whether gradients
    vanish, whether regions stand in for each other, how attention is conditioned, and what rounding does;
    thresholds are nucleoscope's own.
    """
    target = asked(targets)
    if isinstance(target, list):
        raise click.UsageError("--target: one a card")
    with (
        one_message(traceback, "\n(--traceback shows where.)"),
        plain_warnings(),
        prompt_interrupt(),
    ):
        _, X = read_one_hot(fasta, bed, region, length)
        net = load_model(model, weights, trust, device)
        attribution = nucleoscope.Attribution.load(scores)
        made = nucleoscope.card(
            net, X, attribution, target=target, random_state=random_state, progress=True
        )
        made.save(out)
        made.save(out.with_suffix(".json"))
    click.echo(f"{made!r}\n{out} and {out.with_suffix('.json').name}")
