"""How often each diagnosis fires on models made for it, and on models made not to: results/diagnostics.json.

    python -m benchmarks.diagnostics [--seeds 50]

A rate of 1 where it must fire and of 0 where it must not, with the seeds that say otherwise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.constructed import CASES
from benchmarks.machine import conditions

RESULTS = Path(__file__).parent / "results" / "diagnostics.json"


def rates(seeds: int) -> dict[str, Any]:
    """The share of seeds at which each constructed model makes its diagnosis fire."""
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        for make in (*case.fires, *case.silent):
            fired = []
            for seed in range(seeds):
                torch.manual_seed(seed)
                fired.append(make().fires)
            must = make not in case.silent
            odd = [seed for seed, each in enumerate(fired) if each != must]
            found[make.__name__] = {
                "diagnosis": name, "must_fire": must, "rate": sum(fired) / seeds, "odd_seeds": odd,
            }  # fmt: skip
            print(f"{name:12} {make.__name__:22} fires {sum(fired)} of {seeds}")  # noqa: T201
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    made = {**conditions(), "seeds": seeds, "rates": rates(seeds)}
    RESULTS.write_text(json.dumps(made, indent=1) + "\n")
