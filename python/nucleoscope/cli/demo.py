"""`nucleoscope demo`: 131 kb of human DNA explained at every base, offline."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope import Attribution
from nucleoscope.cli import pictures
from nucleoscope.cli.failures import one_message, prompt_interrupt
from nucleoscope.cli.splice_sites import (
    KINDS,
    SIGNAL,
    SpliceSite,
    Stretch,
    as_table,
    strongest_sites,
    write_tsv,
)
from nucleoscope.demo import load_sequence
from nucleoscope.models import SpliceNet, SpliceSiteCount
from nucleoscope.scan.letters import one_hot

LISTED = 20  # sites printed
WRITTEN = 100  # sites of each kind and strand in sites.tsv
SAMPLED_EDITS, SAMPLED_SECONDS = 24, 10.0  # of the naive loop, whichever is reached first


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default="nucleoscope-demo",
    show_default=True, help="The folder for scores, table and pictures.",
)  # fmt: skip
@click.option(
    "--strand", type=click.Choice(["+", "-", "both"]), default="+", show_default=True,
    help="Genes lie on both strands of DNA; both take twice the time.",
)  # fmt: skip
@click.option("--progress/--no-progress", default=None, help="Default: where a terminal shows it.")
@click.option("--length", type=click.IntRange(min=500), hidden=True, help="Only the last bases.")
def demo(out: Path, strand: str, progress: bool | None, length: int | None) -> None:
    """Explain 131 kb of human DNA with a small splice-site net; no files needed.

    Every base of a stretch of chromosome 22 is put to every other letter, and what that changes in
    the expected number of splice sites is told exactly: which bases acceptors and donors stand on.
    """
    strands = "+-" if strand == "both" else strand
    with one_message():
        out.mkdir(parents=True, exist_ok=True)
        run(out, strands, sys.stderr.isatty() if progress is None else progress, length)


def run(out: Path, strands: str, progress: bool, length: int | None = None) -> list[SpliceSite]:
    """The demo itself; returns the sites it writes, strongest first."""
    name, bases, start = load_sequence()
    cut = len(bases) - (length or len(bases))
    stretch = Stretch(name, start + cut, bases[cut:])
    model = SpliceSiteCount(SpliceNet.pretrained()).eval()
    X = one_hot([stretch.strand(sign) for sign in strands])
    _introduce(model, stretch, strands)
    with prompt_interrupt():
        click.echo(f"\n{nucleoscope.plan(model, X, target=[0, 1])}\n")
        began = time.perf_counter()
        result = nucleoscope.saturation_mutagenesis(model, X, target=[0, 1], progress=progress)
        took = time.perf_counter() - began
        naive = sample_naive(model, X)
        predicted = model.net(X).softmax(1)[:, 1:]
    found = (
        strongest_sites(result, predicted[row], row, sign, stretch, WRITTEN)
        for row, sign in enumerate(strands)
    )
    sites = sorted(chain.from_iterable(found), key=lambda site: -site.score)
    _tell(sites, result, X, took, naive)
    _write(out, result, strands, stretch, sites)
    return sites


@dataclass(frozen=True)
class Sample:
    """How long one edit takes by the plain loop: the median of some."""

    edits: int
    seconds: float


def sample_naive(model: nn.Module, X: Tensor) -> Sample:
    """Time the plain loop, edit and predict, on a few edits spread over the sequence."""
    length = X.shape[-1]
    took: list[float] = []
    with torch.no_grad():
        model(X[:1])  # the first call of all sets things up
        while len(took) < SAMPLED_EDITS and sum(took) < SAMPLED_SECONDS:
            began = time.perf_counter()
            edited = X[:1].clone()
            site = (2 * len(took) + 1) * length // (2 * SAMPLED_EDITS)
            edited[0, :, site] = torch.eye(4)[len(took) % 4]
            model(edited)
            took.append(time.perf_counter() - began)
    return Sample(len(took), statistics.median(took))


def _introduce(model: nn.Module, stretch: Stretch, strands: str) -> None:
    parameters = sum(p.numel() for p in model.parameters())
    first, last = stretch.start + 1, stretch.start + len(stretch.bases)
    which = "both strands" if len(strands) > 1 else f"{strands} strand"
    click.echo(
        f"Splice sites by SpliceNet ({parameters:,} parameters) in {len(stretch.bases):,} bases of "
        f"human {stretch.chromosome}:{first:,}-{last:,} (GRCh37), {which}."
    )


def _tell(
    sites: list[SpliceSite], result: Attribution, X: Tensor, took: float, naive: Sample
) -> None:
    expected = result.original.sum(0).tolist()
    counts = " and ".join(f"{n:.1f} {kind}s" for n, kind in zip(expected, KINDS, strict=True))
    click.echo(f"\nThe model expects {counts}. The strongest sites, by what their bases add:\n")
    click.echo(as_table(sites[:LISTED]))
    right = sum(site.signal == SIGNAL[site.kind] for site in sites[:LISTED])
    click.echo(
        f"\n{right} of these {len(sites[:LISTED])} stand on the bases that introns are known by: "
        "GT behind an exon, AG before one."
    )
    edits = 3 * X.shape[0] * X.shape[-1]
    loop = naive.seconds * edits
    click.echo(
        f"\n{edits:,} substitutions in {took:.1f} s, {edits / took:,.0f} a second.\n"
        f"A plain loop over the model takes {naive.seconds:.2g} s an edit (median of a sample of "
        f"{naive.edits}),\nextrapolated to all {_duration(loop)}, {loop / took:,.0f} times as long."
    )
    for check in result.checks:
        click.echo(str(check).capitalize())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds > 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _write(
    out: Path, result: Attribution, strands: str, stretch: Stretch, sites: list[SpliceSite]
) -> None:
    """Everything that stays: scores, sites, and pictures where they can be drawn."""
    regions = [stretch.region(sign) for sign in strands]
    facts = {"chromosome": stretch.chromosome, "first_base": stretch.start + 1, "regions": regions}
    named = dataclasses.replace(result, facts=result.facts | facts | {"targets": list(KINDS)})
    written = [named.save(out / "attribution.npz"), write_tsv(sites, out / "sites.tsv")]
    try:
        for row, sign in enumerate(strands):
            file = "overview.png" if row == 0 else "overview-reverse.png"
            written.append(pictures.draw_overview(result, row, sign, stretch, sites, out / file))
        written.append(pictures.draw_sites(result, strands, stretch, sites, out / "sites.png"))
    except ImportError as error:
        click.echo(f"No pictures: {error}")
    click.echo("Written: " + ", ".join(str(path) for path in written))
