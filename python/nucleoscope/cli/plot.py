"""`nucleoscope plot`: scores in, a picture for a paper out."""

from __future__ import annotations

from pathlib import Path

import click

import nucleoscope
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message
from nucleoscope.cli.views import views_of_region, views_of_sequences

LEGIBLE = 1000  # sites whose letters still show on a page


@click.command()
@click.argument("attribution", metavar="ATTRIBUTION.npz", type=options.EXISTING)
@options.overwrite
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    callback=options.writable(".png", ".svg", ".pdf"), help="The picture: .png, .svg or .pdf.",
)  # fmt: skip
@click.option(
    "--kind", type=click.Choice(["logo", "heatmap", "track"]), default="logo", show_default=True,
    help="Letters as high as their scores; what each substitution changes (of scores made with "
    "--hypothetical); or scores along kilobases.",
)  # fmt: skip
@click.option(
    "--region", "regions", multiple=True, metavar="CHR:START-END",
    help="What to show, 1-based, end included, of every sequence that holds it. Repeat for several.",
)  # fmt: skip
@click.option(
    "--sequence", "sequences", type=click.IntRange(min=0), multiple=True,
    help="Instead: sequences, counted from 0. Repeat for several panels. Default: the first.",
)  # fmt: skip
@click.option("--sites", metavar="START-END", help="Of --sequence: from 0, the end left out.")
@click.option("--target", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--palette", type=click.Choice(["classic", "colour-blind"]), default="classic",
    show_default=True, help="Of a logo's letters.",
)  # fmt: skip
@click.option(
    "--seqlets", "fdr", type=click.FloatRange(0, 1, min_open=True), metavar="FDR",
    help="Mark the stretches that stand out at this false discovery rate, by mirrored scores.",
)  # fmt: skip
@click.option("--units", help="What the scores are in.")
@click.option("--title", default="")
def plot(
    attribution: Path, out: Path, kind: str, regions: tuple[str, ...], sequences: tuple[int, ...],
    sites: str | None, target: int, palette: str, fdr: float | None, units: str | None, title: str,
) -> None:  # fmt: skip
    """Draw scores as a logo, a heat-map of substitutions, or a track.

    ATTRIBUTION.npz is what `nucleoscope mutagenesis` or Attribution.save wrote. Positions are those
    of the genome where the scores say where they lie.
    """
    if regions and (sequences or sites):
        raise click.UsageError("give --region, or --sequence and --sites, not both")
    with one_message():
        from nucleoscope.plot import save_figure, sheet

        scores = nucleoscope.Attribution.load(attribution)
        if regions:
            views = [view for text in regions for view in views_of_region(scores, text)]
        else:
            views = views_of_sequences(scores, sequences or (0,), sites)
        longest = max(view.end - view.start for view in views)
        if kind != "track" and longest > LEGIBLE:
            raise click.UsageError(
                f"a {kind} of {longest:,} sites could not be read: give --region or --sites of at "
                f"most {LEGIBLE:,}, or --kind track"
            )
        found = None if fdr is None else nucleoscope.seqlets(scores, fdr=fdr, target=target)
        own = {"palette": palette} if kind == "logo" else {}
        own |= {"units": units} if units else {}
        figure = sheet(
            scores, views, kind=kind, title=title, target=target, seqlets=found,
            place="position", **own,
        )  # fmt: skip
        click.echo(f"Written: {save_figure(figure, out)}")
