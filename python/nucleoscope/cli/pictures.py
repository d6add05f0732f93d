"""The demo's two pictures: where the splice sites are, and which bases they stand on."""

from __future__ import annotations

from pathlib import Path

from nucleoscope import Attribution
from nucleoscope.cli.splice_sites import KINDS, SpliceSite, Stretch

FLANK = 25  # bases shown on either side of a site
SHOWN = 2  # sites of each kind, as logos
MARKED = 12  # sites of each kind, on the track
UNITS = "score\n(expected sites)"


def draw_overview(
    attribution: Attribution, sequence: int, strand: str, stretch: Stretch,
    sites: list[SpliceSite], path: Path,
) -> Path:  # fmt: skip
    """Tracks of the strongest scores on a strand, its best sites marked with their rank."""
    from nucleoscope.plot import Mark, overview, save_figure

    ranked = [(rank, s) for rank, s in enumerate(sites, start=1) if s.strand == strand]
    marks = [
        Mark(site.strongest, str(rank), target)
        for target, kind in enumerate(KINDS)
        for rank, site in [each for each in ranked if each[1].kind == kind][:MARKED]
    ]
    origin, step = stretch.axis(strand)
    figure = overview(
        attribution, sequence=sequence, names=[f"{kind}s" for kind in KINDS], marks=marks,
        origin=origin, step=step, units="strongest |score|\n(expected sites)",
        title=f"How much each base matters to splice sites: {len(stretch.bases):,} bp of "
        f"{stretch.chromosome}, {strand} strand (numbers: ranks in sites.tsv)",
        place=f"{stretch.chromosome} position, GRCh37",
    )  # fmt: skip
    return save_figure(figure, path)


def draw_sites(
    attribution: Attribution, strands: str, stretch: Stretch, sites: list[SpliceSite], path: Path
) -> Path:
    """Logos of the strongest acceptors and donors."""
    from nucleoscope.plot import logo, new_figure, save_figure

    chosen = [
        (rank, site)
        for kind in KINDS
        for rank, site in [r for r in enumerate(sites, start=1) if r[1].kind == kind][:SHOWN]
    ]
    figure, panels = new_figure(11, 0.5 + 2.1 * len(chosen), len(chosen))
    figure.suptitle(
        "The strongest splice sites: how much each base adds to their expected number",
        x=0.01, ha="left", fontsize="large",
    )  # fmt: skip
    first, last = attribution.start, attribution.start + attribution.scores.shape[-1]
    for axes, (rank, site) in zip(panels, chosen, strict=True):
        origin, step = stretch.axis(site.strand)
        logo(
            attribution, max(site.pair - FLANK, first), min(site.pair + 2 + FLANK, last),
            sequence=strands.index(site.strand), target=KINDS.index(site.kind), origin=origin,
            step=step, axes=axes, units=UNITS, place=f"{stretch.chromosome} position, GRCh37",
            title=f"{site.kind} #{rank}: {_edge(site)} {site.chromosome}:{site.position:,} "
            f"({site.strand}), signal {site.signal}",
        )  # fmt: skip
    return save_figure(figure, path)


def _edge(site: SpliceSite) -> str:
    return "exon begins at" if site.kind == "acceptor" else "exon ends at"
