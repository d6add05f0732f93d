"""Train the networks of the second level: ``python -m nucleoscope.evaluate.truth FOLDER [--jaspar FILE]``."""

from __future__ import annotations

from pathlib import Path

import click

from nucleoscope.evaluate.truth.simulate import Motif, jaspar_motifs
from nucleoscope.evaluate.truth.trained import MATRICES, trained
from nucleoscope.files import whole_file


def meme(motifs: tuple[Motif, ...]) -> str:
    """The matrices in MEME format, which `jaspar_motifs` reads again."""
    parts = ["MEME version 4\n\nALPHABET= ACGT\n"]
    for motif in motifs:
        rows = motif.probabilities.T.tolist()
        lines = [" ".join(f"{p:.6f}" for p in row) for row in rows]
        head = f"MOTIF {motif.name}\nletter-probability matrix: alength= 4 w= {len(rows)}"
        parts.append("\n".join([head, *lines]) + "\n")
    return "\n".join(parts)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--jaspar", type=click.Path(exists=True, dir_okay=False),
    help="JASPAR in MEME format; without it hand-written consensus motifs.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
def main(folder: Path, jaspar: str | None, seeds: int) -> None:
    """Train networks on simulated sequence, and say how good they are; those in FOLDER are kept.

    With --jaspar the three matrices are laid beside them.
    """
    motifs = jaspar_motifs(jaspar) if jaspar else None
    folder.mkdir(parents=True, exist_ok=True)
    if motifs:
        with whole_file(folder / MATRICES) as file:
            file.write(meme(motifs).encode())
    for made in trained(folder, motifs, seeds=range(seeds)):
        click.echo(f"seed {made.seed}: {made.quality}, of {made.ceiling:.3f} that can be reached")


if __name__ == "__main__":
    main()
