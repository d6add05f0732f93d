"""A store as bigWig tracks, streamed from it; beside each, since the format has no room for it, a JSON file that
says what it was made from.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from nucleoscope.files import whole_file
from nucleoscope.scan.results.contents import Floats, Stretch, one_a_base, stretches, targets

Note = Callable[[str], None]


def bigwig(
    store: Path, out: Path, sizes: dict[str, int], note: Note = lambda _: None
) -> list[Path]:
    """A track a target: `out`, or `out` with the target's number before its ending; and beside each a JSON file
    that says what it was made from.

    A base has the score of its observed letter; where regions overlap, the mean of theirs. A track without a
    score holds one NaN, at the first base, since the format has no empty file; `note` is told. Raises ValueError
    for scores of letters that are not there, which are no track.
    """
    import pybigtools

    root = zarr.open_group(store, mode="r")
    parameters: Any = root.attrs["parameters"]
    if parameters.get("hypothetical") == "True":
        raise ValueError("hypothetical scores are of four letters a base: a track has one")
    one_a_base(root, "a track")
    written = []
    several = targets(root)
    for target in range(several or 1):
        path = out if several is None else out.with_name(f"{out.stem}.{target}{out.suffix}")
        partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.bw")
        try:
            values = _values(root, target, sizes)
            first = next(values, None)
            if first is None:
                first = next((name, 0, 1, math.nan) for name, size in sizes.items() if size)
                note(
                    f"no base has a score: {path.name} holds a NaN at the first base, and no score"
                )
            file = pybigtools.open(str(partial), "w")
            file.write(sizes, chain([first], values))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        beside = path.with_name(f"{path.name}.json")
        with whole_file(beside) as told:
            facts = {
                "track": path.name,
                "target": None if several is None else target,
                **root.attrs,
            }
            told.write(json.dumps(facts, indent=1).encode())
        written += [path, beside]
    return written


def _values(
    root: zarr.Group, target: int, sizes: dict[str, int]
) -> Iterator[tuple[str, int, int, float]]:
    """Runs of equal values: (chromosome, start, end, value), in order."""
    many = targets(root) is not None
    tracks = (
        (name, start, _observed(block[target] if many else block))
        for name, start, block in stretches(root)
    )
    for name, start, values in _averaged(tracks, sizes):
        edges = np.flatnonzero(np.diff(values, prepend=np.nan, append=np.nan) != 0)
        for first, last in pairwise(edges):
            if not np.isnan(values[first]):
                yield name, start + int(first), start + int(last), float(values[first])


def _observed(block: Floats) -> Floats:
    """[..., site] -> [site]: the letters that are not there have 0, and there is one row, one head."""
    observed: Floats = block.reshape(-1, block.shape[-1]).sum(0)
    return observed


def _averaged(tracks: Iterator[Stretch], sizes: dict[str, int]) -> Iterator[Stretch]:
    """The same without overlaps, where the mean stands, and within the chromosomes."""
    held: tuple[str, int, Floats, Floats] | None = None  # name, start, sums, counts
    for name, start, values in tracks:
        inside = values[max(-start, 0) : sizes[name] - start].astype(np.float64)
        start = max(start, 0)
        if held and (held[0] != name or start >= held[1] + len(held[2])):
            yield _mean(*held)
            held = None
        if held and start > held[1]:  # nothing that comes begins before it
            cut = start - held[1]
            yield _mean(held[0], held[1], held[2][:cut], held[3][:cut])
            held = (name, start, held[2][cut:], held[3][cut:])
        wide = max(len(inside), len(held[2]) if held else 0)
        sums, counts = np.zeros(wide), np.zeros(wide)
        if held:
            sums[: len(held[2])], counts[: len(held[3])] = held[2], held[3]
        known = ~np.isnan(inside)
        sums[: len(inside)] += np.where(known, inside, 0)
        counts[: len(inside)] += known
        held = (name, start, sums, counts)
    if held:
        yield _mean(*held)


def _mean(name: str, start: int, sums: Floats, counts: Floats) -> Stretch:
    with np.errstate(invalid="ignore"):
        return name, start, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
