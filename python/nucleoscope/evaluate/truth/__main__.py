"""Train the networks of the second level: ``python -m nucleoscope.evaluate.truth FOLDER [--jaspar FILE]``."""

from __future__ import annotations

from pathlib import Path

import click

from nucleoscope.evaluate.truth.simulate import jaspar_motifs
from nucleoscope.evaluate.truth.trained import trained


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--jaspar", type=click.Path(exists=True, dir_okay=False),
    help="JASPAR in MEME format; without it hand-written consensus motifs.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
def main(folder: Path, jaspar: str | None, seeds: int) -> None:
    """Train networks on simulated sequence, and say how good they are; those in FOLDER are kept."""
    motifs = jaspar_motifs(jaspar) if jaspar else None
    for made in trained(folder, motifs, seeds=range(seeds)):
        click.echo(f"seed {made.seed}: {made.quality}, of {made.ceiling:.3f} that can be reached")


if __name__ == "__main__":
    main()
