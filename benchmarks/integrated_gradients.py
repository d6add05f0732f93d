# ruff: noqa: T201
"""Integrated gradients of one sequence beside captum's, the same rule and nodes, and how near arithmetic's bound.

One thread, and its processor time: waiting for others on the machine is left out. Each side is taken in turn,
captum in the best of several batches, ours as a whole, error bar and checks included, once its trace is there.
The bound is what forward and back to the input multiply, at the rate of torch's matrix product in the same
run; zeros that are skipped can beat it. Both maps are held to the same rule in float64 before they are timed.
`python -m benchmarks.integrated_gradients [name ...]` writes benchmarks/results/integrated_gradients.json.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import CASES as SCANS
from benchmarks.machine import conditions
from benchmarks.methods.bench_integrated_gradients import BATCHES, CASES, ROUNDS, ours, theirs

RESULT = Path(__file__).parent / "results" / "integrated_gradients.json"
SIDE = 1024  # of the matrices whose product tells the rate
WARM = 8  # calls, after which ours goes by its trace


def seconds(job: Callable[[], object]) -> float:
    begun = time.process_time()
    job()
    return time.process_time() - begun


def errors(model: nn.Module, X: Tensor, steps: int, target: int) -> dict[str, float]:
    """What both maps are off by from the rule in float64, of its largest number; summed over letters."""
    exact = theirs(copy.deepcopy(model).double(), X.double(), steps, target, 4).sum(1)
    gradients = ours(model, X, steps, target)  # of every letter, less the baseline's share
    mine = (gradients * X).sum(1)
    found = {"nucleoscope": mine, "captum": theirs(model, X, steps, target, 4).sum(1)}
    return {
        side: float((each - exact).abs().max() / exact.abs().max()) for side, each in found.items()
    }


def multiplied(model: nn.Module, X: Tensor, steps: int) -> int:
    """Floating-point operations of a path: forward, and as many back to the input."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(X)
    return 2 * steps * int(counter.get_total_flops())


def measured(name: str) -> dict[str, Any]:
    """One network: errors first, then the sides in turn."""
    steps, target, tolerance = CASES[name]
    model, X = SCANS[name].ready()
    X = X[:1]
    off = errors(model, X, steps, target)
    assert max(off.values()) <= tolerance, off
    for _ in range(WARM):
        ours(model, X, steps, target)
    square = torch.randn(SIDE, SIDE)
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        sides: dict[str, Callable[[], object]] = {
            "nucleoscope": lambda: ours(model, X, steps, target),
            **{
                f"captum, batch {size or 'all'}": lambda size=size: theirs(  # type: ignore[misc]
                    model, X, steps, target, size
                )
                for size in BATCHES
            },
            "sgemm": lambda: square @ square,
        }
        for side, job in sides.items():
            took.setdefault(side, []).append(seconds(job))
    medians = {side: statistics.median(spent) for side, spent in took.items()}
    bound = multiplied(model, X, steps) / (2 * SIDE**3 / medians.pop("sgemm"))
    own = medians.pop("nucleoscope")
    return {
        "nodes": steps, "error": off, "seconds": took, "nucleoscope": own, "captum": min(medians.values()),
        "ratio": min(medians.values()) / own, "bound": bound, "of the bound": bound / own,
    }  # fmt: skip


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found |= {
        "conditions": conditions() | {"captum": captum.__version__},
        "command": "python -m benchmarks.integrated_gradients",
        "rounds": ROUNDS,
    }
    print("| network | nucleoscope | captum | ratio | bound |\n|---|---:|---:|---:|---:|")
    for name in names or CASES:
        found[name] = made = measured(name)
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        times = " | ".join(f"{made[side]:.3f} s" for side in ("nucleoscope", "captum"))
        print(f"| {name} | {times} | {made['ratio']:.2f} | {made['bound']:.3f} s |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
