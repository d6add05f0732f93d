"""Predicted, not measured: what bounds the engine on an H100, from the plan's own counts of work and rows.

`python -m benchmarks.gpu.roofline` writes benchmarks/results/roofline.{json,md}. A layer takes as long as the
slowest of its arithmetic, its traffic with memory and its traffic with the L2 cache; layers follow each
other. Rates are what such kernels usually reach of the peak: assumptions, listed with the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import nucleoscope
from benchmarks.nets import Basset, Beluga, BPNetCounts
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.rules.conv import Conv

RESULTS = Path(__file__).resolve().parents[1] / "results"
SAMPLE = 64  # sites of a sequence, evenly spread
EDITS = 3  # a site

# H100 SXM: peak times the share of it that is assumed to be reached. FLOP/s and bytes/s.
ARITHMETIC = {
    "fp32 (ieee)": 67e12 * 0.6,
    "fp32 (tf32x3)": 400e12 * 0.55 / 3,
    "tf32": 400e12 * 0.55,
    "bf16": 800e12 * 0.55,
}
MEMORY, L2 = 3.0e12 * 0.8, 5.5e12 * 0.7
ROUNDED = {"bf16": 2}  # bytes of a delta's number as it enters a product; 4 otherwise
LAUNCH = 25e-6  # seconds of the host a layer

JOBS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "BPNet 64 filters, 2,114 bp": (BPNetCounts, 2114),
    "ChromBPNet 512 filters, 2,114 bp": (lambda: BPNetCounts(512), 2114),
    "Basset, 600 bp": (Basset, 600),
    "Beluga, 2 kb": (Beluga, 2000),
}


HEAD = (
    "| network | edits | GFLOP live (issued) | GB memory | GB L2 | launches' ms "
    "| precision | ms a sequence | edits/s | bound by |"
)


@dataclass(frozen=True)
class Layer:
    """Counts of one layer for all edits of one sequence."""

    multiply_adds: float  # of live (row, tap) pairs
    issued: float  # with channels filled up to whole tiles
    memory: float  # numbers read and written once: deltas in and out, originals
    cache: float  # numbers that the tiles read, deltas and weights, and what is written

    def seconds(self, precision: str) -> tuple[float, str]:
        """How long it takes, and what bounds it."""
        bounds = {
            "arithmetic": 2 * self.issued / ARITHMETIC[precision],
            "memory": 4 * self.memory / MEMORY,
            "L2": ROUNDED.get(precision, 4) * self.cache / L2,
        }
        longest = max(bounds, key=bounds.__getitem__)
        return bounds[longest], longest


def layers(plan: Plan) -> list[Layer]:
    """Every layer of a plan, averaged over a sample of the sites that its target sees."""
    first, last = plan.seen
    sites = np.linspace(first, last - 1, min(SAMPLE, last - first)).astype(int)
    rows = [plan.rows(site[None]) for site in sites]
    scale = EDITS * (last - first) / len(sites)
    made = []
    for name in plan.order:
        rule, channels = plan.graph.nodes[name].rule, plan.axes(name).channels
        assert rule is not None
        here = [each for each in rows if name in each]
        out = sum(each[name].width for each in here) * channels
        given = sum(
            each[s].width * plan.axes(s).channels
            for each in here for s in rule.inputs if s in each and not rule.looks_up
        )  # fmt: skip
        pairs = sum(
            rule.work(max(each[s].width for s in rule.inputs if s in each), each[name].width)
            for each in here
        )
        originals = (out + given * bool(len(rule.reads) > 1)) / EDITS if rule.reads else 0.0
        product = isinstance(rule, Conv) and not rule.looks_up
        tile = (128, 64) if channels <= 64 else (128, 128)
        columns = -(-channels // tile[1])
        moved = out + given + originals
        issued = pairs * columns * tile[1] / channels if product else 0.0
        tiles = pairs / channels * columns + pairs / tile[0] if product else given
        counts = (pairs if product else 0, issued, moved, tiles + out + originals)
        made.append(Layer(*(scale * count for count in counts)))
    return made


def predicted(made: list[Layer], precision: str, edits: int) -> dict[str, Any]:
    """A sequence's time, its rate, and what bounds most of it."""
    times = [layer.seconds(precision) for layer in made]
    total = sum(t for t, _ in times)
    by = {bound: sum(t for t, b in times if b == bound) for _, bound in times}
    return {
        "ms": 1e3 * total, "edits_a_second": edits / total,
        "bound": max(by, key=by.__getitem__), "bound_share": max(by.values()) / total,
    }  # fmt: skip


def job(make: Callable[[], nn.Module], length: int) -> dict[str, Any]:
    """Counts and predictions of one network."""
    torch.manual_seed(0)
    model = make().eval()
    X = torch.eye(4)[torch.randint(4, (1, length))].transpose(1, 2).contiguous()
    made, edits = layers(nucleoscope.plan(model, X)), EDITS * length
    return {
        "edits": edits, "layers": len(made), "launch_ms": 1e3 * LAUNCH * len(made),
        "gflop": 2e-9 * sum(layer.multiply_adds for layer in made),
        "gflop_issued": 2e-9 * sum(layer.issued for layer in made),
        "memory_gb": 4e-9 * sum(layer.memory for layer in made),
        "l2_gb": 4e-9 * sum(layer.cache for layer in made),
        "predicted": {p: predicted(made, p, edits) for p in ARITHMETIC},
    }  # fmt: skip


def table(jobs: dict[str, Any]) -> str:
    """The predictions as Markdown."""
    lines = [
        "# Roofline of the delta engine on one H100: PREDICTED, nothing here was measured",
        "",
        "Counted from the plan's windows and cones for all substitutions of one sequence; rates assumed: "
        + ", ".join(f"{k} {v / 1e12:.0f} TFLOP/s" for k, v in ARITHMETIC.items())
        + f", memory {MEMORY / 1e12:.1f} TB/s, L2 {L2 / 1e12:.2f} TB/s, a launch {LAUNCH * 1e6:.0f} µs of the "
        "host. Tiles of 128 x 64 (128 x 128 above 64 channels). The originals' forward, tails and half-filled "
        "waves are left out.",
        "",
        HEAD,
        "|---|---:|---:|---:|---:|---:|---|---:|---:|---|",
    ]
    for name, made in jobs.items():
        for precision, p in made["predicted"].items():
            lines.append(
                f"| {name} | {made['edits']:,} | {made['gflop']:,.0f} ({made['gflop_issued']:,.0f}) "
                f"| {made['memory_gb']:.2f} | {made['l2_gb']:.2f} | {made['launch_ms']:.2f} | {precision} "
                f"| {p['ms']:.2f} | {p['edits_a_second']:,.0f} | {p['bound']} ({p['bound_share']:.0%}) |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    jobs = {name: job(*each) for name, each in JOBS.items()}
    rates = {"arithmetic": ARITHMETIC, "memory": MEMORY, "l2": L2, "launch": LAUNCH}
    made = {"predicted_not_measured": True, "assumed_rates": rates, "jobs": jobs}
    (RESULTS / "roofline.json").write_text(json.dumps(made, indent=1) + "\n")
    (RESULTS / "roofline.md").write_text(table(jobs))


if __name__ == "__main__":
    main()
