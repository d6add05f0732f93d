"""What a substitution costs as the sequence grows, in time and memory: BPNet on 2,114 bp to 100 kb.

    python -m benchmarks.lengths

The same number of sites around the middle is edited at each length, all lengths in turn, under a cached trace
and without verification. A call makes the originals once, whatever is edited: that share is timed by a call for
a single site. Memory is what the process holds at its peak above what it held before, each length in a process
of its own: at the first call, which traces the model (and loads what torch.export needs), and at a later one.
Written: benchmarks/results/lengths.json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nucleoscope
from benchmarks.cases import Case
from benchmarks.machine import conditions
from benchmarks.nets import BPNetCounts
from benchmarks.structure import multiply_adds

LENGTHS = (2114, 8000, 100_000)
SITES, ROUNDS = 1024, 5
RESULTS = Path(__file__).parent / "results" / "lengths.json"


class Call:
    """Substitutions of some sites around the middle of a sequence."""

    def __init__(self, length: int) -> None:
        self.case = Case(BPNetCounts, length)
        self.model, self.X = self.case.ready()

    def __call__(self, sites: int) -> float:
        """Do them; the seconds they took."""
        at = self.case.middle(sites)
        begun = time.perf_counter()
        nucleoscope.saturation_mutagenesis(
            self.model, self.X, start=at.start, end=at.stop, hypothetical=True, verify=0
        )
        return time.perf_counter() - begun


def held() -> dict[str, int]:
    """Bytes that this process holds now, and held at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"now": 1024 * int(found["VmRSS"]), "peak": 1024 * int(found["VmHWM"])}


def memory(length: int) -> dict[str, int]:
    """Bytes at the peak of a first and of a later call above those before it."""
    call, found = Call(length), {}
    for which in ("first call", "later call"):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = held()["now"]
        call(SITES)
        found[which] = held()["peak"] - before
    return found


def elsewhere(length: int) -> dict[str, int]:
    """`memory`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.lengths", str(length)]
    made: dict[str, int] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return made


def measure() -> list[dict[str, Any]]:
    """Every length: seconds, multiply-adds and memory."""
    calls = {length: Call(length) for length in LENGTHS}
    spent: dict[int, list[tuple[float, float]]] = {length: [] for length in LENGTHS}
    for call in calls.values():
        call(1)
    for _ in range(ROUNDS):
        for length, call in calls.items():
            spent[length].append((call(1), call(SITES)))
    found = []
    for length, call in calls.items():
        edits = 3 * SITES
        one, many = (statistics.median(column) for column in zip(*spent[length], strict=True))
        counted = multiply_adds(call.model, length, call.case.middle(SITES))
        found.append({
            "length": length, "edits": edits, "seconds": spent[length],
            "microseconds an edit, whole call": 1e6 * many / edits,
            "microseconds an edit, originals left out": 1e6 * (many - one) / (edits - 3),
            "multiply-adds an edit": counted / edits, "peak memory": elsewhere(length),
        })  # fmt: skip
    return found


def main() -> None:
    """Measure all lengths, or the memory of the one that is named."""
    if len(sys.argv) > 1:
        json.dump(memory(int(sys.argv[1])), sys.stdout)
        return
    result = {"command": "python -m benchmarks.lengths", **conditions(), "lengths": measure()}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
