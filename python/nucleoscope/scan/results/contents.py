"""What a store holds: its arrays, and all scores stretch by stretch in flat memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

Floats = npt.NDArray[np.floating[Any]]
Stretch = tuple[str, int, Floats]  # chromosome, start, [..., site]
AT_ONCE = 1 << 16  # sites


def facts(root: zarr.Group) -> str:
    """What the store was made from."""
    return json.dumps(dict(root.attrs))


def of_a_base(root: zarr.Group) -> tuple[int, npt.DTypeLike]:
    """How many scores a base has, over targets and letters, and of what type; 0 where there is no array."""
    for array in arrays(root):
        return math.prod(array.shape[("scores" in root) : -1]), array.dtype
    return 0, np.float32


def arrays(root: zarr.Group) -> list[zarr.Array[Any]]:
    """The arrays of scores: of all regions, or of each chromosome in the order of their names."""
    if "scores" in root:
        return [root["scores"]]  # type: ignore[list-item]
    if "chromosomes" not in root:  # regions, all of which were left out
        return []
    found: list[Any] = [item for _, item in root["chromosomes"].members()]  # type: ignore[union-attr]
    return sorted(found, key=lambda array: str(array.attrs["name"]))


def one_a_base(root: zarr.Group, what: str) -> None:
    """Raise ValueError where a target has several scores a base and letter, as attention has of rows and heads."""
    for array in arrays(root):
        sizes = dict(zip(array.metadata.dimension_names, array.shape, strict=True))  # type: ignore[union-attr,arg-type]
        several = [axis for axis in sizes if axis in ("row", "head") and sizes[axis] > 1]
        if several:
            axis = several[0]
            raise ValueError(
                f"{what} has one score a base, and this scan {sizes[axis]:,}, one a {axis}: scan with {axis}s= "
                f"(on the command line --set {axis}s=...) that leaves one"
            )


def targets(root: zarr.Group) -> int | None:
    """How many targets there are; None for one that has no axis."""
    for array in arrays(root):
        axes = list(getattr(array.metadata, "dimension_names", None) or ())
        return int(array.shape[axes.index("target")]) if "target" in axes else None
    return None


def stretches(root: zarr.Group) -> Iterator[Stretch]:
    """All scores, chromosome by chromosome in the order of names, by start."""
    for array in arrays(root):
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
