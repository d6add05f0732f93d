"""Integrated gradients of one sequence: ours and captum's, the same rule and nodes, in turn.

captum gets the best of several batches. Before anything is timed both maps are held to the same rule in
float64. `nucleoscope.integrated_gradients` is timed as a whole, checks and error bar included, once its trace
is there.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import captum
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

import nucleoscope
from benchmarks.cases import CASES as SCANS

CASES = {  # whose network, nodes, target, what both maps may be off by, of the largest score
    "BPNet 64 filters, 2,114 bp, counts": (32, 0, 1e-3),
    "Basset, 600 bp": (32, 5, 1e-2),
    "ChromBPNet 512 filters, 2,114 bp, counts": (8, 0, 1e-3),
    "SpliceAI-10k, 15 kb, one output": (8, 0, 1e-2),
}
BATCHES = (4, 8, 16, None)  # captum's internal_batch_size; None: all nodes at once
ROUNDS = 5


def seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def ours(model: nn.Module, X: Tensor, steps: int, target: int, precision: str = "fp32") -> Tensor:
    made = nucleoscope.integrated_gradients(
        model, X, target=target, n_steps=steps, method="midpoint", baselines="uniform",
        hypothetical=True, precision=precision,
    )  # fmt: skip
    return made.scores


def theirs(model: nn.Module, X: Tensor, steps: int, target: int, batch: int | None) -> Tensor:
    made: Tensor = IntegratedGradients(model).attribute(
        X, torch.full_like(X, 0.25), target=target, n_steps=steps, method="riemann_middle",
        internal_batch_size=batch,
    )  # fmt: skip
    return made


@pytest.mark.benchmark(group="integrated gradients")
@pytest.mark.parametrize("name", CASES)
def bench_integrated_gradients(name: str, benchmark: Any) -> None:
    steps, target, tolerance = CASES[name]
    model, X = SCANS[name].ready()
    X = X[:1]
    double = copy.deepcopy(model).double()
    exact = theirs(double, X.double(), steps, target, 4)

    def error(summed: Tensor) -> float:
        return float((summed - exact.sum(1)).abs().max() / exact.sum(1).abs().max())

    # a letter's share of ours has the baseline's taken off: what both mean is the sum at a site
    mine = nucleoscope.integrated_gradients(
        model, X, target=target, n_steps=steps, method="midpoint", baselines="uniform"
    ).scores.sum(1)
    gaps = {"ours": error(mine), "captum": error(theirs(model, X, steps, target, 4).sum(1))}
    assert max(gaps.values()) <= tolerance, gaps
    times: dict[str, list[float]] = {}

    def beside() -> None:
        for batch in BATCHES:
            spent = seconds(lambda batch=batch: theirs(model, X, steps, target, batch))
            times.setdefault(f"captum, batch {batch or 'all'}", []).append(spent)

    benchmark.pedantic(
        lambda: ours(model, X, steps, target), setup=beside, rounds=ROUNDS, warmup_rounds=0
    )
    medians = {side: statistics.median(spent) for side, spent in times.items()}
    own = statistics.median(benchmark.stats.stats.data)
    best = min(medians.values())
    benchmark.extra_info.update(
        captum=captum.__version__,
        nodes=steps,
        error=gaps,
        medians=medians,
        times=times,
        ratio=best / own,
    )
    print(f"{name}: {own:.3f} s, captum {best:.3f} s, {best / own:.2f}x")  # noqa: T201
