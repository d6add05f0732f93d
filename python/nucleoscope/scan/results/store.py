"""Checkpoints -> one zarr store of scores, complete or not there; the same bytes however they were made."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import zarr
from zarr.errors import ZarrUserWarning

from nucleoscope.scan.regions.job import Piece
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.trunk import TABLE, summary, write

STORE = "scores.zarr"
SITES_A_CHUNK = 1 << 16
LONGEST = 200  # letters of an array's name


def assemble(folder: Folder) -> Path:
    """Write `scores.zarr` from all checkpoints, shard by shard in flat memory.

    Regions: `scores` [region, ..., site] with `chromosome`, `start` and `end`. Genome: one array
    [..., site] a chromosome below `chromosomes`. What was not scored is NaN. By a linear trunk, `exact`: the sites
    whose scores are, [region, site] or [site] a chromosome; and `trunk.tsv` in the folder. Raises ValueError where
    shards are neither done nor recorded as failed.
    """
    failed = folder.given_up()
    partial, store = folder.path / f".{STORE}.partial", folder.path / STORE
    shutil.rmtree(partial, ignore_errors=True)
    root = zarr.open_group(partial, mode="w", zarr_format=3)
    done = [n for n in range(len(folder)) if n not in failed]
    if folder.manifest["coordinates"] == "regions":
        _rows(folder, root, done)
    else:
        _chromosomes(folder, root, done)
    root.attrs.update(folder.manifest["provenance"])
    if folder.manifest.get("trunk"):
        write(folder.path / TABLE, _calls(folder, done))
        root.attrs["trunk"] = summary(folder.path / TABLE)
    root.attrs["failed_shards"] = {str(n): reason for n, reason in failed.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # that other readers pass it over
        zarr.consolidate_metadata(partial)
    shutil.rmtree(store, ignore_errors=True)
    partial.replace(store)
    return store


def _pieces(folder: Folder, numbers: list[int]) -> Iterator[tuple[list[Piece], Mapping[str, Any]]]:
    for number in numbers:
        pieces = [Piece.read(line) for line in folder.shard(number).lines]
        arrays = folder.read(number)
        yield [pieces[at] for at in arrays["which"]], arrays


def _rows(folder: Folder, root: zarr.Group, done: list[int]) -> None:
    count, scores, exact = int(folder.manifest["items"]), None, None
    names = list(folder.manifest["sizes"])
    numbers = {name: number for number, name in enumerate(names)}
    places: npt.NDArray[np.int64] = np.zeros((3, count), np.int64)
    for number in range(len(folder)):
        for piece in map(Piece.read, folder.shard(number).lines):
            places[:, piece.row] = numbers[piece.chromosome], piece.start, piece.end
    for pieces, arrays in _pieces(folder, done):
        if not pieces:  # all were refused
            continue
        block, rows = arrays["scores"], np.array([piece.row for piece in pieces])
        if scores is None:
            planned = len(folder.shard(done[0]).lines)  # of which some may have been refused
            shape, chunk = (count, *block.shape[1:]), (planned, *block.shape[1:])
            scores = _array(root, "scores", shape, chunk, arrays)
        scores.oindex[rows] = block
        if "exact" in arrays:
            if exact is None:
                shape, chunk = (count, block.shape[-1]), (planned, block.shape[-1])
                exact = _marks(root, "exact", shape, chunk, ["sequence", "site"])
            exact.oindex[rows] = arrays["exact"]
    for name, values in zip(("chromosome", "start", "end"), places, strict=True):
        root.create_array(name, data=values)
    root["chromosome"].attrs["names"] = names


def _chromosomes(folder: Folder, root: zarr.Group, done: list[int]) -> None:
    sizes, group = folder.manifest["sizes"], root.create_group("chromosomes")
    arrays: dict[str, zarr.Array[Any]] = {}
    marks: dict[str, zarr.Array[Any]] = {}
    for pieces, made in _pieces(folder, done):
        scores, at = made["scores"], 0
        for piece in pieces:
            name, wide = piece.chromosome, piece.end - piece.start
            if name not in arrays:
                lead = scores.shape[:-1]
                chunk = (*lead, min(SITES_A_CHUNK, sizes[name]))
                arrays[name] = _array(group, safe_name(name), (*lead, sizes[name]), chunk, made)
                arrays[name].attrs["name"] = name
            arrays[name][..., piece.start : piece.end] = scores[..., at : at + wide]
            if "exact" in made:
                if name not in marks:
                    given = (sizes[name],), (min(SITES_A_CHUNK, sizes[name]),), ["site"]
                    marks[name] = _marks(root.require_group("exact"), safe_name(name), *given)
                marks[name][piece.start : piece.end] = made["exact"][at : at + wide]
            at += wide


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    like: Mapping[str, Any],
) -> zarr.Array[Any]:
    axes = [str(axis) for axis in like["axes"]]
    return group.create_array(
        name, shape=shape, chunks=chunks, dtype=like["scores"].dtype, fill_value=np.nan,
        dimension_names=axes,
    )  # fmt: skip


def _marks(
    group: zarr.Group, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], axes: list[str]
) -> zarr.Array[Any]:
    """Which sites are exact; what was not scored is not."""
    return group.create_array(
        name, shape=shape, chunks=chunks, dtype=np.bool_, fill_value=False, dimension_names=axes
    )


def _calls(folder: Folder, done: list[int]) -> Iterator[tuple[int, str, npt.NDArray[np.float64]]]:
    """(shard, where, figures) of each call by a linear trunk: of a piece, or of a shard's regions together."""
    for number, (pieces, arrays) in zip(done, _pieces(folder, done), strict=True):
        figures = arrays.get("trunk", ())
        if len(figures) == len(pieces):
            named = [f"{p.chromosome}:{p.start + 1}-{p.end}" for p in pieces]
        else:
            named = [f"regions {pieces[0].row} to {pieces[-1].row}"] * len(figures)
        for where, each in zip(named, figures, strict=True):
            yield number, where, each


def safe_name(name: str) -> str:
    """A sequence's name as that of an array: no path, nothing that zarr keeps for itself, no more than a
    file system takes."""
    quoted = quote(name, safe="")
    if len(quoted) > LONGEST:
        quoted = f"{quoted[: LONGEST - 33]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    reserved = quoted.startswith((".", "__")) or quoted == "zarr.json"
    return f"%{ord(quoted[0]):02X}{quoted[1:]}" if reserved else quoted
