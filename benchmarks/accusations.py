"""How often `faithfulness` fires on maps that explainers make of trained networks, and on attention rollouts.

    python -m benchmarks.accusations [--draws 6]

Maps of the suite's five trained networks are of the model itself: each time it fires it accuses falsely, or the
explainer does not see what the network does. Beside them are random numbers and the map of another network and
other sequences, at which it must fire. Rollouts are of attention layers with random weights, read as sizes:
nothing says that they follow the answer, so their rate is told by itself. results/accusations.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.constructed import Attending, letters
from benchmarks.machine import conditions
from nucleoscope.diagnostics import faithfulness
from nucleoscope.evaluate.truth import simulated

RESULTS = Path(__file__).parent / "results" / "accusations.json"
NETWORKS, BLOCK = 5, 8  # sequences of one question
EXPLAINERS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "mutagenesis": lambda model, X: nucleoscope.saturation_mutagenesis(model, X, target=0, verify=0),
    "input_x_gradient": lambda model, X: nucleoscope.input_x_gradient(model, X, target=0),
    "integrated_gradients": lambda model, X: nucleoscope.integrated_gradients(
        model, X, baselines="uniform", target=0
    ),
    "deep_lift_shap": lambda model, X: nucleoscope.deep_lift_shap(model, X, target=0, n_shuffles=10),
}  # fmt: skip


def of_networks(draws: int) -> dict[str, list[int]]:
    """For each kind of map, of 5 networks: how many of the draws of sequences it fires at."""
    models, data = zip(
        *(simulated(seed=s, count=draws * BLOCK) for s in range(NETWORKS)), strict=True
    )
    fired: dict[str, list[int]] = {}
    for at, (model, held) in enumerate(zip(models, data, strict=True)):
        other = models[(at + 1) % NETWORKS]
        counts = dict.fromkeys((*EXPLAINERS, "random", "another network's"), 0)
        for X in held.X.split(BLOCK):
            maps = {name: explain(model, X).observed() for name, explain in EXPLAINERS.items()}
            noise = torch.Generator().manual_seed(at)
            maps["random"] = torch.randn(len(X), X.shape[2], generator=noise)
            mixed = X[torch.arange(len(X)) - 1]  # and other sequences: networks of one task agree
            maps["another network's"] = EXPLAINERS["mutagenesis"](other, mixed).observed()
            for name, scores in maps.items():
                counts[name] += faithfulness(model, X, scores, target=0).fires
        for name, count in counts.items():
            fired.setdefault(name, []).append(count)
        print(at, counts)  # noqa: T201
    return fired


def of_rollouts(draws: int) -> int:
    """How many of as many attention nets with random weights have a rollout that it fires at."""
    fired = 0
    for seed in range(draws):
        torch.manual_seed(seed)
        model, X = Attending(16).eval(), letters(BLOCK)
        rows = torch.ones(1, X.shape[2] // 4)
        rolled = nucleoscope.attention_rollout(
            model, X, rows=rows, per_base=True, controls=0, spectrum=0
        )
        fired += faithfulness(model, X, rolled.scores[:, 0], signed=False).fires
    print("rollouts", fired)  # noqa: T201
    return fired


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--draws", type=int, default=6)
    draws = asked.parse_args().draws
    made = {
        **conditions(), "draws": draws, "sequences_a_draw": BLOCK,
        "fires_of_each_network": of_networks(draws),
        "rollouts": 4 * draws, "fires_of_rollouts": of_rollouts(4 * draws),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
