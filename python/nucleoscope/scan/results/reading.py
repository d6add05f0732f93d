"""A region out of a finished scan: its scores, letters, variants and motif matches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from nucleoscope.scan.genome.genome import other_name
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.results.contents import Floats, one_a_base

MATCH = 1e-4  # p-value of a motif's match


def region_scores(store: Path, region: Region, target: int = 0) -> Floats:
    """The observed letters' scores in a region, [site]; NaN where none was made.

    Of regions that overlap, those of the first that holds all of it. Raises ValueError where no sequence or no
    region of the store holds it, and where a base has several scores: hypothetical ones, attention's of rows.
    """
    root = zarr.open_group(store, mode="r")
    parameters: Any = root.attrs["parameters"]
    if parameters.get("hypothetical") == "True":
        raise ValueError(
            "hypothetical scores are of four letters a base: scan without --hypothetical"
        )
    one_a_base(root, "a page")
    block = _of_rows(root, region) if "scores" in root else _along(root, region)
    axes = block.ndim
    if axes == 2 and target:
        raise ValueError(f"target={target}: this scan has one")
    values: Floats = (block[target] if axes == 3 else block).sum(0)
    return values


def _along(root: Any, region: Region) -> Floats:
    if "chromosomes" not in root:
        raise ValueError("this scan has no scores: all its regions were left out")
    for _, array in root["chromosomes"].members():
        if str(array.attrs["name"]) in (region.chromosome, other_name(region.chromosome)):
            if region.end > array.shape[-1]:
                raise ValueError(f"{region} ends beyond {array.shape[-1]:,} bases")
            found: Floats = array[..., region.start : region.end]
            return found
    raise ValueError(f"this scan has no scores of {region.chromosome}")


def _of_rows(root: Any, region: Region) -> Floats:
    names = list(root["chromosome"].attrs["names"])
    own = [n for n in (region.chromosome, other_name(region.chromosome)) if n in names]
    chromosome, start, end = (np.asarray(root[name][:]) for name in ("chromosome", "start", "end"))
    holds = np.isin(chromosome, [names.index(n) for n in own])
    holds &= (start <= region.start) & (end >= region.end)
    if not holds.any():
        raise ValueError(f"no region of this scan holds all of {region}")
    row = int(holds.argmax())
    first = region.start - int(start[row])
    found: Floats = root["scores"][row][..., first : first + len(region)]
    return found


def rows_of(store: Path, most: int) -> list[Region]:
    """The first regions of a scan of regions; none of one along chromosomes."""
    root: Any = zarr.open_group(store, mode="r")
    if "scores" not in root:
        return []
    names = list(root["chromosome"].attrs["names"])
    columns = (root[name][:most] for name in ("chromosome", "start", "end"))
    return [
        Region(names[int(c)], int(s), int(e), "the scan") for c, s, e in zip(*columns, strict=True)
    ]


def score_of(table: Path, name: str | None) -> str:
    """The column of a `variants.parquet` of this name, or the first of its scores.

    Raises ValueError for one that is not there or is no number, with those that are.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(table)
    scores = [field.name for field in schema if pyarrow.types.is_floating(field.type)]
    if name is not None and name not in scores:
        raise ValueError(f"{table} has no score {name!r}; it has {', '.join(scores)}")
    return name or scores[0]


def variants_in(table: Path, region: Region, score: str) -> Iterator[tuple[int, str, float]]:
    """(0-based position, REF>ALT, score) of a `variants.parquet`'s in a region that have this score."""
    import pyarrow.parquet

    names = [region.chromosome, other_name(region.chromosome)]
    found = pyarrow.parquet.read_table(
        table,
        filters=[
            ("chromosome", "in", names), ("position", ">", region.start), ("position", "<=", region.end),
        ],
    )  # fmt: skip
    for row in found.to_pylist():
        if row[score] is not None:  # of a gene: the variant lies in none
            yield row["position"] - 1, f"{row['ref']}>{row['alt']}", float(row[score])


def motif_matches(meme: Path, bases: str) -> Iterator[tuple[int, int, str, str, float]]:
    """(start, end, name, strand, score) of the matches of MEME's motifs in some bases, p < 1e-4, by memelite."""
    try:
        import memelite
    except ImportError as error:
        raise ImportError(
            f"motif matches: {error}. pip install 'nucleoscope[motifs]', or leave --motifs out"
        ) from error
    from nucleoscope.scan.letters import one_hot

    (found,) = memelite.fimo(str(meme), one_hot([bases]).numpy(), threshold=MATCH, dim=1)
    for row in found.to_dict("records"):
        yield (
            int(row["start"]),
            int(row["end"]),
            str(row["motif_name"]),
            str(row["strand"]),
            float(row["score"]),
        )
