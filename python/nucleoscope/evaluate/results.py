"""What a benchmark found: a tidy table of one row for each sequence, metric, explainer, model and seed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nucleoscope.evaluate.quality import Quality
from nucleoscope.files import whole_file

COLUMNS = (
    "explainer", "model", "metric", "category", "higher_is_better", "seed", "sample", "value", "status", "reason",
    "explain_seconds", "metric_seconds", "peak_memory", "versions",
)  # fmt: skip
Numbers = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """One explainer asked about one model with one seed."""

    explainer: str
    model: str
    seed: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What one metric said of a cell: a number for each sequence, or why there is none."""

    cell: Cell
    metric: str
    category: str
    higher_is_better: bool
    values: Numbers  # [N]; empty where it failed or was refused
    status: str = "ok"  # "failed": of the explainer or the metric; "refused": the model is no better than chance
    reason: str = ""
    explain_seconds: float = float("nan")
    metric_seconds: float = float("nan")
    peak_memory: float = float("nan")  # bytes that the explainer held beyond what was there
    undefined: str = ""  # why a sequence has no number, as the metric says it

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the table but for versions: one a sequence, or a single one without a value."""
        cell, costs = self.cell, (self.explain_seconds, self.metric_seconds, self.peak_memory)
        named = (
            cell.explainer,
            cell.model,
            self.metric,
            self.category,
            self.higher_is_better,
            cell.seed,
        )
        if not len(self.values):
            yield (*named, None, float("nan"), self.status, self.reason, *costs)
        for sample, value in enumerate(self.values.tolist()):
            undefined = self.status == "ok" and value != value
            yield (
                *named,
                sample,
                value,
                "undefined" if undefined else self.status,
                self.undefined if undefined else self.reason,
                *costs,
            )


@dataclass(frozen=True, eq=False)
class Results:
    """All answers, what was asked (`facts`), the quality of each model where it is known, and the scores.

    maps: what each position counts, [N, L] float32, of the first seed, by (explainer, model).
    """

    answers: tuple[Answer, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Quality] = field(default_factory=dict)
    maps: Mapping[tuple[str, str], Scores] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(max(1, len(each.values)) for each in self.answers)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The table's rows, in the order of `COLUMNS`."""
        held = self.facts.get("request", {}).get("versions", {})
        versions = " ".join(f"{name}={version}" for name, version in held.items())
        for each in self.answers:
            yield from ((*row, versions) for row in each.rows())

    def columns(self) -> dict[str, list[Any]]:
        """The table by columns."""
        columns = zip(*self.rows(), strict=True)
        return dict(zip(COLUMNS, map(list, columns), strict=True))

    def to_arrow(self) -> Any:
        """A pyarrow.Table. Needs ``pip install 'nucleoscope[evaluate]'``."""
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError(
                "a Parquet table needs pyarrow: pip install 'nucleoscope[evaluate]'"
            ) from error
        named = {"sample": pyarrow.int64(), "seed": pyarrow.int64(), "value": pyarrow.float64()}
        return pyarrow.table({
            name: pyarrow.array(column, named.get(name)) for name, column in self.columns().items()
        })  # fmt: skip

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The table as text; it appears complete or not at all."""
        text = io.StringIO()
        written = csv.writer(text, lineterminator="\n")
        written.writerow(COLUMNS)
        written.writerows(self.rows())
        with whole_file(Path(path)) as file:
            file.write(text.getvalue().encode())

    def write_parquet(self, path: str | os.PathLike[str]) -> None:
        """The table as Parquet; it appears complete or not at all. Needs pyarrow."""
        table = self.to_arrow()
        import pyarrow.parquet

        with whole_file(Path(path)) as file:
            pyarrow.parquet.write_table(table, file)
