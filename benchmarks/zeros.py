"""What skipping exact zeros spares on trained ReLU networks: multiply-adds counted, and one timing.

    pip download --no-deps cispliceai==1.2.2
    NUCLEOSCOPE_DATA=... python -m benchmarks.zeros cispliceai-1.2.2-py3-none-any.whl

A convolution skips a channel where none of a site's three alternatives changes it. Counted here in
Python, op by op, on the deltas themselves. Written: benchmarks/results/zeros.json.
"""

# ruff: noqa: T201 (a script prints)

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.machine import conditions
from benchmarks.structure import multiply_adds
from benchmarks.trained import Trained, networks
from nucleoscope import ops
from nucleoscope.naive import ops as naive
from nucleoscope.naive.ops._rows import find, positions

RESULTS = Path(__file__).parent / "results" / "zeros.json"
ROUNDS = 5


class Counter:
    """Stands in for the engine's chain: the same ops one by one, each convolution counted."""

    def __init__(self) -> None:
        self.layers: dict[int, dict[str, Any]] = {}  # by their packed weights, in the order met

    def chain(self, *args: Any) -> list[Tensor]:
        names = ("edit_lookup", "delta_max_pool", "delta_pointwise", "delta_sum")
        by = SimpleNamespace(**{n: getattr(ops, n) for n in names}, delta_conv=self.convolve)
        return naive.delta_chain(*args, by=by)

    def convolve(
        self, given: Tensor, rows_in: Any, weight: Tensor, rows_out: Any, **rest: Any
    ) -> Tensor:
        taps, dilation, pad = weight.shape[2], rest["dilation"], rest["pad"]
        if rest["stride"] != 1 or weight.shape[0] != 1:
            raise ValueError("a layer with strides or groups: this counts neither")
        layer = self.layers.setdefault(
            weight.data_ptr(),
            {"taps": taps, "dilation": dilation, "channels_in": given.shape[3],
             "channels_out": rest["channels"], "structural": 0, "done": 0},
        )  # fmt: skip
        out, length_in = positions(rows_out), rest["length"] + (taps - 1) * dilation - 2 * pad
        exists = (out >= 0) & (out < rest["length"])
        alive = (given != 0).any(2).sum(2)  # [V, S] channels that any alternative changes
        site, each = torch.arange(given.shape[1]), given.shape[2] * rest["channels"]
        for tap in range(taps):
            where = out - pad + tap * dilation
            row = find(rows_in, where)
            live = exists & (row >= 0) & (where >= 0) & (where < length_in)
            layer["structural"] += int(live.sum()) * given.shape[3] * each
            layer["done"] += int(alive[row.clamp(min=0), site][live].sum()) * each
        return ops.delta_conv(given, rows_in, weight, rows_out, **rest)


def scan(model: nn.Module, X: Tensor, sites: range) -> Tensor:
    return nucleoscope.saturation_mutagenesis(
        model, X, start=sites[0], end=sites[-1] + 1, hypothetical=True, verify=0
    ).scores


def count(net: Trained, model: nn.Module, expected: float) -> list[dict[str, Any]]:
    """Structural and done multiply-adds of every layer but the first, at the counted sites."""
    counter = Counter()
    with mock.patch.object(ops, "delta_chain", counter.chain):
        for site in net.counted:
            scan(model, net.X, range(site, site + 1))
    found = [layer | {"skipped": skipped([layer])} for layer in counter.layers.values()]
    met = sum(layer["structural"] for layer in found)
    if abs(met / expected - 1) > 1e-6:
        raise ValueError(f"{net.name}: {met} multiply-adds met, {expected} expected")
    return found


def skipped(layers: list[dict[str, Any]]) -> float:
    return 1 - sum(k["done"] for k in layers) / sum(k["structural"] for k in layers)


def timed(model: nn.Module, X: Tensor, sites: range) -> dict[str, float]:
    """Seconds of a call, and of the chains in it."""
    run, inside = ops.delta_chain, 0.0

    def chain(*args: Any) -> list[Tensor]:
        nonlocal inside
        begun = time.perf_counter()
        made = run(*args)
        inside += time.perf_counter() - begun
        return made

    with mock.patch.object(ops, "delta_chain", chain):
        begun = time.perf_counter()
        scan(model, X, sites)
        return {"call": time.perf_counter() - begun, "chains": inside}


def in_turn(net: Trained, sides: dict[str, nn.Module]) -> dict[str, Any]:
    """Sorted times of each side, taken in turn, and the ratios of their medians."""
    for model in sides.values():
        scan(model, net.X, net.timed)  # pays for the trace
    rounds = [{n: timed(m, net.X, net.timed) for n, m in sides.items()} for _ in range(ROUNDS)]
    told: dict[str, Any] = {"sites": len(net.timed) * len(net.X)}
    for part in ("call", "chains"):
        of: Callable[[str], list[float]] = lambda n, p=part: sorted(r[n][p] for r in rounds)  # noqa: E731
        told[part] = {n: of(n) for n in sides}
        trained, opened = (statistics.median(of(n)) for n in ("trained", "all units on"))
        told[part]["all units on / trained"] = opened / trained
    return told


def report(net: Trained) -> dict[str, Any]:
    sides = {"trained": net.model, "all units on": net.with_gates_open()}
    expected = len(net.X) * multiply_adds(net.model, net.X.shape[2], net.counted)
    layers = count(net, net.model, expected)
    other = {"all units on": sides["all units on"], "random weights": net.untrained()}
    return {
        "net": net.name, "sites_counted": len(net.counted) * len(net.X),
        "structural": sum(k["structural"] for k in layers),
        "done": sum(k["done"] for k in layers), "skipped": skipped(layers),
        "skipped_elsewhere": {name: skipped(count(net, model, expected)) for name, model in other.items()},
        "seconds": in_turn(net, sides), "layers": layers,
    }  # fmt: skip


def row(found: dict[str, Any]) -> str:
    """One network's line."""
    percents = [found["skipped"], found["skipped_elsewhere"]["random weights"]]
    times = found["seconds"]
    cells = [found["net"], f"{found['structural'] / found['sites_counted'] / 3e6:,.1f} M"]
    cells += [f"{p:.0%}" for p in percents]
    for part in ("call", "chains"):
        for side in ("trained", "all units on"):
            low, *_, high = spent = times[part][side]
            cells.append(f"{statistics.median(spent):.3g} s ({low:.3g}-{high:.3g})")
        cells.append(f"{times[part]['all units on / trained']:.2f}x")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    command = "python -m benchmarks.zeros" + (f" {wheel.name}" if wheel else "")
    print(
        "| net | multiply-adds an edit | skipped, trained | random | call | all on | | chains | all on | |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    found = []
    for net in networks(wheel):
        found.append(report(net))
        print(row(found[-1]), flush=True)
    told = {"command": command, **conditions(), "nets": found}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
