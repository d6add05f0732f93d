"""All of DrugCell's terms knocked out, as changes and by the network anew: `python -m benchmarks.knock_outs`.

The ontology is that of `benchmarks.transparent`, drawn at random at the published size. The network anew is one
forward for each term, with its states replaced (`naive.methods.knock_out`), of a few terms; answers are compared
before anything is timed, in float64. Both sides are timed in turn, in processor time of a knock-out.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import conditions
from benchmarks.transparent import EXAMPLES, GENES, UNITS, drawn
from nucleoscope.models import DrugCell, knock_outs
from nucleoscope.naive.methods.knock_out import knock_out

RESULTS = Path(__file__).parent / "results" / "knock_outs.json"
SOME, ROUNDS, BITS = 8, 5, 2048


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    of = drawn()
    model = DrugCell(of, units=UNITS).eval()
    cell = model.cell
    x = (torch.rand(EXAMPLES, GENES) < 0.02).float()
    drug = (torch.rand(EXAMPLES, BITS) < 0.05).float()
    firsts, first = {}, cell.length
    for norm, terms in zip(cell.norms, of.levels(), strict=True):
        firsts |= dict.fromkeys(terms, (norm, first))
        first += norm.num_features  # type: ignore[operator]
    some = list(of.terms[:: len(of.terms) // SOME])[:SOME]

    def anew(*inputs: Tensor) -> dict[str, Tensor]:
        """As `knock_outs` with ``instead=0``, term by term; two forwards each, of which one is the original."""
        made = {}
        for term in some:
            norm, first = firsts[term]
            start, end = cell.place[term]
            units = slice(start - first, end - first)
            held = inputs[0].new_zeros(end - start)
            made[term] = knock_out(model, norm, units, held, *inputs)
        return made

    model.double()
    want, got = (
        anew(x.double(), drug.double()),
        knock_outs(model, x.double(), drug.double(), instead=0),
    )
    off = max(float((got.terms[term] - want[term]).abs().max()) for term in some)
    largest = max(float(change.abs().max()) for change in got.terms.values())
    assert off < 1e-9 * largest, (off, largest)
    model.float()
    seconds: dict[str, list[float]] = {"changes": [], "anew": []}
    for _ in range(ROUNDS):
        for name, run, count in (
            ("changes", lambda: knock_outs(model, x, drug, instead=0), len(of.terms)),
            ("anew", lambda: anew(x, drug), 2 * len(some)),
        ):
            begun = time.process_time()
            run()
            seconds[name].append((time.process_time() - begun) / count)
    ratios = [b / a for a, b in zip(seconds["changes"], seconds["anew"], strict=True)]
    held = {
        "machine": conditions(),
        "command": "python -m benchmarks.knock_outs",
        "terms": len(of.terms),
        "examples": EXAMPLES,
        "milliseconds a knock-out (median)": {
            name: round(1e3 * statistics.median(v), 3) for name, v in seconds.items()
        },
        "times faster": {"median": round(statistics.median(ratios), 1), "least": round(min(ratios), 1)},
        "products": got.facts["products"],
        "products of forwards": got.facts["products_of_forwards"],
        "times fewer products": got.facts["times_less"],
        "off in float64, of the largest": off / largest,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(held, indent=1) + "\n")
    print(json.dumps(held, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
