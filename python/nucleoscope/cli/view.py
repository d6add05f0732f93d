"""`nucleoscope view`: regions of a scan as one HTML page."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message
from nucleoscope.cli.regions import parse_region
from nucleoscope.files import whole_file
from nucleoscope.plot.page import Hit, Mark, Panel, page
from nucleoscope.scan.genome.genome import Genome, digest, open_genome
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.shards.folder import Folder

FACTS = (
    "method",
    "model",
    "model_sha256",
    "genome",
    "genome_sha256",
    "parameters",
    "nucleoscope",
    "torch",
)
TABLE = "variants.parquet"
AT_FIRST = 10  # regions of a scan that are shown where none is named


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--genome", type=options.EXISTING, required=True, help="The genome that was scanned.")
@click.option(
    "--region", "regions", multiple=True, metavar="CHR:START-END",
    help="What to show; repeat for several. Default: the first ten regions of a scan of regions.",
)  # fmt: skip
@click.option(
    "--target", type=click.IntRange(min=0), default=0, show_default=True,
    help="Which of a scan's targets.",
)  # fmt: skip
@click.option(
    "--variants", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of `nucleoscope variants`, to be drawn above.",
)  # fmt: skip
@click.option(
    "--score", metavar="NAME",
    help="Which score of --variants, as its table calls it. Default: the first.",
)  # fmt: skip
@click.option(
    "--motifs", type=options.EXISTING, help="Motifs in MEME format, whose matches are drawn below."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    callback=options.writable(".html"),
)
@options.overwrite
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def view(
    folder: Path, genome: Path, regions: tuple[str, ...], target: int, variants: Path | None, score: str | None,
    motifs: Path | None, out: Path, traceback: bool,
) -> None:  # fmt: skip
    """Show regions of a scan in a browser: a page of its own, as a track and as a logo.

    FOLDER is what `nucleoscope scan` wrote. The page holds all it needs and loads nothing.
    """
    with one_message(traceback, "\n(--traceback shows where.)"):
        from nucleoscope.scan.results.reading import rows_of, score_of

        store = folder / "scores.zarr"
        if not store.exists():
            raise click.ClickException(f"{folder} holds no scores.zarr: is the scan over?")
        asked = [parse_region(text) for text in regions] or rows_of(store, AT_FIRST)
        if not asked:
            raise click.UsageError("scores lie along chromosomes: give --region chr1:1,001-2,000")
        if score is not None and variants is None:
            raise click.UsageError("--score: names one of the scores of --variants; give both")
        facts = Folder(folder).manifest["provenance"]
        _same_genome(genome, folder, variants)
        drawn = {"drawn": f"target {target}, counted from 0"}
        if variants is not None:
            score = score_of(variants / TABLE, score)
            drawn["drawn above"] = f"{score} of the variants in {variants.name}"
        with (
            TemporaryDirectory() as scratch,
            open_genome(genome, Path(scratch), beside=False) as held,
        ):
            panels = [
                _panel(store, held, region, target, variants, score, motifs) for region in asked
            ]
        made = page(
            panels,
            f"{facts['genome']}, {facts['model']}",
            drawn | {k: facts[k] for k in FACTS if k in facts},
        )
        with whole_file(out) as file:
            file.write(made.encode())
        click.echo(f"{len(panels)} regions: {out}")


def _same_genome(genome: Path, *folders: Path | None) -> None:
    """Raise ValueError where a folder's scores are of another genome: letters would stand under others' scores."""
    own = digest(genome)
    for folder in filter(None, folders):
        facts = Folder(folder).manifest["provenance"]
        scored = facts["genome_sha256"]
        if scored != own:
            raise ValueError(
                f"--genome: {genome} is not what was scored for {folder}. That was {facts['genome']} of SHA-256 "
                f"{scored[:12]}..., this is {own[:12]}...: give that very file (the same bases as FASTA, "
                "compressed or as 2bit are files of their own), or score this one"
            )


def _panel(
    store: Path,
    genome: Genome,
    region: Region,
    target: int,
    variants: Path | None,
    score: str | None,
    motifs: Path | None,
) -> Panel:
    from nucleoscope.scan.results.reading import motif_matches, region_scores, variants_in

    name = genome.find(region.chromosome)
    if name is None:
        raise ValueError(f"{genome.path.name} has no sequence {region.chromosome!r}")
    letters = genome.bases(name, region.start, region.end)
    given: dict[str, Any] = {}
    if variants is not None and score is not None:
        found = variants_in(variants / TABLE, region, score)
        given["marks"] = [Mark(at - region.start, text, score) for at, text, score in found]
    if motifs is not None:
        given["hits"] = [Hit(*hit) for hit in motif_matches(motifs, letters)]
    scores = region_scores(store, region, target).astype(np.float32)
    return Panel(str(region), region.start + 1, letters, scores, **given)
