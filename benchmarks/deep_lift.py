# ruff: noqa: T201
"""DeepLIFT/SHAP of BPNet at 2,114 bp over 20 dinucleotide shuffles, and the shuffles alone, beside tangermeme 1.6.

One thread, and its processor time: waiting for others on the machine is left out.
`python -m benchmarks.deep_lift` writes benchmarks/results/deep_lift.json and prints the table.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme
from tangermeme.ersatz import dinucleotide_shuffle as tangermeme_shuffle
from torch import Tensor, nn

import nucleoscope
from benchmarks.machine import conditions

ROUNDS, OF_SHUFFLES = 3, 15  # the latter are short, and more of them is waiting for memory
ADDITIVITY = 1e-5  # what scores may miss of the outputs' difference in float64
RESULT = Path(__file__).parent / "results" / "deep_lift.json"


class BPNet(nn.Module):
    """64 filters, eight dilated residual layers, counts; each ReLU a module of its own, as tangermeme needs."""

    def __init__(self, channels: int = 64, layers: int = 8) -> None:
        super().__init__()
        self.first, self.open = nn.Conv1d(4, channels, 21, padding=10), nn.ReLU()
        dilations = [2**i for i in range(1, layers + 1)]
        self.tower = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in dilations
        )
        self.opens = nn.ModuleList(nn.ReLU() for _ in dilations)
        self.counts = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.open(self.first(x))
        for conv, relu in zip(self.tower, self.opens, strict=True):
            h = h + relu(conv(h))
        counts: Tensor = self.counts(h[:, :, 557:-557].mean(2))
        return counts


def timed(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Median and extremes of each side, all in turn, after one call that is not counted: seconds of one core."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            began = time.process_time()
            side()
            took[name].append(time.process_time() - began)
    return {
        name: {"median": statistics.median(t), "least": min(t), "most": max(t)}
        for name, t in took.items()
    }


def explained() -> dict[str, Any]:
    """A sequence over 20 shuffles; the answers are compared before they are timed."""
    torch.manual_seed(0)
    model = BPNet().eval()
    letters = torch.randint(4, (1, 2114))
    X = nn.functional.one_hot(letters, 4).transpose(1, 2).float().contiguous()
    B = nucleoscope.dinucleotide_shuffle(X, n=20, random_state=0)
    ours = nucleoscope.deep_lift_shap(model, X, baselines=B, target=0)
    theirs = tangermeme(model, X, references=B, target=0, device="cpu")
    double = copy.deepcopy(
        model
    ).double()  # float32 outputs so near each other tell less than the scores
    with torch.no_grad():
        change = double(X.double()) - double(B.flatten(0, 1).double()).view(1, 20).mean(1, True)
    off = float((ours.scores - theirs).abs().max() / theirs.abs().max())
    gap = float(((ours.scores.double().sum((1, 2)) - change[:, 0]) / change[:, 0]).abs().max())
    assert off < 1e-3, off
    assert gap <= ADDITIVITY, gap
    sides = {
        "nucleoscope": lambda: nucleoscope.deep_lift_shap(model, X, baselines=B, target=0),
        "tangermeme": lambda: tangermeme(model, X, references=B, target=0, device="cpu"),
    }
    said = {"largest difference of scores, relative": off, "additivity, relative": gap}
    return {**said, "check": str(ours.checks[0]), "seconds": timed(sides, ROUNDS)}


def shuffled(dtype: torch.dtype) -> dict[str, Any]:
    """20 shuffles of 100 sequences."""
    torch.manual_seed(0)
    letters = torch.randint(4, (100, 2114))
    X = nn.functional.one_hot(letters, 4).transpose(1, 2).to(dtype).contiguous()
    sides = {
        "nucleoscope": lambda: nucleoscope.dinucleotide_shuffle(X, n=20, random_state=0),
        "tangermeme": lambda: tangermeme_shuffle(X, n=20, random_state=0),
    }
    pairs = X[..., :-1].float() @ X[..., 1:].float().mT
    for side in sides.values():
        made = side().float()
        assert torch.equal(made[..., :-1] @ made[..., 1:].mT, pairs[:, None].expand(100, 20, 4, 4))
    return {"seconds": timed(sides, OF_SHUFFLES), "rounds": OF_SHUFFLES}


def main() -> None:
    torch.set_num_threads(1)
    found = {
        "conditions": conditions(), "command": "python -m benchmarks.deep_lift", "rounds": ROUNDS,
        "BPNet 64, 1 x 2,114 bp x 20 baselines": explained(),
        "100 x 2,114 bp x 20 shuffles, int8": shuffled(torch.int8),
        "100 x 2,114 bp x 20 shuffles, float32": shuffled(torch.float32),
    }  # fmt: skip
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print("| case | nucleoscope | tangermeme 1.6 | ratio |\n|---|---:|---:|---:|")
    for name, case in found.items():
        if isinstance(case, dict) and "seconds" in case:
            ours, theirs = (
                case["seconds"][side]["median"] for side in ("nucleoscope", "tangermeme")
            )
            print(f"| {name} | {ours:.3f} s | {theirs:.3f} s | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
