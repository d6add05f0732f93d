"""DrugCell's network by its edges against masked dense layers: `python -m benchmarks.transparent`.

An ontology of the published size (2,086 terms, 3,008 genes, about 60,000 annotations) is drawn at random; both
sides hold the same weights and are asked in turn. The answers are compared before anything is timed.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.machine import conditions
from nucleoscope.models.dcell import DrugCell
from nucleoscope.models.ontology import Ontology, ontology

RESULTS = Path(__file__).parent / "results" / "transparent.json"
TERMS, GENES, EACH, UNITS, EXAMPLES, ROUNDS = 2086, 3008, 28, 6, 64, 7


def drawn(terms: int = TERMS, each: int = EACH) -> Ontology:
    """A random ontology with one root, at most six levels deep, by default of the published size."""
    rng = random.Random(0)
    depth = {"t0": 0}
    parents, annotations = [], []
    for i in range(1, terms):
        over = rng.choice([t for t, d in depth.items() if d < 5])
        depth[f"t{i}"] = depth[over] + 1
        parents.append((over, f"t{i}"))
    for term in depth:
        annotations += [(term, f"g{g}") for g in rng.sample(range(GENES), each)]
    annotations += [("t0", f"g{g}") for g in range(GENES)]
    return ontology(parents, annotations, [f"g{g}" for g in range(GENES)])


class Masked(nn.Module):
    """The same cell a term at a time: each gene layer a dense one of all genes, with zeros."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell
        self.genes, self.mixes = nn.ModuleDict(), nn.ModuleDict()
        layers = zip(cell.own, cell.mixed, cell.joined, cell.ontology.levels(), strict=True)
        for own, mixed, joined, terms in layers:
            block, below, beside, row, unit = own.dense(), mixed.dense(), joined.dense(), 0, 0
            for term in terms:
                rows, count = slice(unit, unit + UNITS), len(cell.ontology.annotated[term])
                columns = [i for c in cell.ontology.children[term] for i in range(*cell.place[c])]
                mix, gene = nn.Linear(len(columns) + count, UNITS), nn.Linear(GENES, count)
                parts = [below[rows][:, columns], beside[rows, row : row + count]]
                mix.weight.data, mix.bias.data = torch.cat(parts, 1), mixed.bias.data[rows]
                gene.weight.data = block[row : row + count].clone()
                gene.bias.data = own.bias.data[row : row + count]
                self.genes[term], self.mixes[term] = gene, mix
                row, unit = row + count, unit + UNITS

    def forward(self, x: Tensor) -> Tensor:
        states: dict[str, Tensor] = {}
        for norm, terms in zip(self.cell.norms, self.cell.ontology.levels(), strict=True):
            made = []
            for term in terms:
                read = [states[child] for child in self.cell.ontology.children[term]]
                read.append(self.genes[term](x))
                made.append(torch.tanh(self.mixes[term](torch.cat(read, 1))))
            states |= zip(terms, norm(torch.cat(made, 1)).split(UNITS, 1), strict=True)
        return states[self.cell.ontology.roots[0]]


def numbers(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cell = DrugCell(drawn(), units=UNITS).cell.eval()
    masked = Masked(cell).eval()
    x = (torch.rand(EXAMPLES, GENES) < 0.02).float()
    last = slice(*cell.place[cell.ontology.roots[0]])

    def by_edges() -> Tensor:
        return cell.rows(x)[1][last].T

    off = float((by_edges() - masked(x)).abs().max())
    assert off < 1e-4, off
    times: dict[str, list[float]] = {"edges": [], "masked": []}
    for _ in range(ROUNDS):
        for name, run in (("edges", by_edges), ("masked", lambda: masked(x))):
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(times["edges"], times["masked"], strict=True)]
    dense = numbers(masked.genes) + numbers(masked.mixes)
    edges = numbers(cell.own) + numbers(cell.mixed) + numbers(cell.joined)
    held = {
        "machine": conditions(),
        "command": "python -m benchmarks.transparent",
        "examples": EXAMPLES,
        "numbers stored": {"edges": edges, "masked": dense},
        "times smaller": round(dense / edges, 1),
        "seconds (median)": {k: round(statistics.median(v), 4) for k, v in times.items()},
        "times faster": {
            "median": round(statistics.median(ratios), 1),
            "least": round(min(ratios), 1),
        },
        "largest difference": off,
    }
    RESULTS.write_text(json.dumps(held, indent=1) + "\n")
    print(json.dumps(held, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
