"""Finished cells: in memory, or in a folder in which a run that was stopped goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nucleoscope.evaluate.results import Answer, Cell, Scores
from nucleoscope.files import whole_file


@dataclass(frozen=True, eq=False)
class Found:
    """What became of a cell: what each position counts, [N, L] or nothing, and every metric's answer."""

    cell: Cell
    positions: Scores | None
    answers: Mapping[str, Answer]


class Cells:
    """Kept as they are done. A folder holds one file a cell, and request.json, which says what was asked for."""

    def __init__(self, folder: Path | None, request: Mapping[str, Any]) -> None:
        """Raises ValueError where the folder belongs to a run that asked for something else."""
        self._held: dict[Cell, Found] = {}
        self._folder = None if folder is None else folder / "cells"
        if folder is None or self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        said, asked = folder / "request.json", json.loads(json.dumps(request))
        if not said.exists():
            with whole_file(said) as file:
                file.write(json.dumps(asked, indent=1).encode())
        before = json.loads(said.read_text())
        other = [name for name in asked if before.get(name) != asked[name]]
        if other:
            raise ValueError(
                f"out={str(folder)!r} holds a run with other {', '.join(other)}: by content (code, numbers, "
                "options, what functions close over) what is there is not what is asked for. Give another "
                "folder, or remove this one."
            )

    def _file(self, cell: Cell) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(repr(dataclasses.astuple(cell)).encode()).hexdigest()[:24]
        return self._folder / f"{name}.npz"

    def has(self, cell: Cell) -> bool:
        """Whether it is done."""
        if self._folder is None:
            return cell in self._held
        return self._file(cell).exists() and zipfile.is_zipfile(self._file(cell))

    def keep(self, found: Found) -> None:
        """Keep what became of a cell; a file appears complete or not at all."""
        if self._folder is None:
            self._held[found.cell] = found
            return
        told = {name: _facts(each) for name, each in found.answers.items()}
        arrays: dict[str, Any] = {
            f"values_{i}": each.values for i, each in enumerate(found.answers.values())
        }
        if found.positions is not None:
            arrays["positions"] = found.positions
        with whole_file(self._file(found.cell)) as file:
            np.savez_compressed(file, answers=np.array(json.dumps(told)), **arrays)

    def read(self, cell: Cell) -> Found:
        """What became of it."""
        if self._folder is None:
            return self._held[cell]
        with np.load(self._file(cell), allow_pickle=False) as held:
            answers = {
                name: Answer(cell, name, values=held[f"values_{i}"], **facts)
                for i, (name, facts) in enumerate(json.loads(str(held["answers"])).items())
            }
            return Found(cell, held.get("positions"), answers)


def _facts(answer: Answer) -> dict[str, Any]:
    """All of an answer but its numbers and what its place says."""
    return {
        each.name: getattr(answer, each.name)
        for each in dataclasses.fields(answer)
        if each.name not in ("cell", "metric", "values")
    }


def told(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
