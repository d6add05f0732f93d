"""What integrated gradients hold at their peak, by the number of steps and on a long input.

    python -m benchmarks.path_memory

BPNet on 2,114 bp, 8 to 512 steps, of one sequence and of eight; a small Borzoi that was trained, on all of its
131,072 bp, with 16 steps (it needs NUCLEOSCOPE_DATA). Each in a process of its own; the peak is of the process
with all it has loaded, and the budget is given. Few gradients of a model go by autograd, from 64 on (eight
sequences at any number of steps, one at 64 steps) by its trace, for which torch.export is loaded once.
Written: benchmarks/results/path_memory.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.lengths import held
from benchmarks.machine import conditions
from benchmarks.nets import BPNetCounts
from nucleoscope.demo import load_sequence
from nucleoscope.scan.letters import one_hot

STEPS, LONG, MANY = (8, 32, 128, 512), 16, 8
RESULTS = Path(__file__).parent / "results" / "path_memory.json"


def bpnet(many: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    letters = load_sequence()[1]
    return BPNetCounts().eval(), one_hot([letters[i : i + 2114] for i in range(many)])


def one(name: str, steps: int, many: int = 1) -> dict[str, Any]:
    """Run once, in this process."""
    if name == "bpnet":
        model, X = bpnet(many)
        target = 0
    else:
        from benchmarks.trained import mini_borzoi

        model, X = mini_borzoi(Path(os.environ["NUCLEOSCOPE_DATA"]))
        target = ("human", 31, slice(1000, 1048))
    begun = time.perf_counter()
    made = nucleoscope.integrated_gradients(model, X, target=target, n_steps=steps, memory=1 << 30)
    seconds = time.perf_counter() - begun
    return {
        "sequences": many, "steps": steps, "peak": held()["peak"], "seconds": seconds,
        "checks": [str(c) for c in made.checks], "rule": made.facts["rule"], "length": X.shape[2],
    }  # fmt: skip


def elsewhere(name: str, steps: int, many: int = 1) -> dict[str, Any]:
    """`one`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.path_memory", name, str(steps), str(many)]
    made: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return made


def main() -> None:
    """Measure all, or the one that is named."""
    if len(sys.argv) > 2:
        json.dump(one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
        return
    result = {"command": "python -m benchmarks.path_memory", **conditions()}
    result["BPNet"] = [elsewhere("bpnet", n) for n in STEPS]
    result["BPNet, several"] = [elsewhere("bpnet", n, MANY) for n in STEPS]
    if os.environ.get("NUCLEOSCOPE_DATA"):
        result["mini-Borzoi"] = elsewhere("mini_borzoi", LONG)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
