"""Exact Shapley values of the positions of motifs, in closed form."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nucleoscope.evaluate.truth.gates import Gate
from nucleoscope.evaluate.truth.grammar_model import MOTIFS, SLACK, WIDTH


def position_values(gate: Gate, present: Sequence[bool]) -> Tensor:  # [motif] float64
    """The Shapley value of one position of each motif, where a position that is left out is N.

    Players are the positions of the motifs that are present. By Owen's multilinear extension a player's value
    is the integral over q of what it adds to the others, each there with probability q by itself. What a
    motif counts depends on how many of its letters match, which is binomial; its positions are alike, and
    positions outside of motifs change nothing. The integrand is a polynomial of q, below degree 24, that 12
    Gauss nodes integrate exactly. Values add up to the answer less that for N everywhere.

    They are a motif's own Shapley value spread evenly over its positions where motifs are as wide and matched
    in all or nothing; here a motif with one mismatch counts half, and the two differ.

    Source: Owen 1972 (Management Science 18, P64).

    Equivalent to::

        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (f(x at S and i) - f(x at S))
    """
    counts = torch.arange(WIDTH + 1, dtype=torch.float64)
    ladder = (counts - (WIDTH - SLACK)).clamp(min=0) / SLACK  # what a motif counts by its matches
    sides = [ladder if there else ladder[:1] for there in present]
    answers = gate(torch.stack(torch.meshgrid(*sides, indexing="ij"), -1))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    values = torch.zeros(len(MOTIFS), dtype=torch.float64)
    for q, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        for k in itertools.compress(range(len(MOTIFS)), present):
            gain = answers.diff(dim=k)
            for j in reversed(range(len(MOTIFS))):  # the last axis first
                gain = gain @ _binomial((WIDTH - (j == k)) * present[j], float(q))
            values[k] += weight * gain
    return values


def _binomial(n: int, q: float) -> Tensor:
    """The probability of 0 to n of n."""
    return torch.tensor(
        [math.comb(n, c) * q**c * (1 - q) ** (n - c) for c in range(n + 1)], dtype=torch.float64
    )
