"""Rows times attention at lengths where the matrix is heavy, against plain PyTorch with it and by blocks of it.

``python -m benchmarks.attention --length 16384 --heads 8`` measures time and memory, each side in a process of
its own, in turn; ``--only ours`` leaves the others out where they take too long. Beside seconds stands the time
that processors spent, of all threads together, which other programs on the machine do not lengthen by their turns;
rates, and the share of sgemm's rate in the same process, are by that. Written: benchmarks/results/attention.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.lengths import held
from benchmarks.machine import conditions
from nucleoscope.ops import attention_apply

RESULTS = Path(__file__).with_name("results") / "attention.json"
SGEMM = 2048


def materialised(query: Tensor, key: Tensor, r: Tensor) -> Tensor:
    """The matrix of a head, one head after the other: of all heads at once it would not be faster."""
    heads = []
    for h in range(query.shape[1]):
        p = query[0, h] @ key[0, h].mT
        p.mul_(query.shape[3] ** -0.5)
        heads.append(r[0, 0] @ p.softmax(-1))
    return torch.stack(heads)[None]


def chunks(query: Tensor, key: Tensor, r: Tensor) -> Tensor:
    """The rows of 256 queries at a time, of all heads."""
    made = torch.zeros(*query.shape[:2], r.shape[2], key.shape[2])
    for i in range(0, query.shape[2], 256):
        p = query[:, :, i : i + 256] @ key.mT
        p.mul_(query.shape[3] ** -0.5)
        made += r[..., i : i + 256] @ p.softmax(-1)
    return made


SIDES: dict[str, Callable[..., Tensor]] = {
    "ours": attention_apply, "materialised": materialised, "chunks of 256": chunks,
}  # fmt: skip


def arguments(heads: int, length: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, heads, length, width, generator=generator) for _ in range(2))
    r = torch.rand(1, 1, 1, length, generator=generator)
    return query, key, r / r.sum()


def sgemm_rate() -> float:
    """GFLOP of torch's product of two square matrices by the second of a processor, at its best.

    The threads of the product wait for each other by spinning, so that another program on the machine lowers the
    rate of a product, and hardly ours; the best of several is what the machine can do.
    """
    a, b = torch.randn(SGEMM, SGEMM), torch.randn(SGEMM, SGEMM)
    seconds = []
    for _ in range(20):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return 2 * SGEMM**3 / min(seconds) / 1e9


def run_side(name: str, heads: int, length: int, width: int) -> dict[str, Any]:
    """One call of one side, in this process, which has done nothing else."""
    small = arguments(heads, 300, width)
    SIDES[name](*small)  # loads what is loaded at first use
    given = arguments(heads, length, width)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start, spent = held()["now"], time.perf_counter(), time.process_time()
    made = SIDES[name](*given)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    extra = held()["peak"] - before
    drift = float((made.double().sum(-1) - 1).abs().max())
    if drift > 1e-5:
        raise RuntimeError(f"{name} hands on weights that are off by {drift}")
    return {
        "seconds": seconds, "processor_seconds": spent, "megabytes": extra / 1e6, "drift": drift,
        "sgemm_gflops": sgemm_rate(),
        "sample": made[0, :, 0, :: max(length // 64, 1)].tolist(), "conditions": conditions(),
    }  # fmt: skip


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every side in turn, ``args.runs`` times; no time is given unless all sides agree."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(args.runs):
        for name in args.only or SIDES:
            command = [sys.executable, "-m", "benchmarks.attention", "--side", name]
            sizes = [
                "--length",
                str(args.length),
                "--heads",
                str(args.heads),
                "--width",
                str(args.width),
            ]
            done = subprocess.run([*command, *sizes], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr}")
            found.setdefault(name, []).append(json.loads(done.stdout))
    first = next(iter(found.values()))[0]
    for name, runs in found.items():
        got, expected = (torch.tensor(each["sample"]) for each in (runs[0], first))
        off = float((got - expected).abs().max() / expected.abs().max())
        if off > 1e-5:
            raise RuntimeError(f"{name} gives another answer, off by {off} of the largest value")
    once = 2 * args.heads * args.length**2 * args.width / 1e9  # of the products, each made once
    sides = {
        name: {
            "seconds": statistics.median(each["seconds"] for each in runs),
            "processor_seconds": (spent := statistics.median(e["processor_seconds"] for e in runs)),
            "least": min(each["processor_seconds"] for each in runs),
            "most": max(each["processor_seconds"] for each in runs),
            "megabytes": max(each["megabytes"] for each in runs),
            "products_gflops": once / spent,
            "of_sgemm": statistics.median(
                once / each["processor_seconds"] / each["sgemm_gflops"] for each in runs
            ),
            "drift": max(each["drift"] for each in runs),
        }
        for name, runs in found.items()
    }
    return {
        "length": args.length, "heads": args.heads, "width": args.width, "runs": args.runs, "sides": sides,
        "matrix_megabytes": 4e-6 * args.heads * args.length**2, "conditions": first["conditions"],
        "command": " ".join(["python -m benchmarks.attention", *sys.argv[1:]]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=16384)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(SIDES))
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        json.dump(run_side(args.side, args.heads, args.length, args.width), sys.stdout)
        return
    made = measure(args)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    same = ("length", "heads", "width")
    kept = [each for each in known if [each[k] for k in same] != [made[k] for k in same]]
    RESULTS.write_text(json.dumps([*kept, made], indent=1) + "\n")


if __name__ == "__main__":
    main()
