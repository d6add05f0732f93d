"""Error against size of effect: carrying the change beside subtracting two outputs.

    python -m benchmarks.precision

The judge is the plain loop in float64, on some substitutions: those at the strongest sites and at
random ones. Written: benchmarks/results/precision.json, and the picture beside it.
"""

from __future__ import annotations

import copy
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.cases import CASES
from benchmarks.machine import conditions
from benchmarks.precision_figure import draw
from nucleoscope.demo import load_sequence
from nucleoscope.models import SpliceNet, SpliceSiteCount
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.ops import has_bf16
from nucleoscope.scan.letters import one_hot

RESULTS = Path(__file__).parent / "results"
RANDOM_SITES, STRONGEST_SITES = 80, 20  # three substitutions each
LOOP_BATCH = 1  # as the original is run: another batch size rounds otherwise, to the loop's harm
BINS_A_DECADE = 2
FEWEST = 6  # substitutions of a bin that is told


@dataclass(frozen=True)
class Net:
    """A model, one sequence, and what is read off."""

    title: str
    unit: str
    model: nn.Module
    X: Tensor
    target: int


@dataclass(frozen=True)
class Judged:
    """Effects of some substitutions by the judge, and by each side."""

    exact: Tensor
    sides: dict[str, Tensor]


def nets() -> list[Net]:
    """BPNet with random weights, and the demo's trained net around its strongest donor."""
    case = CASES["BPNet 64 filters, 2,114 bp, counts"]
    model, X = case.ready()
    _, bases, _ = load_sequence()
    splice = SpliceNet.pretrained()
    with torch.no_grad():
        donor = int(splice(one_hot([bases]))[0].softmax(0)[2].argmax())
    start = donor - case.length // 2
    return [
        Net("BPNet, 64 filters (random weights), 2,114 bp", "log counts", model, X, 0),
        Net(
            "SpliceNet (trained), 2,114 bp of human chr22",
            "expected number of donors",
            SpliceSiteCount(splice).eval(),
            one_hot([bases[start : start + case.length]]),
            1,
        ),
    ]


def judge(net: Net) -> Judged:
    """The sampled substitutions by every side."""

    def deltas(precision: str) -> Tensor:  # [4, L]
        return nucleoscope.saturation_mutagenesis(
            net.model, net.X, target=net.target, hypothetical=True, center="none",
            precision=precision, verify=0,
        ).scores[0]  # fmt: skip

    carried = {"delta fp32": deltas("fp32")}
    if has_bf16():
        carried["delta bf16"] = deltas("bf16")
    strength = carried["delta fp32"].abs().amax(0)
    strongest = strength.argsort(descending=True)[:STRONGEST_SITES].tolist()
    others = [s for s in torch.randperm(len(strength)).tolist() if s not in strongest]
    sites = strongest + others[:RANDOM_SITES]

    def loop(kind: torch.dtype) -> Tensor:  # [4, sites]
        model, X = copy.deepcopy(net.model).to(kind), net.X.to(kind)
        read: Callable[[Tensor], Tensor] = lambda out: out[:, net.target, None]  # noqa: E731
        each = [
            naive(model, X, sites=range(s, s + 1), read=read, batch=LOOP_BATCH)[0, 0] for s in sites
        ]
        return torch.cat(each, 1)

    exact = loop(torch.float64)
    put = net.X[0][:, sites] == 0  # letters that do not stand there
    sides = {name: scores[:, sites] for name, scores in carried.items()}
    sides |= {"loop fp32": loop(torch.float32), "loop bf16": loop(torch.bfloat16)}
    return Judged(exact[put], {name: made[put].double() for name, made in sides.items()})


def summary(judged: Judged) -> dict[str, Any]:
    """What a picture's lines are drawn through, and what is said beside it."""
    size, told = judged.exact.abs(), {}
    for name, made in judged.sides.items():
        off = (made - judged.exact).abs()
        told[name] = {
            "median_relative_error": float((off / size).median()),
            "largest_error_over_largest_effect": float(off.max() / size.max()),
            "wrong_sign": float((made * judged.exact < 0).double().mean()),
            "no_change_at_all": float((made == 0).double().mean()),
        }
    return {
        "substitutions": len(size),
        "smallest_effect": float(size.min()), "largest_effect": float(size.max()),
        "sides": told, "bins": bins(judged),
    }  # fmt: skip


def bins(judged: Judged) -> list[dict[str, Any]]:
    """Medians over substitutions of similar effect."""
    size = judged.exact.abs()
    which = [math.floor(BINS_A_DECADE * math.log10(v)) for v in size.tolist()]
    found = []
    for b in sorted(set(which)):
        inside = torch.tensor([w == b for w in which])
        if int(inside.sum()) < FEWEST:
            continue
        errors = {
            name: float(((made - judged.exact).abs() / size)[inside].median())
            for name, made in judged.sides.items()
        }
        found.append(
            {"effect": statistics.median(size[inside].tolist()), "substitutions": int(inside.sum()),
             "from": 10 ** (b / BINS_A_DECADE), "to": 10 ** ((b + 1) / BINS_A_DECADE),
             "median_relative_error": errors}
        )  # fmt: skip
    return found


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"command": "python -m benchmarks.precision", **conditions()}
    panels = []
    for net in nets():
        judged = judge(net)
        told = {"net": net.title, "unit": net.unit, **summary(judged)}
        found.setdefault("nets", []).append(told)
        panels.append((told, judged.exact, judged.sides))
    (RESULTS / "precision.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, panels, RESULTS / "precision.png")


if __name__ == "__main__":
    main()
