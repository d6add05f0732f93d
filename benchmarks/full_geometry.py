"""Every system of the catalog at its published size under every explanation: time and peak memory.

    python -m benchmarks.full_geometry                      # all that is not there yet
    python -m benchmarks.full_geometry --only Basset BPNet --methods mutagenesis  # some

A call is a process of its own, with weights drawn at random; each is written as soon as it ends, and a later
run goes on with what is missing. Before a call its bytes are counted on shapes (`footprint`): where they exceed
--gigabytes (24) it is not made, and the row says so with the figure. What asks for more than the machine has
free, or longer than --seconds, is left open and says so. Mutagenesis is of 4 sites in the middle, a linear trunk
of 256, three of them exact; integrated gradients take 8 steps, DeepLIFT one shuffled baseline, rollout all layers.
`seconds` are of the first call, with its trace and checks; `again` is a second one. Written:
benchmarks/results/full_geometry.json and docs/full_geometry.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks import full_transparent
from benchmarks.footprint import Footprint, footprint
from benchmarks.full_geometry_page import write_page
from benchmarks.lengths import held
from benchmarks.machine import conditions
from nucleoscope.engine.memory import free_memory
from nucleoscope.models.catalog import CATALOG, example

RESULTS = Path(__file__).parent / "results" / "full_geometry.json"
BUDGET = 1 << 30  # bytes that a call may hold beside what one sequence takes
BASE = 400 << 20  # Python, torch and what they load
SITES, STEPS = 4, 8
SCREENED = 256  # sites by a linear trunk, three of them exact
BY_ATTENTION = {"rollout": "no attention", "linear trunk": "no trunk"}
PACKED = 2  # times the weights, as kernels read them
LAYING = 2  # times the weights, while they are laid out so: before a sequence's values are held
LAID_OUT = 1.4  # what torch's convolutions take on their way back, of what is kept for them
TWICE = 64 << 20  # constants up to which a model is held in float64 as well
FURTHER = {"EpiBERT": [(1, 131_072), (693,)], "C.Origami": [(2, 2_097_152)]}
TARGETS = {"SpliceAI": 1}  # the mean of all of a softmax is the same whatever is put in
SHORT = 60.0  # seconds up to which a call is made twice


def mutagenesis(net: nn.Module, X: Tensor, others: Any, asked: dict[str, Any]) -> str:
    start = X.shape[2] // 2
    made = nucleoscope.saturation_mutagenesis(
        net, X, others, start=start, end=start + SITES, memory=BUDGET, verify=0, **asked
    )
    return str(made.facts["engine"])


def integrated_gradients(net: nn.Module, X: Tensor, others: Any, asked: dict[str, Any]) -> str:
    made = nucleoscope.integrated_gradients(net, X, others, n_steps=STEPS, memory=BUDGET, **asked)
    return str(made.facts["rule"])


def deep_lift(net: nn.Module, X: Tensor, others: Any, asked: dict[str, Any]) -> str:
    made = nucleoscope.deep_lift_shap(
        net, X, others, n_shuffles=1, random_state=0, memory=BUDGET, **asked
    )
    return "; ".join(str(check) for check in made.checks)


def linear_trunk(net: nn.Module, X: Tensor, others: Any, asked: dict[str, Any]) -> str:
    start = (X.shape[2] - SCREENED) // 2
    how = nucleoscope.LinearTrunk(rerun=1 / SCREENED, sample=2)
    made = nucleoscope.saturation_mutagenesis(
        net,
        X,
        others,
        start=start,
        end=start + SCREENED,
        trunk=how,
        memory=BUDGET,
        verify=0,
        **asked,
    )
    return "; ".join(str(check) for check in made.checks)


def rollout(net: nn.Module, X: Tensor, others: Any, asked: dict[str, Any]) -> str:
    told = {k: v for k, v in asked.items() if k != "target"}
    made = nucleoscope.attention_rollout(net, X, others, controls=0, **told)
    return f"rows {tuple(made.scores.shape)}"


METHODS: dict[str, Callable[..., str]] = {
    "mutagenesis": mutagenesis, "integrated gradients": integrated_gradients, "DeepLIFT": deep_lift,
    "linear trunk": linear_trunk, "rollout": rollout,
}  # fmt: skip


def planned(size: Footprint) -> dict[str, int]:
    """Bytes that each method holds at its peak, counted beforehand: one sequence's, or a budget of batches."""
    double = 2 * size.weights if size.weights // 4 <= TWICE else 0
    kept = int(LAID_OUT * size.graph)
    laying = LAYING * size.weights
    values = double + size.graph + BUDGET  # the original's, and batches of changes
    ways = {
        "mutagenesis": max(laying, values),
        "linear trunk": max(
            laying, values, kept
        ),  # the tail is differentiated, and run for the exact ones
        "integrated gradients": max(kept, BUDGET),
        "DeepLIFT": max(laying, 2 * kept, BUDGET),  # the sequence and its baseline
        "rollout": max(2 * size.forward, BUDGET),
    }
    copies = dict.fromkeys(("mutagenesis", "linear trunk", "DeepLIFT"), PACKED)
    return {
        name: BASE + size.weights * (1 + copies.get(name, 0)) + bytes_
        for name, bytes_ in ways.items()
    }


def one(name: str, method: str) -> dict[str, Any]:
    """A call in this process, or what it is refused with."""
    torch.manual_seed(0)
    if name in full_transparent.SYSTEMS:
        run, given = full_transparent.METHODS[method], full_transparent.prepared(name)
        return called(lambda: run(*given))
    entry = CATALOG[name]
    net = entry.make().eval()
    X, others = example(name, net)
    asked: dict[str, Any] = {"alphabet": entry.alphabet}
    if entry.outputs or name in TARGETS:
        asked["target"] = (entry.outputs[0],) if entry.outputs else TARGETS[name]
    return called(lambda: METHODS[method](net, X, others or None, asked))


def called(run: Callable[[], str]) -> dict[str, Any]:
    """What a call says, takes and holds, or what it is refused with."""
    found: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for which in ("seconds", "again"):
                begun, used = time.perf_counter(), time.process_time()
                found["said"] = run()
                found[which] = round(time.perf_counter() - begun, 2)
                found[f"processor_{which}"] = round(time.process_time() - used, 2)
                if found["seconds"] > SHORT:
                    break
    except (ValueError, nucleoscope.Untraceable) as error:
        words = " ".join(str(error).split())
        found = {"refused": re.sub(r' at "[^"]*", line \d+,', "", words)[:300]}  # on this machine
    return found | {"peak_gb": round(held()["peak"] / 1e9, 3)}


def cell(name: str, method: str, need: int, limit: float, seconds: float) -> dict[str, Any]:
    """What stands in the table: the call's figures, or why there is none."""
    figure = {"planned_gb": round(need / 1e9, 2)}
    if need > limit * 1e9:
        return figure | {"does_not_fit": f"it takes {need / 1e9:.1f} GB, of {limit:g}"}
    if need > free_memory():
        return figure | {"open": f"{need / 1e9:.1f} GB, {free_memory() / 1e9:.1f} are free"}
    command = [sys.executable, "-m", "benchmarks.full_geometry", "--call", name, method]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return figure | {"open": f"it did not end within {seconds:.0f} s"}
    if ended.returncode:
        return figure | {"open": f"it failed: {ended.stderr.decode()[-300:]}"}
    made: dict[str, Any] = json.loads(ended.stdout)
    return figure | made | {"instruction_set": conditions()["instruction_set"]}


def keep(result: dict[str, Any]) -> None:
    """The results and their page, as they are."""
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    write_page(result)


def main() -> None:
    """Make the calls that are missing."""
    asked = argparse.ArgumentParser(description=__doc__)
    names = [*CATALOG, *full_transparent.SYSTEMS]
    asked.add_argument("--only", nargs="+", default=names, choices=names)
    asked.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    asked.add_argument("--gigabytes", type=float, default=24.0)
    asked.add_argument("--seconds", type=float, default=3600.0)
    asked.add_argument("--call", nargs=2, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.call:
        json.dump(one(*given.call), sys.stdout)
        return
    result: dict[str, Any] = (
        json.loads(RESULTS.read_text()) if RESULTS.exists() else {"systems": {}}
    )
    machine = conditions()
    del machine["instruction_set"]  # each call tells its own: they are of more than one machine
    result |= {"command": "python -m benchmarks.full_geometry", **machine}
    for name in given.only:
        if name in full_transparent.SYSTEMS:
            row = result["systems"].setdefault(name, {"rollout": {"none": "no attention"}})
            for method in full_transparent.METHODS:
                if "open" in row.get(method, {"open": ""}):
                    need = full_transparent.planned(name)
                    row[method] = cell(name, method, need, given.gigabytes, given.seconds)
                    keep(result)
            continue
        entry = CATALOG[name]
        with torch.device("meta"):
            length = int(entry.make().length)  # type: ignore[arg-type]
        size = footprint(entry.make, [(len(entry.alphabet), length), *FURTHER.get(name, [])])
        need = planned(size)
        row = result["systems"].setdefault(name, {})
        row |= {"bases": length, "weights_gb": round(size.weights / 1e9, 3)}
        for method in given.methods:
            if method in BY_ATTENTION and not entry.attention:
                row[method] = {"none": BY_ATTENTION[method]}
            elif "open" in row.get(method, {"open": ""}):
                row[method] = cell(name, method, need[method], given.gigabytes, given.seconds)
            else:
                row[method]["planned_gb"] = round(need[method] / 1e9, 2)
            keep(result)
    keep(result)


if __name__ == "__main__":
    main()
