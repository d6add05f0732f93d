"""Checkpoints of variants -> the VCF with its scores as INFO fields, and a table; complete or not there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet
import pysam

from nucleoscope.files import whole_file
from nucleoscope.scan.genome.genome import digest, other_name
from nucleoscope.scan.rejects import Reject
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.variants.alleles import Allele
from nucleoscope.scan.variants.vcf import Record, header, records

PREFIX = "NS_"
TABIX = 1 << 29  # bases of a chromosome that a .tbi index can tell apart; a .csi has no such end
ROWS = 1 << 16  # of the table at a time


@dataclass(frozen=True)
class Field:
    """A column of the scores: as a column of the table, and as an INFO field."""

    name: str
    kind: str  # as VCF has it
    meaning: str
    names: tuple[str, ...] = ()  # of what a "String" is the number

    @property
    def tag(self) -> str:
        """Its INFO key."""
        return PREFIX + self.name.upper()

    def described(self) -> str:
        """Its line in the header."""
        return f'##INFO=<ID={self.tag},Number=A,Type={self.kind},Description="{self.meaning}">'

    def written(self, value: float) -> str:
        """A value as VCF has it; one that is not there is a point."""
        if self.kind == "String":
            return self.names[int(value)] if value >= 0 else "."
        if np.isnan(value):
            return "."
        return f"{value:.0f}" if self.kind == "Integer" else f"{value:.6g}"

    @property
    def stored(self) -> pyarrow.DataType:
        """Its type in the table."""
        return {"Float": pyarrow.float32(), "Integer": pyarrow.int32(), "String": pyarrow.string()}[
            self.kind
        ]

    def column(self, values: npt.NDArray[Any]) -> pyarrow.Array:
        """Values as the table has them; null where there is none."""
        if self.kind == "String":
            return pyarrow.array(
                [self.names[int(v)] if v >= 0 else None for v in values], self.stored
            )
        return pyarrow.array(values, self.stored, mask=np.isnan(values))


def fields(folder: Folder) -> list[Field]:
    """All columns, score by score and in each target by target."""
    targets = folder.manifest["targets"]
    ends = [""] if targets is None else [f"_{n}" for n in range(targets)]
    genes = tuple(folder.manifest["genes"])
    return [
        Field(column["name"] + end, column["kind"], column["meaning"], genes)
        for column in folder.manifest["columns"]
        for end in ends
    ]


def assemble(folder: Folder) -> Path:
    """Write `variants.parquet`, then `variants.vcf.gz` and its index, in flat memory.

    Raises ValueError where shards are neither done nor recorded as failed, or the VCF is not what it was.
    """
    failed, source = folder.given_up(), Path(folder.manifest["vcf"])
    if not source.exists() or digest(source) != folder.manifest["asked"]["variants_sha256"]:
        raise ValueError(f"{source}, which is to be annotated, is gone or has changed")
    _table(folder, failed)
    return _annotated(folder, source, failed)


def scored(folder: Folder, failed: dict[int, str]) -> Iterator[tuple[Allele, npt.NDArray[Any]]]:
    """Every allele that was scored, in the order of the VCF, with its numbers."""
    for number in range(len(folder)):
        if number not in failed:
            lines, held = folder.shard(number).lines, folder.read(number)
            for at, numbers in zip(held["which"], held["scores"], strict=True):
                yield Allele.read(lines[at]), numbers.ravel()


def _table(folder: Folder, failed: dict[int, str]) -> None:
    """A row an allele in normal form, its position counted from 1 as in VCF; `record` counts lines from 0."""
    told = fields(folder)
    schema = pyarrow.schema(
        [
            ("record", pyarrow.int64()), ("alternative", pyarrow.int32()),
            ("chromosome", pyarrow.string()), ("position", pyarrow.int64()),
            ("ref", pyarrow.string()), ("alt", pyarrow.string()),
            *((each.name, each.stored) for each in told),
        ],
        {"nucleoscope": json.dumps(folder.manifest["provenance"])},
    )  # fmt: skip
    found = scored(folder, failed)
    with (
        whole_file(folder.path / "variants.parquet") as file,
        pyarrow.parquet.ParquetWriter(file, schema) as writer,
    ):
        while rows := list(islice(found, ROWS)):
            given = [(a.record, a.number, a.chromosome, a.start + 1, a.ref, a.alt) for a, _ in rows]
            values = np.array([numbers for _, numbers in rows]).T
            arrays = [
                pyarrow.array(c, t)
                for c, t in zip(zip(*given, strict=True), schema.types, strict=False)
            ]
            arrays += [each.column(column) for each, column in zip(told, values, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _annotated(folder: Folder, source: Path, failed: dict[int, str]) -> Path:
    """Every line of the VCF that can be read, in its order, with the scores of its alleles."""
    out, partial = folder.path / "variants.vcf.gz", folder.path / ".variants.vcf.gz.partial"
    told, used, is_sorted = fields(folder), *_order(source)
    found = scored(folder, failed)
    with pysam.BGZFile(str(partial), "wb", None) as file:
        for line in _header(folder, header(source), told, used):
            file.write(f"{line}\n".encode())
        waiting = next(found, None)
        for record in _readable(source):
            own = {}
            while waiting is not None and waiting[0].record == record.number:
                own[waiting[0].number] = _from(int(record.columns[1]), *waiting, told)
                waiting = next(found, None)
            file.write(f"{_line(record, own, told)}\n".encode())
    for kind in ("tbi", "csi"):
        Path(f"{out}.{kind}").unlink(missing_ok=True)
    if is_sorted:
        kind = "csi" if _longest(folder, used) > TABIX else "tbi"
        pysam.tabix_index(str(partial), preset="vcf", force=True, csi=kind == "csi")
        Path(f"{partial}.{kind}").replace(f"{out}.{kind}")
    partial.replace(out)
    return out


def _from(
    position: int, allele: Allele, values: npt.NDArray[Any], told: list[Field]
) -> npt.NDArray[Any]:
    """The scores of an allele whose record has this POS: its own place, in normal form, may be another."""
    places = np.array([each.kind == "Integer" for each in told])
    return np.where(places, values + (allele.start + 1 - position), values)


def _longest(folder: Folder, used: dict[str, int]) -> int:
    """Bases of the longest chromosome of the lines: as the genome has it, or as far as they go."""
    sizes = folder.manifest["sizes"]
    known = (sizes.get(name) or sizes.get(other_name(name)) or 0 for name in used)
    return max((*known, *used.values()), default=0)


def _readable(source: Path) -> Iterator[Record]:
    return (record for record in records(source) if not isinstance(record, Reject))


def _order(source: Path) -> tuple[dict[str, int], bool]:
    """The chromosomes as they come, each with its last POS, and whether lines are sorted as an index needs."""
    last: dict[str, int] = {}
    before, is_sorted = "", True
    for record in _readable(source):
        name, position = record.columns[0], int(record.columns[1])
        is_sorted &= (name == before or name not in last) and position >= last.get(name, 0)
        last[name], before = position, name
    return last, is_sorted


def _header(
    folder: Folder, given: list[str], told: list[Field], used: Iterable[str]
) -> Iterator[str]:
    """The header given, with what VCF wants declared: contigs, and the fields, where they are not yet."""
    own = tuple(f"##INFO=<ID={each.tag}," for each in told)
    kept = [line for line in given[:-1] if not line.startswith((*own, "##nucleoscope="))]
    yield from kept
    sizes = folder.manifest["sizes"]
    for name in used:
        if not any(
            line.startswith((f"##contig=<ID={name},", f"##contig=<ID={name}>")) for line in kept
        ):
            size = sizes.get(name) or sizes.get(other_name(name))
            yield f"##contig=<ID={name}" + (f",length={size}>" if size else ">")
    yield "##nucleoscope=" + json.dumps(folder.manifest["provenance"])
    yield from (each.described() for each in told)
    yield given[-1]


def _line(record: Record, own: dict[int, npt.NDArray[Any]], told: list[Field]) -> str:
    columns, tags = list(record.columns), {each.tag for each in told}
    info = [] if columns[7] in (".", "") else columns[7].split(";")
    info = [entry for entry in info if entry.partition("=")[0] not in tags]
    alternatives = range(columns[4].count(",") + 1)
    if own:
        for at, each in enumerate(told):
            values = (each.written(own[n][at]) if n in own else "." for n in alternatives)
            info.append(f"{each.tag}={','.join(values)}")
    columns[7] = ";".join(info) or "."
    return "\t".join(columns)
