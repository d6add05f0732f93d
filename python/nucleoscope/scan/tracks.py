"""A store as the files that others read: bigWig tracks, a Parquet table, one .npz; streamed from it.

Each says what it was made from, as the store's attributes do: beside a bigWig, which has no room for it, lies a
JSON file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from nucleoscope.files import whole_file

Floats = npt.NDArray[np.floating[Any]]
Stretch = tuple[str, int, Floats]  # chromosome, start, [..., site]
Note = Callable[[str], None]
AT_ONCE = 1 << 16  # sites


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
    written = []
    targets = _targets(root)
    for target in range(targets or 1):
        path = out if targets is None else out.with_name(f"{out.stem}.{target}{out.suffix}")
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
                "target": None if targets is None else target,
                **root.attrs,
            }
            told.write(json.dumps(facts, indent=1).encode())
        written += [path, beside]
    return written


def parquet(store: Path, out: Path) -> Path:
    """A row a base with a score: chromosome, 0-based position, and a column a target and letter.

    The schema's metadata has what it was made from, as JSON, under ``nucleoscope``.
    """
    import pyarrow
    import pyarrow.parquet

    root = zarr.open_group(store, mode="r")
    lead, dtype = _of_a_base(root)
    names = [f"score_{n}" for n in range(lead)]
    schema = pyarrow.schema(
        [
            ("chromosome", pyarrow.string()), ("position", pyarrow.int64()),
            *((name, pyarrow.from_numpy_dtype(dtype)) for name in names),
        ],
        {"nucleoscope": _facts(root)},
    )  # fmt: skip
    with whole_file(out) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for name, start, block in _stretches(root):
            flat = block.reshape(lead, block.shape[-1])
            at = np.flatnonzero(~np.isnan(flat).any(0))
            columns = {"chromosome": pyarrow.repeat(name, len(at)), "position": start + at}
            columns |= dict(zip(names, flat[:, at], strict=True))
            writer.write_table(pyarrow.table(columns, schema))
    return out


def npz(store: Path, out: Path) -> Path:
    """All arrays in one file, for what fits into memory; names as in the store, with / as in paths.

    ``nucleoscope`` is what it was made from, as JSON.
    """
    root = zarr.open_group(store, mode="r")
    arrays: dict[str, Any] = {
        name: item[:] for name, item in root.members(max_depth=None) if isinstance(item, zarr.Array)
    }
    with whole_file(out) as file:
        np.savez_compressed(file, nucleoscope=np.array(_facts(root)), **arrays)
    return out


def h5ad(store: Path, out: Path) -> Path:
    """AnnData of a scan of regions, which fits into memory: a region a row, a site a column.

    X holds the observed letters' scores, of the first target; a layer ``target1``, ... those of each other. Raises
    ValueError for scores along chromosomes and for those of letters that are not there.
    """
    try:
        import anndata
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(f"{out.name}: {error}. pip install anndata") from error
    root: Any = zarr.open_group(store, mode="r")
    if not _arrays(root):
        raise ValueError("AnnData has a row a region, and no region has a score")
    if "scores" not in root:
        raise ValueError("AnnData has a row a region: scan regions, and not along chromosomes")
    if root.attrs["parameters"].get("hypothetical") == "True":
        raise ValueError("hypothetical scores are of four letters a base: a column is of one")
    axes, scores = list(root["scores"].metadata.dimension_names), root["scores"][:]
    if "letter" in axes:  # those of letters that are not there are 0
        scores = scores.sum(axes.index("letter"))
    tracks = np.moveaxis(scores, 1, 0) if "target" in axes else scores[None]
    names = np.array(root["chromosome"].attrs["names"])
    rows = pd.DataFrame(
        {
            "chromosome": names[root["chromosome"][:]], "start": root["start"][:], "end": root["end"][:],
        },
        index=[f"region{n}" for n in range(len(scores))],
    )  # fmt: skip
    columns = pd.DataFrame(index=[f"site{n}" for n in range(tracks[0].shape[-1])])
    layers = {f"target{n}": track for n, track in enumerate(tracks) if n}
    facts = {"nucleoscope": _facts(root)}
    made = anndata.AnnData(tracks[0], obs=rows, var=columns, layers=layers, uns=facts)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        made.write_h5ad(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return out


def _facts(root: zarr.Group) -> str:
    """What the store was made from."""
    return json.dumps(dict(root.attrs))


def _of_a_base(root: zarr.Group) -> tuple[int, npt.DTypeLike]:
    """How many scores a base has, over targets and letters, and of what type; 0 where there is no array."""
    for array in _arrays(root):
        return math.prod(array.shape[("scores" in root) : -1]), array.dtype
    return 0, np.float32


def _arrays(root: zarr.Group) -> list[zarr.Array[Any]]:
    """The arrays of scores: of all regions, or of each chromosome in the order of their names."""
    if "scores" in root:
        return [root["scores"]]  # type: ignore[list-item]
    if "chromosomes" not in root:  # regions, all of which were left out
        return []
    found: list[Any] = [item for _, item in root["chromosomes"].members()]  # type: ignore[union-attr]
    return sorted(found, key=lambda array: str(array.attrs["name"]))


def _targets(root: zarr.Group) -> int | None:
    """How many targets there are; None for one that has no axis."""
    for array in _arrays(root):
        axes = list(getattr(array.metadata, "dimension_names", None) or ())
        return int(array.shape[axes.index("target")]) if "target" in axes else None
    return None


def _stretches(root: zarr.Group) -> Iterator[Stretch]:
    """All scores, chromosome by chromosome in the order of names, by start."""
    for array in _arrays(root):
        if "scores" in root:
            yield from _rows(root, array)
            continue
        for start in range(0, array.shape[-1], AT_ONCE):
            block: Any = array[..., start : start + AT_ONCE]
            if not np.isnan(block).all():
                yield str(array.attrs["name"]), start, block


def _rows(root: zarr.Group, scores: zarr.Array[Any]) -> Iterator[Stretch]:
    names: Any = root["chromosome"].attrs["names"]
    chromosome, starts = (np.asarray(root[name][:]) for name in ("chromosome", "start"))  # type: ignore[index]
    rank = np.argsort(np.argsort(names))  # of names in their order

    @lru_cache(maxsize=4)
    def chunk(number: int) -> Any:
        wide = scores.chunks[0]
        return scores[number * wide : (number + 1) * wide]

    for row in np.lexsort((starts, rank[chromosome])):
        number, at = divmod(int(row), scores.chunks[0])
        yield names[chromosome[row]], int(starts[row]), chunk(number)[at]


def _values(
    root: zarr.Group, target: int, sizes: dict[str, int]
) -> Iterator[tuple[str, int, int, float]]:
    """Runs of equal values: (chromosome, start, end, value), in order."""
    many = _targets(root) is not None
    tracks = (
        (name, start, _observed(block[target] if many else block))
        for name, start, block in _stretches(root)
    )
    for name, start, values in _averaged(tracks, sizes):
        edges = np.flatnonzero(np.diff(values, prepend=np.nan, append=np.nan) != 0)
        for first, last in pairwise(edges):
            if not np.isnan(values[first]):
                yield name, start + int(first), start + int(last), float(values[first])


def _observed(block: Floats) -> Floats:
    """[letter, site] -> [site]: the letters that are not there have 0."""
    return block.sum(0) if block.ndim == 2 else block


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
