"""The benchmark table of a GPU: `python -m benchmarks.gpu.measure`; run.sh builds and tests before it.

Every side is timed warm within a share of the time that is left, the engine first; the file is written anew
after each, so that what was measured stands however the run ends.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu import sides
from benchmarks.gpu.cases import JOBS, TINY, Job
from benchmarks.gpu.clock import OutOfTime, timed
from benchmarks.gpu.sides import NotMeasured, Scores
from benchmarks.gpu.table import table
from benchmarks.machine import conditions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "gpu"
Side = tuple[str, Callable[[], Scores], int, range]  # name, scores, sequences, sites


def all_sides(job: Job, model: nn.Module, device: torch.device, tiny: bool) -> Iterator[Side]:
    """Every side of a job, in the order in which it must not be missed."""
    whole = (job.sequences, job.range)
    for precision in ("fp32", "tf32", "bf16"):
        yield f"ours {precision}", lambda p=precision: sides.ours(model, p), *whole
    yield "ours fp32, not verified", lambda: sides.ours(model, "fp32", verify=0), *whole
    few, sample = min(job.peer_sequences, job.sequences), job.middle(job.loop_sites)
    backend = "eager" if tiny else "inductor"
    for batch in job.batches:
        peer = few, sample if tiny else job.range
        yield (
            f"tangermeme fast=True, batch {batch}",
            (lambda b=batch: sides.tangermeme(model, b, device)),
            *peer,
        )
        yield f"loop, TF32 off, batch {batch}", lambda b=batch: sides.loop(model, b), 1, sample
    batch = job.batches[0]
    yield (
        f"loop, torch.compile and bf16, batch {batch}",
        (lambda: sides.compiled_bf16_loop(model, batch, backend)),
        1,
        sample,
    )


class Judge:
    """How far scores of the first sequence are off float64, in parts of the largest effect judged."""

    def __init__(self, job: Job, model: nn.Module, X: Tensor) -> None:
        sample = job.middle(min(job.loop_sites, len(job.range)))
        at = torch.linspace(0, len(sample) - 1, min(job.judged, len(sample))).round().long()
        self.sites = sorted({sample[i] for i in at.tolist()})
        self.true = _centred(sides.truth(model, X, self.sites))

    def __call__(self, scores: Tensor, sites: range) -> float | None:
        """None where a site was left out."""
        if not set(self.sites) <= set(sites):
            return None
        mine = _centred(scores[0][:, [s - sites.start for s in self.sites]].double().cpu())
        return float((mine - self.true).abs().max() / self.true.abs().max())


def _centred(changes: Tensor) -> Tensor:
    return changes - changes.mean(0)


def measured(
    side: Side, job: Job, X: Tensor, judge: Judge, device: torch.device, limit: float
) -> dict[str, Any]:
    """One side's figures, or why there are none."""
    _, make, count, sites = side
    try:
        scores, part = make(), X[:count]
        kept: list[Tensor] = []
        times = timed(lambda: kept.__setitem__(slice(None), [scores(part, sites)]), device, limit)
    except (NotMeasured, OutOfTime, ValueError) as why:
        return {"not_measured": str(why).splitlines()[0]}
    except Exception as error:  # one side's failure must not take the others' figures
        traceback.print_exc()
        return {"not_measured": f"{type(error).__name__}: {error}".splitlines()[0]}
    edits = 3 * len(sites) * count
    return {
        "seconds": times.median * job.edits / edits, "rounds": times.rounds, "first": times.first,
        "sampled": edits / job.edits, "edits_a_second": edits / times.median,
        "error": judge(kept[0], sites),
    }  # fmt: skip


def run(device: torch.device, tiny: bool, limit: float, out: Path) -> dict[str, Any]:
    """All jobs, all sides; the file is written after each."""
    end = time.monotonic() + limit
    results: dict[str, Any] = {"conditions": about(device), "tiny": tiny, "jobs": {}}
    jobs = TINY if tiny else JOBS
    for number, (name, job) in enumerate(jobs.items()):
        model, X = job.ready(device)
        judge = Judge(job, model, X)
        made = results["jobs"][name] = {"settings": sides.settings(job, device), "sides": {}}
        these = list(all_sides(job, model, device, tiny))
        share = (end - time.monotonic()) / (len(jobs) - number)
        until = time.monotonic() + share
        for at, side in enumerate(these):
            left = max(0.0, until - time.monotonic())
            allowed = 2 * left / (len(these) - at) if at + 1 < len(these) else left
            made["sides"][side[0]] = measured(side, job, X, judge, device, allowed)
            write(results, out)
            tell(f"{name}: {side[0]}: {made['sides'][side[0]]}")
    return results


def tell(line: str) -> None:
    """At once: the command may be ended by its time limit."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def about(device: torch.device) -> dict[str, Any]:
    """What the figures were made on."""
    found = {**conditions(), "device": str(device), "date": time.strftime("%Y-%m-%d")}
    for package in ("triton", "tangermeme", "nucleoscope"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    if device.type == "cuda":
        found["cuda"], found["capability"] = (
            torch.version.cuda, torch.cuda.get_device_capability(device)
        )  # fmt: skip
    return found


def write(results: dict[str, Any], out: Path) -> None:
    """One JSON and one text table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.txt").write_text(table(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny jobs: to try the command itself")
    parser.add_argument("--seconds", type=float, default=240, help="for all of it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit(
            "torch.cuda.is_available() is false: there is no GPU to measure. To try the command without one: "
            "--device cpu --tiny --out build/gpu"
        )
    tell(table(run(torch.device(given.device), given.tiny, given.seconds, given.out)))


if __name__ == "__main__":
    main()
