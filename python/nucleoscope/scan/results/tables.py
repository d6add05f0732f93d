"""A store as tables: Parquet, one .npz, AnnData. Each says what it was made from, as the store's attributes do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from nucleoscope.files import whole_file
from nucleoscope.scan.results.contents import arrays, facts, of_a_base, one_a_base, stretches


def parquet(store: Path, out: Path) -> Path:
    """A row a base with a score: chromosome, 0-based position, and a column a target and letter.

    The schema's metadata has what it was made from, as JSON, under ``nucleoscope``.
    """
    import pyarrow
    import pyarrow.parquet

    root = zarr.open_group(store, mode="r")
    lead, dtype = of_a_base(root)
    names = [f"score_{n}" for n in range(lead)]
    schema = pyarrow.schema(
        [
            ("chromosome", pyarrow.string()), ("position", pyarrow.int64()),
            *((name, pyarrow.from_numpy_dtype(dtype)) for name in names),
        ],
        {"nucleoscope": facts(root)},
    )  # fmt: skip
    with whole_file(out) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for name, start, block in stretches(root):
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
    held: dict[str, Any] = {
        name: item[:] for name, item in root.members(max_depth=None) if isinstance(item, zarr.Array)
    }
    with whole_file(out) as file:
        np.savez_compressed(file, nucleoscope=np.array(facts(root)), **held)
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
    if not arrays(root):
        raise ValueError("AnnData has a row a region, and no region has a score")
    if "scores" not in root:
        raise ValueError("AnnData has a row a region: scan regions, and not along chromosomes")
    if root.attrs["parameters"].get("hypothetical") == "True":
        raise ValueError("hypothetical scores are of four letters a base: a column is of one")
    one_a_base(root, "a column")
    axes, scores = list(root["scores"].metadata.dimension_names), root["scores"][:]
    for axis in {"letter", "row", "head"} & set(
        axes
    ):  # letters that are not there are 0; one row, one head
        scores = scores.sum(axes.index(axis))
        axes.remove(axis)
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
    made = anndata.AnnData(
        tracks[0], obs=rows, var=columns, layers=layers, uns={"nucleoscope": facts(root)}
    )
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        made.write_h5ad(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return out
