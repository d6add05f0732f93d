"""`nucleoscope gradients`: regions of a genome and your model in, one .npz of gradient scores out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import torch

import nucleoscope
from nucleoscope.alphabet import alphabet_of
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.fasta import read_one_hot
from nucleoscope.cli.loading import load_models
from nucleoscope.cli.mutagenesis import with_regions
from nucleoscope.cli.requests import asked, of_models, of_reading, of_regions, of_scores, of_shifts
from nucleoscope.scan.shards.shipping import listed

# Each method and the options that are its own.
METHODS = {
    "saliency": ("center",),
    "input_x_gradient": ("center",),
    "integrated_gradients": ("center", "baselines", "n_steps", "rule", "tolerance"),
    "expected_gradients": ("center", "n_shuffles", "n_steps", "random_state"),
    "deep_lift_shap": ("baselines", "n_shuffles", "random_state"),
    "smooth_grad": ("center", "n_samples", "noise", "level", "random_state"),
}
OPTIONS = {"rule": "method"}  # named otherwise on the command line


@click.command(epilog="Scores are read with nucleoscope.Attribution.load(FILE).")
@click.option("--method", type=click.Choice(list(METHODS)), required=True)
@of_models
@of_regions
@of_reading
@click.option("--hypothetical", is_flag=True, help="Keep the scores of letters that are not there.")
@click.option(
    "--center", type=click.Choice(["mean", "none"]), help="Less the mean over letters, or not."
)
@click.option(
    "--baselines",
    type=click.Choice(["uniform", "zeros", "dinucleotide"]),
    help="Where integrated gradients begin, or what DeepLIFT compares with; shuffles are DeepLIFT's.",
)
@click.option("--n-steps", type=click.IntRange(min=1), help="Nodes on a path.")
@click.option(
    "--rule", metavar="NAME", help="auto, midpoint, gauss_legendre, trapezoid, left, right."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    help="Refine until the error bar is this.",
)
@click.option("--n-shuffles", type=click.IntRange(min=2), help="Dinucleotide shuffles a sequence.")
@click.option("--n-samples", type=click.IntRange(min=2), help="Noisy copies a sequence.")
@click.option("--noise", type=click.Choice(["gaussian", "substitutions"]), help="What noise is.")
@click.option("--level", type=float, help="Its standard deviation, or probability.")
@click.option("--random-state", type=int, help="Seed of shuffles and noise.")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp64", "bf16"]), default="fp32", show_default=True
)
@click.option("--reverse-complement", is_flag=True, help="The mean over both strands.")
@of_shifts
@of_scores
def gradients(
    method: str, models: tuple[str, ...], weights: tuple[Path, ...], trust: bool, fasta: Path, bed: Path | None,
    region: str | None, length: int | None, targets: tuple[options.Pick, ...], out: Path | None,
    dry_run: bool, device: torch.device, progress: bool | None, traceback: bool, hypothetical: bool,
    reverse_complement: bool, shifts: tuple[int, ...], layout: str, alphabet: str | None, precision: str,
    memory: int | None, **own: Any,
) -> None:  # fmt: skip
    """Score every base of regions of a genome by gradients of your own model.

    FILE.npz holds the scores, their error bars where a method has them, and the checks. N is a column of
    zeros, and a IUPAC code equal parts of its letters.
    """
    chosen = _of_method(method, own)
    if out is None and not dry_run:
        raise click.UsageError("give --out FILE.npz, or --dry-run")
    common: dict[str, Any] = {
        "target": asked(targets), "layout": layout, "alphabet": alphabet, "precision": precision, "memory": memory,
    }  # fmt: skip
    with one_message(traceback, "\n(--traceback shows where.)"), plain_warnings():
        with prompt_interrupt():
            net = load_models(models, weights, trust, device)
            common["alphabet"] = letters = alphabet_of(net, alphabet)
            regions, X = read_one_hot(fasta, bed, region, length, letters, layout)
            if dry_run:
                points = _points(method, chosen)
                for each in listed(net):
                    click.echo(nucleoscope.plan_gradients(each, X, points=points, **common))
                return
            began = time.perf_counter()
            result = getattr(nucleoscope, method)(
                net, X, **common, **chosen, hypothetical=hypothetical, reverse_complement=reverse_complement,
                shifts=shifts, progress=sys.stderr.isatty() if progress is None else progress,
            )  # fmt: skip
        took = time.perf_counter() - began
        written = with_regions(result, regions, models, net, fasta).save(out or "")
    size = f"{len(regions):,} x {len(regions[0]):,} bases"
    click.echo(f"{result!r}\n{size} in {took:.1f} s: {written}")


def _of_method(method: str, own: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, refused where they are another method's."""
    given = {name: value for name, value in own.items() if value is not None}
    for name in given:
        if name not in METHODS[method]:
            users = [m for m, names in METHODS.items() if name in names]
            raise click.UsageError(
                f"--{name.replace('_', '-')} is of --method {' and '.join(users)}, not of {method}"
            )
    return {OPTIONS.get(name, name): value for name, value in given.items()}


def _points(method: str, chosen: dict[str, Any]) -> int:
    """Gradients a sequence, by the options or the methods' own defaults."""
    if method == "integrated_gradients":
        return int(chosen.get("n_steps", 8 if "tolerance" in chosen else 32))
    if method == "expected_gradients":
        return int(chosen.get("n_shuffles", 20)) * int(chosen.get("n_steps", 4))
    if method == "deep_lift_shap":
        return int(chosen.get("n_shuffles", 20))
    return int(chosen.get("n_samples", 50)) if method == "smooth_grad" else 1
