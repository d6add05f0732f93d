"""Ground truth, first level: models with written-down weights, whose Shapley values are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch

from nucleoscope.evaluate.data import Data, Pair
from nucleoscope.evaluate.truth import gates
from nucleoscope.evaluate.truth.exact import position_values
from nucleoscope.evaluate.truth.grammar_model import DISTANCE, WIDTH, GrammarModel
from nucleoscope.evaluate.truth.planting import one_hot, planted

GATES: dict[str, gates.Gate] = {
    "additive": gates.additive, "and": gates.both, "or": gates.either, "saturating": gates.saturating,
    "xor": gates.one_alone, "spaced": gates.spaced, "cancelling": gates.cancelling, "distal": gates.both,
}  # fmt: skip
ANALYTIC = tuple(GATES)
DISTAL = 100_000  # bases between the motifs of "distal", at least
ADDING = ("additive", "cancelling")
# Which of the three motifs a sequence holds, in turn.
ALL, SECOND, FIRST, NEITHER = (
    (True, True, True),
    (False, True, True),
    (True, False, True),
    (False, False, True),
)
PRESENT = (ALL, FIRST, ALL, SECOND, ALL, NEITHER)


def analytic(
    grammar: str, count: int | None = None, length: int | None = None, *, seed: int = 0
) -> tuple[GrammarModel, Data]:
    """A model that obeys a grammar of three motifs, and sequences of which every position's value is known.

    Parameters
    ----------
    grammar
        What joins the first two motifs; the third is added to all. "additive"; "and"; "or"; "saturating", 1 -
        exp(-3 (a + b)); "xor"; "spaced": they count together at one distance alone, which half of the pairs
        have; "cancelling", a - b; "distal": "and" over 100 kb and more.
    count, length
        Of the sequences: 36 of 200 bases, for "distal" 6 of 131,072. Half of them hold all three motifs, the
        others lack the first, the second, or both.
    seed
        Of the letters and of where the motifs lie.

    Returns
    -------
    model, data
        `exact` are Shapley values of positions, in the model's units, with N for a position that is left out
        (`position_values`); they add up to the answer less that for N everywhere. `planted` are the motifs'
        positions, `labels` the answers. `pairs` tell which motifs of a sequence with all three interact
        (None where none do).

    Raises
    ------
    ValueError
        For another grammar, fewer than 6 sequences, or a length that the motifs do not fit into.

    Equivalent to::

        phi = [sum over S without i of |S|! (n - |S| - 1)! / n! (model(X at S and i) - model(X at S))]
    """
    if grammar not in GATES:
        raise ValueError(f"grammar={grammar!r}: use one of {', '.join(map(repr, ANALYTIC))}")
    far = grammar == "distal"
    count = (6 if far else 36) if count is None else count
    length = (131_072 if far else 200) if length is None else length
    least = (DISTAL if far else 2 * DISTANCE) + 6 * WIDTH
    if not isinstance(count, Integral) or count < len(PRESENT):
        raise ValueError(f"count={count!r}: 6 sequences or more, so that each kind is among them")
    if not isinstance(length, Integral) or length < least:
        raise ValueError(f"length={length!r}: {least} bases or more for {grammar!r}")
    source, model = np.random.default_rng(seed), GrammarModel(GATES[grammar])
    letters, held, exact, pairs = [], [], [], []
    for n in range(count):
        present, right = PRESENT[n % len(PRESENT)], n % 4 == 0
        places = _places(grammar, int(length), right, source)
        starts = [at if there else None for at, there in zip(places, present, strict=True)]
        bases, mask = planted(int(length), starts, source)
        gate = model.gate
        if grammar == "spaced" and not (right and all(present)):
            gate = gates.apart
        values = torch.zeros(int(length), dtype=torch.float64)
        for at, value in zip(starts, position_values(gate, present), strict=True):
            if at is not None:
                values[at : at + WIDTH] = value
        if all(present):
            pairs += _pairs(n, places, grammar not in ADDING and gate is not gates.apart)
        letters.append(bases)
        held.append(torch.from_numpy(mask))
        exact.append(values)
    X = one_hot(letters)
    labels = model(X)[:, 0].double()
    told = pairs if grammar not in ADDING else None
    return model, Data(X, 0, torch.stack(held), torch.stack(exact), told, labels)


def _places(grammar: str, length: int, right: bool, source: np.random.Generator) -> list[int]:
    """Where the three motifs begin: apart from each other by a motif's width and more."""
    if grammar == "distal":
        first = int(source.integers(WIDTH, length - DISTAL - 4 * WIDTH))
        second = int(source.integers(first + DISTAL + WIDTH, length - 2 * WIDTH))
        return [first, second, int(source.integers(first + 2 * WIDTH, first + DISTAL // 2))]
    while True:
        starts = source.integers(0, length - WIDTH + 1, 3).tolist()
        if grammar == "spaced":
            starts[1] = starts[0] + DISTANCE + (0 if right else int(source.integers(4, DISTANCE)))
        gaps = np.diff(sorted(starts))
        if (gaps >= 2 * WIDTH).all() and max(starts) <= length - WIDTH:
            return [int(at) for at in starts]


def _pairs(n: int, starts: Sequence[int], interacts: bool) -> list[Pair]:
    spans = [(at, at + WIDTH) for at in starts]
    return [
        Pair(n, spans[0], spans[1], interacts),
        Pair(n, spans[0], spans[2], False),
        Pair(n, spans[1], spans[2], False),
    ]
