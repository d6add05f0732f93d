"""What it saves that deltas go on where a tail would run: the same net with the op as a seam.

    python -m benchmarks.seams

Each net is asked about the substitutions of some sites around its middle, three ways in turn: as the engine
follows it, with the rule taken out (the tail then runs from there on for every edit), and by the plain loop in
the best of some batches. Answers are held to the loop in float64 first. Processor seconds of all
threads, medians. Two to five minutes. Written: benchmarks/results/seams.json.
"""

from __future__ import annotations

import contextlib
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.cases import Case
from benchmarks.machine import conditions
from nucleoscope.engine.rules import gates
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as loop

ROUNDS, BATCHES = 5, (16, 64)
RESULTS = Path(__file__).parent / "results" / "seams.json"


class Excited(nn.Module):
    """Two convolutions, a squeeze-excitation with a projection around it, a mean, one number."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv1d(4, width, 15, padding=7), nn.ReLU(),
            nn.Conv1d(width, width, 7, padding=3), nn.ReLU(),
        )  # fmt: skip
        self.gate = nn.Sequential(
            nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, width), nn.Sigmoid()
        )
        self.project = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.tower(x)
        h = h + self.project(h * self.gate(h.mean(2))[:, :, None])
        made: Tensor = self.head(h.mean(2))
        return made


def ungated() -> contextlib.AbstractContextManager[Any]:
    """Means stay behind the gates that they read."""
    return mock.patch.object(gates, "reduced_ahead")


@dataclass(frozen=True)
class Followed:
    """A net, and how the engine is told not to follow it."""

    case: Case
    without: Callable[[], contextlib.AbstractContextManager[Any]]


CASES = {
    "squeeze-excitation, then a mean; 1 kb": Followed(Case(Excited, 1000, 32), ungated),
}


class Asked:
    """One net with one sequence, asked about the same sites by each side."""

    def __init__(self, followed: Followed) -> None:
        self.model, self.X = followed.case.ready()
        self.seamed, self.sites = copy.deepcopy(self.model), followed.case.range
        with followed.without():  # the trace that is made now is kept with the module
            self.by_tail()

    def by_deltas(self) -> Tensor:
        """As the engine follows it."""
        return self._asked(self.model)

    def by_tail(self) -> Tensor:
        """The op as a seam."""
        return self._asked(self.seamed)

    def _asked(self, model: nn.Module) -> Tensor:
        found = nucleoscope.saturation_mutagenesis(
            model, self.X, target=0, start=self.sites.start, end=self.sites.stop, center="none",
            hypothetical=True, verify=0,
        )  # fmt: skip
        return found.scores

    def by_loop(self, batch: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """One forward of the model an edit."""
        model = self.model if dtype == torch.float32 else copy.deepcopy(self.model).to(dtype)
        return loop(
            model, self.X.to(dtype), (), sites=self.sites, letters=1,
            read=lambda output: output[:, :1], batch=batch,
        )[:, 0]  # fmt: skip

    def error(self) -> dict[str, float]:
        """Of the largest effect, by float64; and that they are two ways indeed."""
        assert nucleoscope.plan(self.model, self.X, target=0).local
        assert not nucleoscope.plan(self.seamed, self.X, target=0).local
        want = self.by_loop(16, torch.float64)
        sides = {"deltas": self.by_deltas(), "tail": self.by_tail(), "loop": self.by_loop(16)}
        found = {
            name: float((got - want).abs().max() / want.abs().max()) for name, got in sides.items()
        }
        assert found["deltas"] < 1e-5, found
        assert found["tail"] < max(1e-5, 3 * found["loop"]), found
        return found


def sides(asked: Asked) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    yield "deltas", asked.by_deltas
    yield "tail", asked.by_tail
    for batch in BATCHES:
        yield f"loop, batches of {batch}", lambda batch=batch: asked.by_loop(batch)  # type: ignore[misc]


def measure(followed: Followed) -> dict[str, Any]:
    """Medians of processor seconds, all sides in turn, and how many times less deltas take."""
    asked = Asked(followed)
    error = asked.error()
    taken: dict[str, list[float]] = {name: [] for name, _ in sides(asked)}
    for _ in range(ROUNDS):
        for name, run in sides(asked):
            begun = time.process_time()
            run()
            taken[name].append(time.process_time() - begun)
    seconds = {name: statistics.median(each) for name, each in taken.items()}
    ratios = [tail / deltas for tail, deltas in zip(taken["tail"], taken["deltas"], strict=True)]
    fastest = min(s for name, s in seconds.items() if name.startswith("loop"))
    return {
        "edits": 3 * len(asked.sites), "error": error, "processor_seconds": seconds,
        "times_less_than_by_tail": statistics.median(ratios),
        "from_to": [min(ratios), max(ratios)],
        "times_less_than_loop": fastest / seconds["deltas"],
    }  # fmt: skip


if __name__ == "__main__":
    found = {name: measure(followed) for name, followed in CASES.items()}
    RESULTS.write_text(json.dumps({"conditions": conditions(), "nets": found}, indent=1) + "\n")
