"""Simulated regulatory sequence: motifs drawn from matrices, in dinucleotide shuffles of human sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nucleoscope import dinucleotide_shuffle
from nucleoscope.demo import load_sequence
from nucleoscope.evaluate.data import Data, Pair
from nucleoscope.models.known_motifs import read_meme
from nucleoscope.scan.letters import one_hot

JASPAR = ("MA0035.5 GATA1", "MA0139.2 CTCF", "MA0080.5 SPI1")
CONSENSUS = ("AGATAAGGAAC", "CCACCAGGGGGCG", "AAAGAGGAAGTG")
CERTAIN = 0.85  # of a consensus' letter, where there is no matrix
# Log-odds of being active: none of the motifs, each of the first two, both beyond that, the third.
GRAMMAR = (-3.0, 2.0, 2.0, 3.0, 2.0)


@dataclass(frozen=True)
class Motif:
    """Letter probabilities of a binding site [4, K]."""

    name: str
    probabilities: Tensor


def consensus_motifs() -> tuple[Motif, ...]:
    """Three motifs written down by hand, which need no file."""
    made = []
    for text in CONSENSUS:
        there = torch.tensor([[letter == a for letter in text] for a in "ACGT"])
        made.append(Motif(text, torch.where(there, CERTAIN, (1 - CERTAIN) / 3).double()))
    return tuple(made)


def jaspar_motifs(path: str, names: Sequence[str] = JASPAR) -> tuple[Motif, ...]:
    """Motifs of a MEME file by name: three of JASPAR 2024 by default; ``"MA0035 GATA1"`` is found in any version.

    Raises ValueError where one is not there or the file is no MEME file.
    """
    held: Mapping[str, Tensor] = read_meme(path)
    return tuple(Motif(name, _found(held, name)) for name in names)


def _found(held: Mapping[str, Tensor], name: str) -> Tensor:
    """The matrix of this name, or of the same accession in another version."""
    accession = name.split(".")[0].split()[0]
    found = held.get(name)
    if found is None:
        found = next((m for key, m in held.items() if key.split(".")[0] == accession), None)
    if found is None:
        raise ValueError(f"names: the file has no motif {name!r}")
    return found


def simulate(
    motifs: Sequence[Motif], count: int, length: int = 200, *, seed: int = 0, bare: float = 0.0
) -> tuple[Data, Tensor]:
    """Sequences of which the grammar and every motif's place are known; their labels, and the true log-odds.

    Each of three motifs is in a sequence with probability a half, one at least but for a share of `bare`
    ones; an instance is drawn from its matrix and lies apart from the others. The log-odds of being active
    are -3 + 2 a + 2 b + 3 a b + 2 c, and labels are drawn from them: no model can know them all. `planted`
    are the positions of instances, `pairs` tell that the first two interact in log-odds and the third does
    not; where a sequence is bare, or no sequence holds all three, data has None.

    Raises ValueError for other than three motifs, fewer than 8 sequences, or no room for the motifs.
    """
    widths = [m.probabilities.shape[1] for m in motifs]
    if len(motifs) != 3:
        raise ValueError(f"motifs: {len(motifs)} of them; the grammar has three")
    if count < 8 or length < 2 * sum(widths):
        raise ValueError(
            f"count={count}, length={length}: 8 sequences and {2 * sum(widths)} bases or more"
        )
    source = np.random.default_rng(seed)
    X = _backgrounds(count, length, source)
    planted = torch.zeros(count, length, dtype=torch.bool)
    there = source.random((count, 3)) < 0.5
    empty = ~there.any(1)
    there[empty, source.integers(3, size=int(empty.sum()))] = True
    there[source.random(count) < bare] = False
    pairs: list[Pair] = []
    for n in range(count):
        spans = _spans(widths, length, source)
        for motif, (start, end), given in zip(motifs, spans, there[n], strict=True):
            if given:
                X[n, :, start:end] = _instance(motif, source)
                planted[n, start:end] = True
        if there[n].all():
            of = ((0, 1), (0, 2), (1, 2))
            pairs += [Pair(n, spans[i], spans[j], (i, j) == (0, 1)) for i, j in of]
    a, b, c = torch.from_numpy(there).double().unbind(1)
    none, first, second, together, third = GRAMMAR
    odds = none + first * a + second * b + together * a * b + third * c
    labels = torch.from_numpy(source.random(count)) < torch.sigmoid(odds)
    known = planted if planted.any(1).all() else None
    return Data(X, 0, known, None, pairs or None, labels), odds


def _backgrounds(count: int, length: int, source: np.random.Generator) -> Tensor:
    """Stretches of the demo's human sequence, each shuffled with its dinucleotides kept."""
    bases = load_sequence()[1].upper()
    starts = source.integers(0, len(bases) - length, count)
    drawn = one_hot([bases[at : at + length] for at in starts])
    seed = int(source.integers(2**31))
    shuffled = dinucleotide_shuffle(drawn, 1, seed)[:, 0]
    return shuffled.float().contiguous()


def _instance(motif: Motif, source: np.random.Generator) -> Tensor:
    """Letters drawn from a matrix, [4, K]."""
    p = motif.probabilities / motif.probabilities.sum(0, keepdim=True)
    drawn = torch.from_numpy(source.random((1, p.shape[1])))
    letters = (drawn > p.cumsum(0)[:3]).sum(0)
    return torch.eye(4)[letters].T


def _spans(
    widths: Sequence[int], length: int, source: np.random.Generator
) -> list[tuple[int, int]]:
    """Where three motifs lie, in any order, apart from each other: what is left over is dealt out at random."""
    order = source.permutation(len(widths))
    free = length - sum(widths)
    cuts = np.sort(source.integers(0, free + 1, len(widths)))
    spans: dict[int, tuple[int, int]] = {}
    taken = 0
    for cut, k in zip(cuts, order, strict=True):
        start = int(cut) + taken
        spans[int(k)] = (start, start + widths[k])
        taken += widths[k]
    return [spans[k] for k in range(len(widths))]
