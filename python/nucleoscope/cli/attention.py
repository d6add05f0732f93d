"""`nucleoscope attention`: rollout, relevance, conditioning and far regions of stretches of a genome."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import nucleoscope
from nucleoscope.alphabet import alphabet_of
from nucleoscope.cli import options
from nucleoscope.cli.failures import one_message, plain_warnings, prompt_interrupt
from nucleoscope.cli.fasta import read_one_hot
from nucleoscope.cli.loading import load_model
from nucleoscope.cli.requests import asked, of_model, of_reading, of_regions
from nucleoscope.files import whole_file
from nucleoscope.scan.genome.regions import Region

SHOWN = 20  # far tokens in the table


@click.command(epilog="Scores are read with nucleoscope.Attribution.load(FOLDER/rollout.npz).")
@of_model
@of_regions
@click.option(
    "--rows",
    "stretches",
    multiple=True,
    metavar="START-END",
    help="Bases of the region, from 1, whose tokens are asked about, such as a promoter's; repeat for several. "
    "Default: the token in the middle.",
)
@of_reading
@click.option("--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@click.option("--shuffles", type=click.IntRange(min=0), default=1, show_default=True,
              help="Shuffled sequences that are rolled out beside each.")  # fmt: skip
@click.option("--edits", type=click.IntRange(min=0), default=0, show_default=True,
              help="How many of the far tokens to shuffle, to ask what they really do.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "fp64"]), default="fp32", show_default=True)
@click.option("--memory", type=options.memory, metavar="SIZE", help="What may be held: 2G, 500M.")
@click.option("--device", type=options.device, default="cpu", show_default=True)
@click.option("--pictures", is_flag=True, help="Draw them too; needs the extra 'plot'.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A folder to write to.",
)
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def attention(
    model: str, weights: Path | None, trust: bool, fasta: Path, bed: Path | None, region: str | None,
    length: int | None, stretches: tuple[str, ...], targets: tuple[options.Pick, ...], alpha: float,
    shuffles: int, edits: int, device: torch.device, pictures: bool, out: Path, traceback: bool, **common: Any,
) -> None:  # fmt: skip
    """Explain regions by your own model's attention, and how far that can be trusted.

    FOLDER gets rollout.npz and relevance.npz; conditioning.tsv, how well each head's weights are determined;
    and far.tsv and far.bed, the far tokens that score most, by the gradient of the target, by rollout, by
    relevance, and by the rollout of a shuffled sequence.
    """
    target = asked(targets)
    if isinstance(target, list):
        raise click.UsageError("--target: one a call; relevance has a gradient of its own for each")
    with (
        one_message(traceback, "\n(--traceback shows where.)"),
        plain_warnings(),
        prompt_interrupt(),
    ):
        net = load_model(model, weights, trust, device)
        common["alphabet"] = letters = alphabet_of(net, common["alphabet"])
        regions, X = read_one_hot(fasta, bed, region, length, letters, common["layout"])
        began = time.perf_counter()
        rows = _rows(stretches, len(regions[0]))
        given = {"rows": rows, "controls": shuffles, **common}
        rollout = nucleoscope.attention_rollout(net, X, alpha=alpha, **given)
        relevance = nucleoscope.attention_relevance(net, X, target=target, **given)
        distal = _distal(net, X, rollout, rows[0], target, edits, common)
        took = time.perf_counter() - began
        out.mkdir(parents=True, exist_ok=True)
        rollout.save(out / "rollout.npz")
        relevance.save(out / "relevance.npz")
        _write(out / "conditioning.tsv", _conditioning(rollout, regions))
        lines = list(_far(rollout, relevance, distal, regions))
        _write(out / "far.tsv", lines)
        _write(out / "far.bed", _bed(rollout, regions))
        if pictures:
            _draw(rollout, regions, out)
    click.echo(f"{rollout!r}\n{relevance!r}\n" + "\n".join(lines[: 1 + min(SHOWN, 8)]))
    click.echo(f"{len(regions)} x {len(regions[0]):,} bases in {took:.1f} s: {out}")


def _rows(stretches: tuple[str, ...], length: int) -> list[tuple[int, int]]:
    """Bases, 0-based and half-open, of --rows START-END; the middle one without."""
    found = []
    for text in stretches:
        first, dash, last = text.replace(",", "").partition("-")
        if not (
            dash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= length
        ):
            raise click.BadParameter(
                f"{text!r}: write START-END, bases of the region from 1 to {length}",
                param_hint="--rows",
            )
        found.append((int(first) - 1, int(last)))
    return found or [(length // 2, length // 2 + 1)]


def _distal(
    net: Any, X: Tensor, rollout: nucleoscope.Attribution, row: tuple[int, int], target: Any, edits: int,
    common: dict[str, Any],
) -> nucleoscope.Attribution:  # fmt: skip
    """The target's gradient by blocks that are the tokens, far ones shuffled."""
    spans = rollout.facts["token_spans"]
    wide = spans[0][1] - spans[0][0]
    return nucleoscope.distal_scores(
        net, X, target=target, block=wide, centre=row, beyond=8 * wide, edits=edits, **common
    )


def _far(
    rollout: nucleoscope.Attribution, relevance: nucleoscope.Attribution,
    distal: nucleoscope.Attribution, regions: list[Region],
) -> Iterator[str]:  # fmt: skip
    """A table of the far tokens, strongest gradient first: every answer to the same question side by side."""
    names = ["chromosome", "start", "end", "distance", "gradient", "edit", "rollout", "relevance"]
    shuffled = "shuffled" in rollout.facts["controls"]
    yield "\t".join([*names, *(["rollout_shuffled", "relevance_shuffled"] if shuffled else [])])
    apart, spans = torch.tensor(distal.facts["distances"]), rollout.facts["token_spans"]
    for at, region in enumerate(regions):
        edited = {e["block"]: e["change"] for e in distal.facts["edited"][at]}
        far = distal.scores[at].masked_fill(apart < distal.facts["beyond"], -1)
        for token in far.topk(min(SHOWN, int((far >= 0).sum()))).indices.tolist():
            start, end = (region.start + each for each in spans[token])
            found = [rollout.scores[at, 0, token], relevance.scores[at, 0, token]]
            if shuffled:
                found += [each.controls[1, at, 0, token] for each in (rollout, relevance)]  # type: ignore[index]
            change = f"{edited[token]:.4g}" if token in edited else "."
            head = [region.chromosome, str(start), str(end), str(int(apart[token]))]
            gradient = f"{float(distal.scores[at, token]):.4g}"
            yield "\t".join([*head, gradient, change, *(f"{float(each):.4g}" for each in found)])


def _bed(rollout: nucleoscope.Attribution, regions: list[Region]) -> Iterator[str]:
    for at, region in enumerate(regions):
        for each in nucleoscope.far_regions(rollout, sequence=at, count=SHOWN):
            yield each.bed(region.chromosome, region.start)


def _conditioning(rollout: nucleoscope.Attribution, regions: list[Region]) -> Iterator[str]:
    """A line a region, layer and head."""
    plain = ["entropy", "perplexity", "sharp", "sink", "sink_token", "saturation", "rank_one", "stable_rank",
             "effective_rank", "identifiable"]  # fmt: skip
    inputs = ["query", "key", "value"]
    yield "\t".join(
        [
            "region",
            "layer",
            "head",
            *plain,
            "singular",
            *(f"kappa_{n}" for n in inputs),
            "collinearity",
        ]
    )
    for region, layers in zip(regions, rollout.facts["conditioning"], strict=True):
        for layer in layers:
            for head in range(len(layer["entropy"])):
                numbers = [layer[name][head] if layer[name] else "." for name in plain]
                told = (
                    ",".join(f"{s:.4g}" for s in layer["singular"][head])
                    if layer["singular"]
                    else "."
                )
                numbers += [
                    told,
                    *(layer["kappa"][name][head] for name in inputs),
                    layer["collinearity"],
                ]
                shown = (f"{n:.5g}" if isinstance(n, float) else str(n) for n in numbers)
                yield "\t".join([str(region), layer["layer"], str(head), *shown])


def _write(path: Path, lines: Iterator[str] | list[str]) -> None:
    with whole_file(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def _draw(rollout: nucleoscope.Attribution, regions: list[Region], out: Path) -> None:
    from nucleoscope.plot import (
        attention_heatmap,
        conditioning_panel,
        new_figure,
        rollout_track,
        save_figure,
    )

    for at, region in enumerate(regions):
        name = f"{region.chromosome}_{region.start}_{region.end}"
        common: dict[str, Any] = {
            "sequence": at, "origin": region.start, "place": f"{region.chromosome} position",
        }  # fmt: skip
        title = f"Attention rollout of {region}"
        figure, (above, below) = new_figure(12, 3.2 + min(1 + 0.12 * rollout.scores.shape[1], 8), 2)
        rollout_track(rollout, title=title, axes=above, **common)
        attention_heatmap(rollout, axes=below, **common)
        save_figure(figure, out / f"{name}.png")
        panel = conditioning_panel(
            rollout, sequence=at, title=f"Conditioning of attention at {region}"
        )
        save_figure(panel, out / f"{name}_conditioning.png")
