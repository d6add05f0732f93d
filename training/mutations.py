"""The sequences to learn from: real human DNA and mutated copies of it, on both strands.

Base codes are uint8: 0..3 = ACGT, 4 = unknown. A megabase or two holds only a few hundred splice
sites, so the copies are there to show the teacher's opinion on many more: exons recombined from
the sites of the real sequence, exons and decoys drawn from the consensus, signals destroyed, and
substitutions at rates from none to one base in seven.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

ACCEPTOR, DONOR = 1, 2
FLANK = 130  # bases of intron that travel with a pasted site: more than the student can see
# Chance of A, C, G, T in per cent at each place of the consensus: donor from -3 to +6, acceptor
# from -20 to +1. Rounded from what is well known of human introns.
# fmt: off
DONOR_MOTIF = np.array([
    [35, 35, 19, 11], [60, 13, 13, 14], [9, 3, 80, 8],
    [0, 0, 100, 0], [0, 0, 0, 100], [59, 3, 35, 3], [71, 8, 12, 9], [7, 6, 81, 6], [16, 17, 20, 47],
])
ACCEPTOR_MOTIF = np.array([
    *[[13, 31, 13, 43]] * 15, [8, 36, 6, 50],
    [25, 26, 24, 25], [5, 65, 1, 29], [100, 0, 0, 0], [0, 0, 100, 0], [25, 14, 49, 12],
])
# fmt: on


def read_fasta(path: Path) -> np.ndarray:
    """Base codes (L,) of the only record of a FASTA file, gzipped or not."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    lines = text.splitlines()
    if sum(line.startswith(b">") for line in lines) != 1:
        raise ValueError(f"{path}: expected one record")
    codes = np.full(256, 4, np.uint8)
    codes[list(b"ACGTacgt")] = [0, 1, 2, 3] * 2
    return codes[np.frombuffer(b"".join(lines[1:]), np.uint8)]


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """The other strand, read in its own direction."""
    return np.array([3, 2, 1, 0, 4], np.uint8)[codes[::-1]]


def known_stretches(codes: np.ndarray, shortest: int = 5000) -> list[np.ndarray]:
    """The runs without unknown bases that are at least `shortest` long."""
    unknown = np.flatnonzero(codes == 4)
    edges = np.concatenate([[-1], unknown, [len(codes)]])
    runs = zip(edges[:-1] + 1, edges[1:], strict=True)
    return [codes[start:end] for start, end in runs if end - start >= shortest]


def sites(labels: np.ndarray, kind: int, least: float = 0.3) -> np.ndarray:
    """Where the teacher's probability (3, L) of one kind of site is at least `least`."""
    return np.flatnonzero(labels[kind] >= least)


def halves(
    strands: list[np.ndarray], labels: list[np.ndarray], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Left halves of exons (intron, acceptor, exon start) and right halves (exon end, donor, …)."""
    left, right = [], []
    for strand, label in zip(strands, labels, strict=True):
        for at in sites(label, ACCEPTOR):
            left.append(strand[max(at - FLANK, 0) : at + rng.integers(20, 91)])
        for at in sites(label, DONOR):
            right.append(strand[max(at - rng.integers(20, 91), 0) : at + 1 + FLANK])
    return left, right


def paste(codes: np.ndarray, piece: np.ndarray, start: int) -> None:
    """Overwrite, in place, as much of the piece as fits."""
    room = codes[start : start + len(piece)]
    room[:] = piece[: len(room)]


def draw(motif: np.ndarray, sharpness: float, rng: np.random.Generator) -> np.ndarray:
    """One sequence from a motif (places, 4) whose chances are raised to a power."""
    chances = motif.astype(float) ** sharpness
    draws = rng.random((len(motif), 1)) * chances.sum(axis=1, keepdims=True)
    return (draws >= chances.cumsum(axis=1)).sum(axis=1).astype(np.uint8)


def paste_recombined_exon(
    codes: np.ndarray,
    start: int,
    exon_halves: tuple[list[np.ndarray], list[np.ndarray]],
    rng: np.random.Generator,
) -> None:
    """An exon made of any left and any right half, in place."""
    left, right = (half[rng.integers(len(half))] for half in exon_halves)
    paste(codes, np.concatenate([left, right]), start)


def paste_drawn_exon(codes: np.ndarray, start: int, rng: np.random.Generator) -> None:
    """An exon drawn from the two motifs, in place; what lies between is kept or shuffled.

    The teacher believes in about half of these: it has no need of a real exon.
    """
    sharpness = rng.uniform(1.0, 2.5)
    body = start + len(ACCEPTOR_MOTIF)
    end = body + rng.integers(60, 180)
    if rng.random() < 0.6:
        rng.shuffle(codes[body:end])
    paste(codes, draw(ACCEPTOR_MOTIF, sharpness, rng), start)
    paste(codes, draw(DONOR_MOTIF, sharpness, rng), end)


def paste_decoy(codes: np.ndarray, start: int, rng: np.random.Generator) -> None:
    """A donor or acceptor signal without an exon, in place."""
    motif = DONOR_MOTIF if rng.random() < 0.5 else ACCEPTOR_MOTIF
    paste(codes, draw(motif, rng.uniform(1.0, 2.5), rng), start)


def break_sites(
    codes: np.ndarray, label: np.ndarray, share: float, rng: np.random.Generator
) -> None:
    """Change one base within five of a share of the real sites, in place."""
    for at in np.concatenate([sites(label, ACCEPTOR), sites(label, DONOR)]):
        if rng.random() < share:
            changed = np.clip(at + rng.integers(-5, 6), 0, len(codes) - 1)
            codes[changed] = (codes[changed] + rng.integers(1, 4)) % 4


def substitute(codes: np.ndarray, rng: np.random.Generator, block: int = 400) -> None:
    """Random substitutions at a rate drawn anew for every block of bases, in place."""
    rates = rng.choice([0.0, 0.01, 0.02, 0.05, 0.15], size=len(codes) // block + 1)
    hit = rng.random(len(codes)) < np.repeat(rates, block)[: len(codes)]
    codes[hit] = (codes[hit] + rng.integers(1, 4, hit.sum())) % 4


def shuffle_blocks(codes: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Shuffle the bases within a share of the blocks of 500, in place."""
    for start in range(0, len(codes) - 500, 500):
        if rng.random() < share:
            rng.shuffle(codes[start : start + 500])


def mutated_copy(
    strand: np.ndarray,
    label: np.ndarray,
    exon_halves: tuple[list[np.ndarray], list[np.ndarray]],
    rng: np.random.Generator,
) -> np.ndarray:
    """One mutated copy of a strand, for the teacher to label afresh."""
    copy = strand.copy()
    break_sites(copy, label, 0.3, rng)
    shuffle_blocks(copy, 0.05, rng)
    for start in rng.integers(0, len(copy) - FLANK, len(copy) // 1500):
        paste_recombined_exon(copy, start, exon_halves, rng)
    for start in rng.integers(0, len(copy) - FLANK, len(copy) // 1200):
        paste_drawn_exon(copy, start, rng)
    for start in rng.integers(0, len(copy) - FLANK, len(copy) // 800):
        paste_decoy(copy, start, rng)
    substitute(copy, rng)
    return copy
