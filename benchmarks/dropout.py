"""Whether dropout makes single edits miss redundant motifs: p x copies x seeds, p = 0 among them.

    python -m benchmarks.dropout [--seeds 5] [--tiny]

Networks learn whether a sequence holds a motif at all; it is planted 0 to k times. Of sequences that hold all k
copies, the table of every coalition of copies is made by the delta engine: rho, the largest interaction, how much
of their Shapley values single edits show, and which copies they miss, beside the network's own loss. Written to
results/dropout.json. Networks without dropout are redundant as well (their answer saturates by itself), so only
what differs from p = 0 is dropout's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import nucleoscope
from benchmarks.machine import conditions
from nucleoscope.diagnostics.coalitions import coalition_table
from nucleoscope.diagnostics.redundancy import from_table
from nucleoscope.evaluate import Data
from nucleoscope.evaluate.statistics import average_precision
from nucleoscope.evaluate.truth.trained import Net, train

RESULTS = Path(__file__).parent / "results" / "dropout.json"
DROPOUT, COPIES = (0.0, 0.1, 0.3, 0.5), (1, 2, 3)
MOTIF, LENGTH = "AGATAAGG", 80
STARTS = (8, 34, 60)
TRAINING, EPOCHS, EXPLAINED = 2000, 6, 16


def sequences(count: int, copies: int, seed: int, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Random letters with the motif at up to `copies` places [N, 4, L], and which copies are there [N, copies]."""
    source = torch.Generator().manual_seed(seed)
    letters = torch.randint(4, (count, LENGTH), generator=source)
    there = torch.rand(count, copies, generator=source) < (0.5 if copies == 1 else 0.35)
    there |= torch.tensor(whole)
    motif = torch.tensor(["ACGT".index(letter) for letter in MOTIF])
    for k in range(copies):
        at = slice(STARTS[k], STARTS[k] + len(MOTIF))
        letters[:, at] = torch.where(there[:, k, None], motif, letters[:, at])
    return F.one_hot(letters, 4).transpose(1, 2).float().contiguous(), there


def one(p: float, copies: int, seed: int, training: int, epochs: int) -> dict[str, Any]:
    """A network, and what its maps say of copies that are all there."""
    X, there = sequences(training, copies, 100 + seed)
    model = Net(p)
    train(model, Data(X, 0, labels=there.any(1)), epochs, seed)
    model.eval().requires_grad_(False)
    held, present = sequences(500, copies, 200 + seed)
    loss = F.binary_cross_entropy_with_logits(model(held)[:, 0], present.any(1).float())
    shown, _ = sequences(EXPLAINED, copies, 300 + seed, whole=True)
    spans = [(STARTS[k], STARTS[k] + len(MOTIF)) for k in range(copies)]
    planted = torch.zeros(LENGTH, dtype=torch.bool)
    for start, end in spans:
        planted[start:end] = True
    single = nucleoscope.saturation_mutagenesis(model, shown, verify=0).observed().double().cpu()
    found = {
        "p": p, "copies": copies, "seed": seed, "loss": float(loss),
        "single_edits": float(average_precision(single, planted.expand_as(single)).mean()),
        "chance": float(planted.double().mean()),
    }  # fmt: skip
    if copies > 1:
        told = from_table(coalition_table(model, shown, spans, n=4, verify=0), spans).values
        shapley, alone = torch.tensor(told["shapley"]), torch.tensor(told["single"])
        found |= {
            "rho": told["rho"], "interaction": float(torch.tensor(told["interaction"]).amin((1, 2)).median()),
            "shown": float((alone.sum(1) / shapley.sum(1)).median()),
            # of the copies that are there, how many score less than a tenth of the joint effect
            "missed_by_edits": _missed(alone, shapley), "missed_by_shapley": _missed(shapley, shapley),
        }  # fmt: skip
    return found


def _missed(scores: Tensor, shapley: Tensor) -> float:
    """The share of copies that score less than a tenth of all copies' joint effect."""
    return float((scores < 0.1 * shapley.sum(1, keepdim=True)).double().mean())


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Median, least and most over seeds of every number, by dropout and copies."""
    kept: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        where = kept[f"p={row['p']:g} copies={row['copies']}"]
        for name in row.keys() - {"p", "copies", "seed", "chance"}:
            if row[name] == row[name]:
                where[name].append(row[name])
    return {
        where: {k: [statistics.median(v), min(v), max(v)] for k, v in sorted(of.items())}
        for where, of in kept.items()
    }


def experiment(seeds: int, tiny: bool = False) -> dict[str, Any]:
    """Every network of the design, and medians over seeds."""
    design = itertools.product(DROPOUT[::3] if tiny else DROPOUT, COPIES[:2] if tiny else COPIES)
    training, epochs = (64, 1) if tiny else (TRAINING, EPOCHS)
    rows = []
    for (p, copies), seed in itertools.product(design, range(seeds)):
        rows.append(one(p, copies, seed, training, epochs))
        print(rows[-1], flush=True)  # noqa: T201
    return {"rows": rows, "median_least_most": table(rows)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="try the command; nothing is written")
    given = parser.parse_args()
    made = {**conditions(), "seeds": given.seeds, **experiment(given.seeds, given.tiny)}
    if not given.tiny:
        RESULTS.write_text(json.dumps(made, indent=1) + "\n")
