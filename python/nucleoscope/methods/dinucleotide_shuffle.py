"""Dinucleotide shuffles of one-hot sequences."""

from __future__ import annotations

import secrets
from numbers import Integral

from torch import Tensor

from nucleoscope.engine.shuffle import shuffles
from nucleoscope.reading import read_sequences


def dinucleotide_shuffle(
    X: Tensor,  # [N, 4, L] one-hot
    n: int = 20,
    random_state: int | None = None,
    *,
    alphabet: str = "ACGT",
) -> Tensor:  # [N, n, 4, L], of X's type, where X is
    """Each sequence `n` times in another order, with every dinucleotide as often as it was.

    All orders with the same dinucleotides are equally likely. The first and the last letter stay, as they
    do in every such order. A column that is not one letter (N, all zero, or an IUPAC code) stays where it is
    as well, and each stretch of letters between two of them is shuffled on its own.

    Shuffle k of a sequence follows from `random_state`, k and the sequence's own letters: not from its place
    in X, from the other sequences or from `n`. Equal sequences get equal shuffles. None: other ones at each
    call.

    Raises
    ------
    TypeError, ValueError
        For X that is not one-hot, `n` below 1, or a `random_state` that is no whole number.

    Source: the walks of Kandel, Matias, Unger and Winkler 1996 (Discrete Appl. Math. 71, 171), drawn as
    Wilson 1996 (STOC, 296) draws trees.

    Equivalent to (one sequence without N)::

        pairs = lambda order: Counter(zip(order, order[1:]))
        orders = {o for o in permutations(letters) if pairs(o) == pairs(letters)
                  and (o[0], o[-1]) == (letters[0], letters[-1])}
        [random.choice(sorted(orders)) for _ in range(n)]
    """
    sequences = read_sequences(X, alphabet, "NCL")
    seed = read_random_state(random_state)
    made = shuffles(sequences, read_count("n", n), seed, X.dtype)
    return made.to(X.device)


def read_count(name: str, n: int) -> int:
    """Check a number of shuffles."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"{name}={n!r}: a number of shuffles, 1 or more")
    return int(n)


def read_random_state(random_state: int | None) -> int:
    """A seed: the one that was given, or one that nobody knows."""
    if random_state is None:
        return secrets.randbits(64)
    if not isinstance(random_state, Integral) or isinstance(random_state, bool):
        raise TypeError(
            f"random_state={random_state!r}: a whole number, or None for other shuffles each time"
        )
    return int(random_state)
