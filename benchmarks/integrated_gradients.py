# ruff: noqa: T201
"""Integrated gradients of one sequence beside captum's, the same rule and nodes, and how near arithmetic's bound.

One thread, and its processor time: waiting for others on the machine is left out. Each side is taken in turn,
captum in the best of several batches, ours as a whole, error bar and checks included, once it goes by its trace.
The bound is what forward and back to the input multiply, at the rate of torch's matrix product in the same
run; zeros that are skipped can beat it. Both maps are held to the same rule in float64 before they are timed.
Where the processor has AVX512_BF16, a case is taken with `precision="bf16"` as well: with more nodes, since what
is asked in float32 beside them (the targets at both ends, whether the trace is still the model's) does not grow.
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
from nucleoscope.ops import has_bf16

RESULT = Path(__file__).parent / "results" / "integrated_gradients.json"
SIDE = 1024  # of the matrices whose product tells the rate
POINTS = 256  # after which ours goes by its trace
SHORT = (
    "ChromBPNet 512 filters, 2,114 bp, counts"  # the case whose layers are wide enough for bfloat16
)
NODES, ROUNDED = 32, 0.05  # of that, and what its map may be off by


def seconds(job: Callable[[], object]) -> float:
    begun = time.process_time()
    job()
    return time.process_time() - begun


def errors(
    model: nn.Module, X: Tensor, steps: int, target: int, precision: str
) -> dict[str, float]:
    """What both maps are off by from the rule in float64, of its largest number; summed over letters."""
    exact = theirs(copy.deepcopy(model).double(), X.double(), steps, target, 4).sum(1)
    gradients = ours(
        model, X, steps, target, precision
    )  # of every letter, less the baseline's share
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


def measured(name: str, precision: str = "fp32") -> dict[str, Any]:
    """One network: errors once it goes by its trace, then the sides in turn."""
    steps, target, tolerance = CASES[name]
    steps, tolerance = (steps, tolerance) if precision == "fp32" else (NODES, ROUNDED)
    model, X = SCANS[name].ready()
    X = X[:1]
    for _ in range(-(-POINTS // steps)):
        ours(model, X, steps, target)
    off = errors(model, X, steps, target, precision)
    assert max(off.values()) <= tolerance, off
    square = torch.randn(SIDE, SIDE)
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        sides: dict[str, Callable[[], object]] = {
            "nucleoscope": lambda: ours(model, X, steps, target, precision),
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
    cases = {name: (name, "fp32") for name in CASES}
    if has_bf16():
        cases[f"{SHORT}, bf16"] = SHORT, "bf16"
    for name in names or cases:
        found[name] = made = measured(*cases[name])
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        times = " | ".join(f"{made[side]:.3f} s" for side in ("nucleoscope", "captum"))
        print(f"| {name} | {times} | {made['ratio']:.2f} | {made['bound']:.3f} s |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
