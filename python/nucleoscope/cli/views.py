"""Which panels to draw: regions of the genome, or sites of sequences, found in an attribution."""

from __future__ import annotations

import re
from typing import Any

import click

from nucleoscope import Attribution
from nucleoscope.cli.regions import parse_region
from nucleoscope.plot import View
from nucleoscope.scan.genome.regions import Region


def views_of_region(attribution: Attribution, text: str) -> list[View]:
    """A view of each sequence that holds the whole region, in its own direction."""
    wanted = parse_region(text)
    places = attribution.facts.get("regions")
    if not places:
        raise click.UsageError(
            "these scores do not say where in a genome they lie: give --sequence and --sites"
        )
    found = [
        _within(wanted, place, row)
        for row, place in enumerate(places)
        if place["chromosome"] == wanted.chromosome
        and place["start"] <= wanted.start < wanted.end <= place["end"]
    ]
    if not found:
        some = ", ".join(str(_region(place)) for place in places[:3])
        more = f" and {len(places) - 3:,} more" if len(places) > 3 else ""
        raise click.BadParameter(
            f"no sequence holds all of {wanted}; there are {some}{more}", param_hint="--region"
        )
    return found


def views_of_sequences(
    attribution: Attribution, sequences: tuple[int, ...], sites: str | None
) -> list[View]:
    """The same sites of some sequences, or all that have scores."""
    start, end = _sites(sites) if sites else _scored(attribution)
    places = attribution.facts.get("regions", [])
    views = []
    for row in sequences:
        if row >= len(attribution.scores):
            raise click.BadParameter(
                f"{row}: there are {len(attribution.scores)} sequences, from 0",
                param_hint="--sequence",
            )
        named = f"sequence {row}"
        if row < len(places):
            named = f"{_region(places[row])} ({places[row].get('strand', '+')})"
        views.append(View(row, start, end, named, *_axis(places[row] if row < len(places) else {})))
    return views


def _within(wanted: Region, place: dict[str, Any], row: int) -> View:
    strand = place.get("strand", "+")
    down = strand == "-"
    start = place["end"] - wanted.end if down else wanted.start - place["start"]
    return View(row, start, start + len(wanted), f"{wanted} ({strand})", *_axis(place))


def _axis(place: dict[str, Any]) -> tuple[int, int]:
    """(what position 0 of the sequence is labelled, the step to the next): 1-based in a genome."""
    if not place:
        return 0, 1
    return (place["end"], -1) if place.get("strand") == "-" else (place["start"] + 1, 1)


def _region(place: dict[str, Any]) -> Region:
    return Region(place["chromosome"], place["start"], place["end"], "")


def _scored(attribution: Attribution) -> tuple[int, int]:
    return attribution.start, attribution.start + attribution.scores.shape[-1]


def _sites(text: str) -> tuple[int, int]:
    written = re.fullmatch(r"([\d,]+)[-:]([\d,]+)", text.strip())
    first, last = (int(n.replace(",", "")) for n in written.groups()) if written else (0, 0)
    if not first < last:
        raise click.BadParameter(
            f"{text!r} is no range of sites: write 100-160, from 0, the end left out",
            param_hint="--sites",
        )
    return first, last
