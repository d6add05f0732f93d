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
from benchmarks.nets import BPNetCounts
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.rows import Rows
from nucleoscope.engine.rules.conv import Conv
from nucleoscope.engine.windows import Stencil
from nucleoscope.kernels._tiles import Tile, tile_of
from nucleoscope.models import Basset, Beluga

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

    pairs: float  # of an output row and a tap whose input row is changed; 0: there is no product
    wide: int  # channels in, of a group
    made: int  # channels out, of a group
    groups: int
    memory: float  # numbers read and written once: deltas in and out, originals
    written: float  # numbers that go out or beside the product: deltas, originals

    @property
    def multiply_adds(self) -> float:
        return self.pairs * self.wide * self.made * self.groups

    def tile(self, precision: str) -> Tile:
        """What the kernel's table gives it on an H100."""
        return tile_of("sm_90", precision.partition(" ")[0], self.made)

    def issued(self, tile: Tile) -> float:
        """Multiply-adds with channels filled up to whole tiles."""
        wide = -(-self.wide // tile.depth) * tile.depth
        return self.pairs * wide * self._blocks(tile) * tile.channels * self.groups

    def cache(self, tile: Tile, weight: int) -> float:
        """Bytes that tiles read and write: deltas once a block of columns, weights once a block of rows."""
        deltas = self.pairs * self.wide * self.groups * self._blocks(tile)
        return 4 * (deltas + self.written) + weight * self.multiply_adds / tile.pairs

    def _blocks(self, tile: Tile) -> int:
        return -(-self.made // tile.channels)

    def seconds(self, precision: str) -> tuple[float, str]:
        """How long it takes, and what bounds it."""
        tile = self.tile(precision)
        bounds = {
            "arithmetic": 2 * self.issued(tile) / ARITHMETIC[precision],
            "memory": 4 * self.memory / MEMORY,
            "L2": self.cache(tile, 2 if precision == "bf16" else 4) / L2,
        }
        longest = max(bounds, key=bounds.__getitem__)
        return bounds[longest], longest


def live_pairs(stencil: Stencil, given: Rows, made: Rows) -> int:
    """Pairs of an output row and a tap whose input row is kept, of one site."""
    taps = np.arange(stencil.taps) * stencil.dilation - stencil.pad
    read = made.positions[:, :1] * stencil.stride + taps
    return int((given.find(read.reshape(-1, 1)) >= 0).sum())


def layers(plan: Plan) -> list[Layer]:
    """Every layer of a plan, averaged over a sample of the sites that its target sees."""
    first, last = plan.seen
    sites = np.linspace(first, last - 1, min(SAMPLE, last - first)).astype(int)
    rows = [plan.rows(site[None]) for site in sites]
    scale = EDITS * (last - first) / len(sites)
    return [
        layer(plan, name, [each for each in rows if name in each], scale) for name in plan.order
    ]


def layer(plan: Plan, name: str, rows: list[dict[str, Rows]], scale: float) -> Layer:
    """One layer, summed over sites and scaled."""
    rule, channels = plan.graph.nodes[name].rule, plan.axes(name).channels
    assert rule is not None
    out = sum(each[name].width for each in rows) * channels
    given = sum(
        each[s].width * plan.axes(s).channels
        for each in rows for s in {*rule.inputs} if s in each and not rule.looks_up
    )  # fmt: skip
    originals = (out + given * (len(rule.reads) > 1)) / EDITS if rule.reads else 0.0
    pairs, wide, groups = 0, 1, 1
    if isinstance(rule, Conv) and not rule.looks_up:
        source = rule.inputs[0]
        pairs = sum(live_pairs(rule.stencil, e[source], e[name]) for e in rows if source in e)
        wide, groups = rule.channels_in // rule.groups, rule.groups
    beside = out + originals + (0 if pairs else given)
    moved = out + given + originals
    return Layer(scale * pairs, wide, channels // groups, groups, scale * moved, scale * beside)


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
        "gflop_issued": 2e-9 * sum(layer.issued(layer.tile("fp32")) for layer in made),
        "memory_gb": 4e-9 * sum(layer.memory for layer in made),
        "l2_gb": 1e-9 * sum(layer.cache(layer.tile("fp32"), 4) for layer in made),
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
        "host. Tiles are those of the kernels' table for sm_90; columns 3 to 5 are of the fp32 ones. "
        "The originals' forward, tails and half-filled waves are left out.",
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
