"""Thousands of random graphs through the engine in float64, each against the plain loop in float64.

    python -m benchmarks.random_graphs --graphs 10000 --processes 2

Graphs, sequences, weights and targets are those of tests/engine/test_random_graphs.py, a hundred a seed.
Seeds that are written already in benchmarks/results/random_graphs.json, by the same engine, are not run
again, so a run that was stopped goes on where it was.
"""

# ruff: noqa: T201 (a script prints)

from __future__ import annotations

import argparse
import json
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

import nucleoscope
from benchmarks.machine import conditions
from tests.engine.test_random_graphs import check, quick

RESULTS = Path(__file__).parent / "results" / "random_graphs.json"
A_SEED = 100  # graphs


def run(number: int) -> dict[str, Any]:
    """The graphs of one seed, up to the first that fails."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    begun, passed, failure = time.perf_counter(), 0, None

    @hypothesis.seed(number)
    @settings(quick, max_examples=A_SEED, derandomize=False)
    @given(st.data())
    def graphs(data: st.DataObject) -> None:
        nonlocal passed
        check(data)
        passed += 1

    try:
        graphs()
    except Exception:  # whatever went wrong is what this looks for
        failure = traceback.format_exc()
    seconds = round(time.perf_counter() - begun, 1)
    return {"seed": number, "passed": passed, "seconds": seconds, "failure": failure}


def engine() -> str:
    """What the graphs were run by: a checksum of the engine's and the ops' Python and C++ sources."""
    package = Path(nucleoscope.__file__).parent
    places = [package / "engine", package / "ops", Path(__file__).parents[1] / "csrc"]
    files = sorted(
        file
        for place in places
        for file in place.rglob("*")
        if file.suffix in {".py", ".cpp", ".h"}
    )
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    done = kept["seeds"] if kept.get("engine") == engine() else []
    known = {entry["seed"] for entry in done}
    seeds = [number for number in range(-(-asked.graphs // A_SEED)) if number not in known]
    with ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool:
        waiting = [pool.submit(run, number) for number in seeds]
        for future in tqdm(as_completed(waiting), total=len(waiting), unit="seed"):
            done = sorted([*done, future.result()], key=lambda entry: int(entry["seed"]))
            write(done)
    failed = [entry for entry in done if entry["failure"]]
    for entry in failed:
        print(f"seed {entry['seed']}, after {entry['passed']} graphs:\n{entry['failure']}")
    print(f"{sum(entry['passed'] for entry in done)} graphs equal, {len(failed)} seeds failed")
    raise SystemExit(bool(failed))


def write(done: list[dict[str, Any]]) -> None:
    found = {
        "command": "python -m benchmarks.random_graphs",
        "engine": engine(),
        "equal": sum(entry["passed"] for entry in done),
        "failed": sum(entry["failure"] is not None for entry in done),
        "conditions": conditions(),
        "seeds": done,
    }
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(RESULTS)


if __name__ == "__main__":
    main()
