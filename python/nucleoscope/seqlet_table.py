"""Seqlets: stretches that stand out of an attribution, as columns, and as files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nucleoscope.files import whole_file

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BED_SCORE = 1000  # the largest that the format allows
BEYOND = 1 << 40  # behind every chromosome


@dataclass(frozen=True, eq=False)
class DiscoveryCurve:
    """What each threshold calls on the data and on its control, from the loosest to the strictest."""

    threshold: Floats
    called: Ints
    called_on_control: Ints
    fdr: (
        Floats  # estimated: (called_on_control + 1) x size / size of control / called; NaN for none
    )


@dataclass(frozen=True, eq=False)
class Seqlets:
    """Stretches of high attribution, the least likely first: one row a seqlet.

    ``pandas.DataFrame(seqlets.columns())`` makes a table of them.
    """

    sequence: Ints  # index of the sequence
    start: Ints  # half open, in positions of the sequence
    end: Ints
    attribution: Floats  # summed over the stretch
    p_value: Floats  # ranks; no error rate (see `seqlets`)
    q_value: Floats  # the lowest FDR estimated at a threshold that calls it; NaN without a control
    facts: dict[str, Any] = field(default_factory=dict)
    curves: tuple[DiscoveryCurve, ...] = ()  # one for each sign that was asked for

    def __len__(self) -> int:
        return len(self.sequence)

    def __repr__(self) -> str:
        facts = ", ".join(
            f"{k}={v}" for k, v in self.facts.items() if k in ("fdr", "control", "sign")
        )
        lines = [
            f"Seqlets({len(self):,} in {len(set(self.sequence.tolist())):,} sequences; {facts})"
        ]
        for curve in self.curves:
            if len(curve.fdr) and not (curve.fdr <= self.facts["fdr"]).any():
                lines.append(f"  {_out_of_reach(curve)}")
        return "\n".join(lines)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The table, a column a name."""
        names = ("sequence", "start", "end", "attribution", "p_value", "q_value")
        return {name: getattr(self, name) for name in names}

    def of(self, sequence: int) -> Seqlets:
        """Those of one sequence."""
        own = self.sequence == sequence
        kept = {name: column[own] for name, column in self.columns().items()}
        return Seqlets(**kept, facts=self.facts, curves=self.curves)

    def to_csv(self, path: str | os.PathLike[str], separator: str = ",") -> Path:
        """One line a seqlet under a line of names; it appears complete or not at all."""
        columns = self.columns()
        return _write(Path(path), [list(columns), *zip(*columns.values(), strict=True)], separator)

    def to_bed(
        self, path: str | os.PathLike[str], regions: Sequence[Mapping[str, Any]] | None = None
    ) -> Path:
        """A BED file: chromosome, start, end, name, score, strand; attribution, p- and q-value.

        `regions` says where each sequence lies, ``{"chromosome": "chr1", "start": 1000, "end":
        2000}``, from 0 and half open, with ``"strand": "-"`` where it is the reverse complement.
        Those that the attribution came with are taken by default; without any, positions are the
        sequence's own and its name is ``sequence0``, ``sequence1`` ... The score is
        -10 log10(p), at most 1000.

        Raises ValueError where a sequence has no region, and for regions that do not say where they lie or end
        before a seqlet of theirs.
        """
        regions = self.facts.get("regions") if regions is None else regions
        if regions is not None and len(self) and len(regions) <= int(self.sequence.max()):
            raise ValueError(
                f"regions: {len(regions)} are given, and there are seqlets in sequence "
                f"{int(self.sequence.max())}, counted from 0"
            )
        smallest = np.finfo(np.float64).tiny
        scores = np.minimum(BED_SCORE, -10 * np.log10(np.maximum(self.p_value, smallest)))
        rows = []
        for row, score in enumerate(scores):
            sequence = int(self.sequence[row])
            start, end = int(self.start[row]), int(self.end[row])
            chromosome, start, end, strand = _placed(sequence, start, end, regions)
            values = [f"{v[row]:.6g}" for v in (self.attribution, self.p_value, self.q_value)]
            name = f"seqlet{row + 1}"
            rows.append(
                [chromosome, start, end, name, max(0, round(float(score))), strand, *values]
            )
        return _write(Path(path), rows, "\t")


def _placed(
    sequence: int, start: int, end: int, regions: Sequence[Mapping[str, Any]] | None
) -> tuple[str, int, int, str]:
    """Where [start, end) of a sequence lies in the genome."""
    if regions is None:
        return f"sequence{sequence}", start, end, "."
    region = _region(regions[sequence], sequence, end)
    if region.get("strand", ".") == "-":
        return str(region["chromosome"]), region["end"] - end, region["end"] - start, "-"
    at = int(region["start"])
    return str(region["chromosome"]), at + start, at + end, str(region.get("strand", "."))


def _region(given: Any, sequence: int, end: int) -> Mapping[str, Any]:
    """A region that says where it lies, and reaches to what ends there."""
    if not isinstance(given, Mapping):
        raise ValueError(
            f"regions[{sequence}]={given!r}: a mapping with 'chromosome', 'start' and 'end'"
        )
    needed = ("chromosome", "start", "end")[: 3 if given.get("strand") == "-" else 2]
    lacks = [name for name in needed if name not in given]
    if lacks:
        raise ValueError(f"regions[{sequence}] has no {lacks[0]!r}")
    size = int(given.get("end", BEYOND)) - int(given["start"])
    if end > size:
        raise ValueError(
            f"regions[{sequence}] has {size:,} bases, and a seqlet of it ends at {end:,}: a region is where "
            "the whole sequence lies"
        )
    return given


def _out_of_reach(curve: DiscoveryCurve) -> str:
    if np.isnan(curve.fdr).all():
        return "nothing stands out at any threshold"
    best = int(np.nanargmin(curve.fdr))
    return (
        f"no threshold reaches this FDR: the lowest estimate is {curve.fdr[best]:.2f}, with "
        f"{curve.called[best]:,} called, {curve.called_on_control[best]:,} on the control"
    )


def _write(path: Path, rows: Sequence[Sequence[Any]], separator: str) -> Path:
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
        text.flush()
        text.detach()
    return path
