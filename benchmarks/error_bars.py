# ruff: noqa: T201
"""How far integrated gradients are off on trained networks, and what their error bar says of it.

    python -m benchmarks.error_bars MPRA-DragoNN 200 1944
    python -m benchmarks.error_bars m6Aformer 200 216 --wheel m6aformer-0.1.2-py3-none-any.whl

The finest rule's midpoints hold those of 8, 24 and 72 nodes, so that one pass over them gives the truth and what
each rule makes of it; beside them Gauss-Legendre rules of 8, 16 and 32 nodes; of all these the ones that have at
most a ninth of the finest rule's nodes. The truth is made in float32, and held to float64 at 8 nodes first.
Written: the network's part of benchmarks/results/error_bars.json. One target a network; the baseline is uniform.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.machine import conditions
from benchmarks.trained import m6aformer, mini_borzoi, networks
from nucleoscope.demo import load_sequence
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.integral import Integral, Paths, integral
from nucleoscope.engine.gradients.path import Straight, sums
from nucleoscope.engine.gradients.quadrature import rule
from nucleoscope.engine.prepare import ask
from nucleoscope.methods.ensemble import View
from nucleoscope.methods.gradients.differentiating import opened_for
from nucleoscope.models import SpliceNet
from nucleoscope.scan.letters import one_hot

RESULTS = Path(__file__).parent / "results" / "error_bars.json"
MIDPOINTS, GAUSS = (8, 24, 72), (8, 16, 32)
FINER = 9  # times the nodes of a rule that the truth has at least: what it is off by itself is little beside that
QUANTILES = (0, 0.01, 0.05, 0.5, 0.95, 0.99, 1)
CROPPED = 32_768
LONG = 10_051  # what a position of CI-SpliceAI and 25 on either side of it read
# An output, and its position (-1: the middle one) where there is a profile.
TARGETS = {
    "MPRA-DragoNN": (5, None), "SpliceNet": (2, -1), "CI-SpliceAI": (2, -1), "CI-SpliceAI acceptors": (1, -1),
    "m6Aformer": (0, None), "mini-Borzoi": (31, -1),
}  # fmt: skip


def windows(length: int, count: int) -> Tensor:
    """Stretches of the demo's human sequence, evenly spaced."""
    bases = load_sequence()[1]
    starts = np.linspace(0, len(bases) - length, count).astype(int)
    return one_hot([bases[s : s + length] for s in starts])


def splice_sites(output: int, length: int, count: int) -> Tensor:
    """Windows of the demo's sequence around the sites that its own network is surest of, in their order.

    `output`: of acceptors 1, of donors 2.
    """
    bases = load_sequence()[1]
    with torch.no_grad():
        likely = SpliceNet.pretrained()(one_hot([bases]))[0].softmax(0)[output]
    inside = likely[length // 2 : len(bases) - length // 2 - 1]
    starts = inside.topk(count).indices.sort().values.tolist()
    return one_hot([bases[s : s + length] for s in starts])


class Target(nn.Module):
    """[B, ...] -> [B, 1]: the named output of a network; of a profile its middle position."""

    def __init__(self, name: str, net: nn.Module) -> None:
        super().__init__()
        self.net, (self.channel, self.place) = net, TARGETS[name]

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        out = out["human"] if isinstance(out, dict) else out
        if self.place is None:
            return out[:, self.channel : self.channel + 1]
        return out[:, self.channel, out.shape[2] // 2, None]


def differentiated(asked: Target, x: Tensor, points: int, traced: bool) -> Backward:
    """Its gradients, by its own autograd or by its trace: which is faster differs from net to net."""
    if not traced:
        return Backward(asked, asked, (x,))
    request = ask(
        asked, x, None, start=0, end=None, layout="NCL", alphabet="ACGT", precision="fp32",
        memory=None, device=None,
    )  # fmt: skip
    return opened_for(request, Read(0, None), View(), points).backward


def coarse(rules: tuple[int, ...], finest: int) -> list[int]:
    """Those of which the finest rule can be the judge."""
    return [n for n in rules if FINER * n <= finest]


def shares(finest: int) -> np.ndarray[Any, Any]:
    """Weights and null rule of each coarse rule, then the finest rule's weights, on its nodes."""
    made = []
    for n in coarse(MIDPOINTS, finest):
        by, step = rule("midpoint", n), finest // n
        for part in (by.weights, by.null):
            row = np.zeros(finest)
            row[step // 2 :: step] = part
            made.append(row)
    return np.stack([*made, np.full(finest, 1 / finest)])


def one(backward: Backward, x: Tensor, finest: int) -> dict[str, Any]:
    """For one sequence the error and the completeness gap of every rule, relative to the true map, and how many
    times the error its bar is: both in the output's units, since a bar's share is of the map that it comes with.
    """
    start = torch.full_like(x, 0.25)
    values = tuple(backward.values((ends,)) for ends in (start, x))
    paths = Paths((start,), (x,), values=values)
    place = Straight(paths.start, paths.end, (), rule("midpoint", finest).nodes)
    (found,) = sums(backward, place, 1, shares(finest))
    truth, change = found[-1], values[1] - values[0]
    size = paths.along((truth,)).norm()

    def said(mean: Tensor, null: Tensor) -> dict[str, float]:
        made = Integral((mean,), (null,), torch.zeros(1), paths)
        off = paths.along((mean - truth,)).norm()
        gap = (paths.along((mean,)).sum() - change).abs() / size
        return {"error": float(off / size), "ratio": float(made.error / off), "gap": float(gap)}

    made = {
        f"midpoint {n}": said(found[2 * i], found[2 * i + 1])
        for i, n in enumerate(coarse(MIDPOINTS, finest))
    }
    for n in coarse(GAUSS, finest):
        held = integral(backward, paths, rule("gauss_legendre", n), lambda _points: None)
        made[f"gauss_legendre {n}"] = said(held.mean[0], held.null[0])
    return made


def check(model: Target, x: Tensor) -> float:
    """What float32 itself is off by, of the map, at 8 nodes: a share that no rule's error comes near."""
    double = copy.deepcopy(model).double()
    maps = []
    for each, given in ((model, x), (double, x.double())):
        paths = Paths((torch.full_like(given, 0.25),), (given,))
        backward = Backward(each, each, (given,))
        made = integral(backward, paths, rule("midpoint", MIDPOINTS[0]), lambda _points: None)
        maps.append(paths.along(made.mean))
    off = float((maps[0] - maps[1]).norm() / maps[1].norm())
    if off > 1e-3:
        raise ValueError(f"float32 is off by {off:.1e}; make the truth in float64")
    return off


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over sequences: the median error, and how the bar and the gap compare with it."""
    made = {}
    for name in rows[0]:
        error, ratio, gap = (
            np.array([r[name][k] for r in rows]) for k in ("error", "ratio", "gap")
        )
        made[name] = {
            "error": float(np.median(error)), "bar / error": [float(v) for v in np.quantile(ratio, QUANTILES)],
            "within 1 to 4": float(((ratio >= 1) & (ratio <= 4)).mean()), "below 1": float((ratio < 1).mean()),
            "error / gap": [float(v) for v in np.quantile(error / gap, QUANTILES)],
        }  # fmt: skip
    return made


def ready(name: str, count: int, wheel: Path | None) -> tuple[str, nn.Module, Tensor]:
    """A network's full name, the network, and sequences for it."""
    if name == "mini-Borzoi":
        model, X = mini_borzoi(Path(os.environ["NUCLEOSCOPE_DATA"]), CROPPED)
        return f"mini-Borzoi on {CROPPED:,} bp", model, torch.cat([X, windows(CROPPED, count)[1:]])
    if name == "m6Aformer":
        assert wheel is not None
        model, X = m6aformer(wheel, count)
        return "m6Aformer, 201 bp around DRACH", model, X
    net = next(n for n in networks(wheel) if n.name.startswith(name.split()[0]))
    if TARGETS[name][1] is None:
        X = torch.cat([net.X, windows(net.X.shape[2], max(1, count - len(net.X)))])[:count]
        return net.name, net.model, X
    length = min(net.X.shape[2], LONG)
    output, where = TARGETS[name][0], "acceptors" if name.endswith("acceptors") else "donors"
    X = splice_sites(output, length, count)
    return f"{net.name}, {length:,} bp around {where}", net.model, X


def main() -> None:
    """Measure one network and put it among the others."""
    parse = argparse.ArgumentParser()
    parse.add_argument("name")
    parse.add_argument("sequences", type=int, nargs="?", default=20)
    parse.add_argument("finest", type=int, nargs="?", default=1944)
    parse.add_argument("--wheel", type=Path)
    parse.add_argument("--traced", action="store_true")
    given = parse.parse_args()
    name, model, X = ready(given.name, given.sequences, given.wheel)
    asked = Target(given.name, model).eval()
    off = check(asked, X[:1])
    backward = differentiated(asked, X[:1], given.sequences * given.finest, given.traced)
    rows: list[dict[str, Any]] = []
    for n in range(len(X)):
        rows.append(one(backward, X[n : n + 1], given.finest))
        print(n, *(f"{name} {r['ratio']:.2f}" for name, r in rows[-1].items()), flush=True)
        command = f"python -m benchmarks.error_bars {given.name!r} {given.sequences} {given.finest}"
        command += " --traced" if given.traced else ""
        command += f" --wheel {given.wheel.name}" if given.wheel else ""
        result = {
            "network": name, "command": command, **conditions(), "length": X.shape[2], "sequences": len(rows),
            "truth": f"midpoint, {given.finest} nodes, float32", "float32 is off by": off,
            "kinks": backward.look.kinks, "quantiles": QUANTILES, "rules": summary(rows),
        }  # fmt: skip
        held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        held[given.name] = result
        RESULTS.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
