"""How many Gauss-Legendre nodes a smooth net needs.

    python -m benchmarks.smooth_nets

Enformer's tower (GELU, attention pools) at a small geometry, all of a small Enformer (whose transformer layers
hold ReLUs, so that it is not smooth), and a dilated tower of GELUs, with random weights as torch draws them and
twice as large, which is steeper than training makes them. Errors are of float32 maps against 64 nodes in float64,
relative to the map. Written: benchmarks/results/smooth_nets.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.machine import conditions
from nucleoscope.demo import load_sequence
from nucleoscope.models import Enformer
from nucleoscope.scan.letters import one_hot

NODES, SEQUENCES = (8, 12, 16, 32), 8
RESULTS = Path(__file__).parent / "results" / "smooth_nets.json"


class Tower(nn.Module):
    """Dilated convolutions with GELU and residuals, a mean, one number."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 64, 21, padding=10)
        self.layers = nn.ModuleList(
            nn.Conv1d(64, 64, 3, dilation=2**i, padding=2**i) for i in range(1, 7)
        )
        self.head = nn.Linear(64, 1)
        self.length = 500

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.gelu(self.stem(x))
        for layer in self.layers:
            h = h + nn.functional.gelu(layer(h))
        made: Tensor = self.head(h.mean(2))
        return made


class EnformerTower(nn.Module):
    """What Enformer has in front of its transformer, and a mean."""

    def __init__(self) -> None:
        super().__init__()
        whole = Enformer(small=True)
        self.layers, self.length = nn.Sequential(whole.stem, whole.tower), whole.length

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x).mean(2)
        return made


NETS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "Enformer's tower, small": (EnformerTower, 0),
    "Enformer, small": (lambda: Enformer(small=True), ("human", 0)),
    "dilated tower of GELUs": (Tower, 0),
}


def measure(name: str, steep: float) -> dict[str, Any]:
    """Median and largest error by the number of nodes."""
    make, target = NETS[name]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight *= steep
    bases, length = load_sequence()[1], model.length
    starts = np.linspace(0, len(bases) - length, SEQUENCES).astype(int)
    X = one_hot([bases[s : s + length] for s in starts])

    def scores(n: int, precision: str) -> Any:
        return nucleoscope.integrated_gradients(
            model, X, target=target, n_steps=n, method="gauss_legendre", precision=precision
        )

    truth = scores(64, "fp64").scores.flatten(1)
    made: dict[str, Any] = {"network": name, "weights times": steep, "length": length}
    for n in NODES:
        got = scores(n, "fp32")
        off = (got.scores.double().flatten(1) - truth).norm(dim=1) / truth.norm(dim=1)
        made[str(n)] = {
            "median error": float(off.median()), "largest error": float(off.max()),
            "largest error bar": float(got.error_bar.max()), "rule": got.facts["rule"],
        }  # fmt: skip
    return made


def main() -> None:
    """Measure all."""
    found = [measure(name, steep) for name in NETS for steep in (1.0, 2.0)]
    result = {
        "command": "python -m benchmarks.smooth_nets", **conditions(), "sequences": SEQUENCES, "nets": found,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
