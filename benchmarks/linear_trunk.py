"""The whole scan of a trained model of 131 kb by a linear trunk: its agreement with exact edits, and its time.

    NUCLEOSCOPE_DATA=folder python -m benchmarks.linear_trunk

Every substitution of the demo's human sequence by the mini-Borzoi, on the mean of 32 bins of a DNASE track; a
random sample of sites is made exactly. Seconds are of the processor, all threads. The plain loop's are those of a
forward, times the edits; the exact windowed scan's are what two exact stretches of the middle differ by, an edit,
times the edits. The trace of a model, which all have in common, is made before. `--sites N` scans N in the middle
and says so. Written: benchmarks/results/linear_trunk.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.machine import conditions
from benchmarks.trained import mini_borzoi
from nucleoscope import LinearTrunk

RESULTS = Path(__file__).parent / "results" / "linear_trunk.json"
TARGET = ("human", 31, slice(1008, 1040))
FORWARDS, SHORT, LONG = 3, 2, 10  # forwards timed; sites of the exact stretches
NAIVE, WINDOWED = 80, 10  # times as fast as these, at least


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Of the processor, all threads."""
    begun = time.process_time()
    made = run()
    return time.process_time() - begun, made


def forward(net: nn.Module, X: Tensor) -> float:
    with torch.no_grad():
        return median(seconds(lambda: net(X))[0] for _ in range(FORWARDS))


def exact(net: nn.Module, X: Tensor, sites: int) -> tuple[float, Tensor]:
    """Every substitution at some sites of the middle, each by the model's own tail."""
    start = (X.shape[2] - sites) // 2
    taken, made = seconds(
        lambda: nucleoscope.saturation_mutagenesis(
            net, X, start=start, end=start + sites, target=TARGET, hypothetical=True, center="none",
            verify=0,
        )
    )  # fmt: skip
    return taken, made.scores


def scan(net: nn.Module, X: Tensor, sites: int, how: LinearTrunk) -> tuple[float, Any]:
    start = (X.shape[2] - sites) // 2
    return seconds(
        lambda: nucleoscope.saturation_mutagenesis(
            net, X, start=start, end=start + sites, target=TARGET, hypothetical=True, center="none",
            verify=0, trunk=how,
        )
    )  # fmt: skip


def measure(sites: int | None, sample: int) -> dict[str, Any]:
    net, X = mini_borzoi(Path(os.environ["NUCLEOSCOPE_DATA"]))
    many = sites or X.shape[2]
    exact(net, X, 1)  # traces it
    one = forward(net, X)
    short, long = exact(net, X, SHORT)[0], exact(net, X, LONG)[0]
    windowed = (long - short) / (LONG - SHORT) / 3
    taken, made = scan(net, X, many, LinearTrunk(0.0, sample))
    (said,) = made.facts["trunk"]["targets"]
    edits = 3 * many
    alone = taken - windowed * said["edits"]  # the screen without its sample
    assert said["r"] > 0.9
    assert 0.5 < said["slope"] < 2
    return {
        "sites": many, "edits": edits, "scan_seconds": taken, "of_which_the_sample": windowed * said["edits"],
        "forward_seconds": one, "exact_seconds_an_edit": windowed, "linear_seconds_an_edit": alone / edits,
        "times_naive": one * edits / taken, "times_windowed": windowed * edits / taken,
        "times_naive_with_10_percent_rerun": one * edits / (taken + 0.1 * edits * windowed),
        "agreement": said, "check": str(made.checks[-1]),
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sites", type=int, help="sites in the middle (default: all)")
    asked.add_argument("--sample", type=int, default=64, help="sites that are made exactly")
    asked.add_argument("--out", type=Path, default=RESULTS)
    given = asked.parse_args()
    result = {"command": "python -m benchmarks.linear_trunk", **conditions()}
    result |= measure(given.sites, given.sample)
    result["asked"] = {"times_naive": NAIVE, "times_windowed": WINDOWED}
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
