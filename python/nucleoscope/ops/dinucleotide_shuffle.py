"""Sequences in other orders that keep every dinucleotide's count."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive import ops as naive
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._extension import _C
from nucleoscope.ops._registration import register

MOST_LETTERS = 127  # an int8 names each
_COMPILED = {
    torch.int8: _C.dinucleotide_shuffle_int8,
    torch.float32: _C.dinucleotide_shuffle_float32,
    torch.float64: _C.dinucleotide_shuffle_float64,
}


def dinucleotide_shuffle(
    letters: Tensor,  # [N, L] int8
    n: int,
    alphabet: int,  # A, how many letters there are
    seed: int,
    dtype: torch.dtype = torch.int8,
) -> Tensor:  # [N, n, A, L] one-hot
    """Each sequence in n other orders with the same dinucleotides, drawn uniformly among all of them.

    A letter -1 (N) stays where it is, and every stretch of letters between two of them is shuffled on
    its own: it keeps its first letter, its last letter and how often each letter follows each. What is
    drawn follows from `seed`, the sequence and the number of the shuffle, and not from the rest of the
    batch, n or the number of threads.

    Equivalent to::

        pairs = Counter(zip(letters[i], letters[i][1:]))
        orders = [o for o in set(permutations(letters[i])) if Counter(zip(o, o[1:])) == pairs
                  and (o[0], o[-1]) == (letters[i][0], letters[i][-1])]
        out[i, k] = one_hot(random.choice(orders), alphabet).T

    Args:
        letters: each a whole number in [0, alphabet), or -1.
        n: shuffles of a sequence, 0 or more.
        alphabet: at most 127.
        seed: 64 bits, with or without a sign.
        dtype: of the result: int8, float32 or float64. A letter -1 is a column of zeros there.

    Raises:
        TypeError: letters has another dtype, or dtype is none of these.
        ValueError: its shape is another, a letter is none of the alphabet, or n or alphabet is out of range.

    Source: the walks of Kandel, Matias, Unger and Winkler 1996 (Discrete Appl. Math. 71, 171), the tree by
    Wilson 1996 (STOC, 296).
    """
    seed = (seed + (1 << 63)) % (1 << 64) - (1 << 63)
    out: Tensor = torch.ops.nucleoscope.dinucleotide_shuffle.default(
        letters, n, alphabet, seed, dtype
    )
    return out


def _check(letters: Tensor, n: int, alphabet: int, dtype: torch.dtype) -> None:
    Arguments("dinucleotide_shuffle").read("letters", letters, "NL", torch.int8)
    if dtype not in _COMPILED:
        allowed = ", ".join(map(str, _COMPILED))
        raise TypeError(f"dinucleotide_shuffle: dtype is {dtype}, must be one of {allowed}")
    if n < 0:
        raise ValueError(f"dinucleotide_shuffle: n is {n}; a number of shuffles, 0 or more")
    if not 1 <= alphabet <= MOST_LETTERS:
        raise ValueError(
            f"dinucleotide_shuffle: alphabet is {alphabet}; from 1 to {MOST_LETTERS} letters"
        )


def _check_letters(letters: Tensor, alphabet: int) -> None:
    if letters.numel() == 0:
        return
    least, most = letters.aminmax()
    if least < -1 or most >= alphabet:
        place = ((letters < -1) | (letters >= alphabet)).nonzero()[0].tolist()
        raise ValueError(
            f"dinucleotide_shuffle: letters{place} is {int(letters[tuple(place)])}; must be in "
            f"[0, {alphabet}), or -1 for none"
        )


def _fake(letters: Tensor, n: int, alphabet: int, _seed: int, dtype: torch.dtype) -> Tensor:
    _check(letters, n, alphabet, dtype)
    return letters.new_empty((letters.shape[0], n, alphabet, letters.shape[1]), dtype=dtype)


def _cpu(letters: Tensor, n: int, alphabet: int, seed: int, dtype: torch.dtype) -> Tensor:
    out = _fake(letters, n, alphabet, seed, dtype)
    _check_letters(letters, alphabet)
    letters = letters.contiguous()
    _COMPILED[dtype](
        letters.data_ptr(),
        out.data_ptr(),
        letters.shape[0],
        n,
        letters.shape[1],
        alphabet,
        seed % (1 << 64),
        torch.get_num_threads(),
    )
    return out


def _cuda(letters: Tensor, n: int, alphabet: int, seed: int, dtype: torch.dtype) -> Tensor:
    """On the host: a walk goes step by step, and waits for its own last step."""
    return _cpu(letters.cpu(), n, alphabet, seed, dtype).to(letters.device)


def _other(letters: Tensor, n: int, alphabet: int, seed: int, dtype: torch.dtype) -> Tensor:
    _check(letters, n, alphabet, dtype)
    _check_letters(letters, alphabet)
    return naive.dinucleotide_shuffle(letters, n, alphabet, seed, dtype)


register(
    "dinucleotide_shuffle(Tensor letters, int n, int alphabet, int seed, ScalarType dtype) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
    other=_other,
)
