"""dinucleotide_shuffle: C++ gives what the naive walk gives, and every order is equally likely."""

from collections import Counter
from itertools import pairwise, permutations
from math import sqrt

import pytest
import torch
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import dinucleotide_shuffle

pytestmark = pytest.mark.usefixtures("poisoned_empty")

SHAPES = [  # N sequences, L letters, n shuffles, A letters of the alphabet
    (1, 1, 1, 4),
    (3, 2, 2, 4),
    (2, 3, 5, 4),
    (5, 40, 3, 4),
    (2, 63, 9, 2),
    (2, 61, 4, 20),
    (1, 9, 6, 1),
    (3, 17, 0, 4),
    (0, 17, 3, 4),
    (3, 0, 2, 4),
]
DTYPES = [torch.int8, torch.float32, torch.float64]


def letters_of(shape: tuple[int, ...], least: int = -1) -> Tensor:
    sequences, length, _, alphabet = shape
    return torch.randint(least, alphabet, (sequences, length), dtype=torch.int8)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("least", [-1, 0], ids=["N", "letters"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_naive(shape, least, dtype, device) -> None:
    letters = letters_of(shape, least).to(device)
    for seed in (0, -3, 2**63, 2**64 - 1):
        got = dinucleotide_shuffle(letters, shape[2], shape[3], seed, dtype)
        expected = naive.dinucleotide_shuffle(letters, shape[2], shape[3], seed, dtype)
        assert got.dtype == dtype
        assert torch.equal(got, expected)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set_and_thread_count(isa, threads_used, threads) -> None:
    letters = letters_of((7, 2000, 11, 4))
    chosen = _C.isa()
    expected = dinucleotide_shuffle(letters, 11, 4, 5)
    threads(threads_used)
    try:
        _C.use_isa(isa)
        got = dinucleotide_shuffle(letters, 11, 4, 5)
    finally:
        _C.use_isa(chosen)
    assert torch.equal(got, expected)


def counted(letters: list[int]) -> Counter[tuple[int, int]]:
    return Counter(pairwise(letters))


@pytest.mark.parametrize("length", [2, 5, 64, 257])
def test_pairs_ends_and_gaps_are_kept(length) -> None:
    letters = letters_of((6, length, 4, 4))
    letters[0] = letters[0].clamp(min=0)
    made = dinucleotide_shuffle(letters, 4, 4, 1)
    for i, sequence in enumerate(letters.tolist()):
        for shuffled in made[i]:
            read = [int(c.argmax()) if c.sum() else -1 for c in shuffled.T]
            assert counted(read) == counted(sequence)  # of each stretch, so of all together
            assert [a for a in read if a < 0] == [a for a in sequence if a < 0]
            for at, letter in enumerate(sequence):
                edge = at in (0, length - 1) or sequence[at - 1] < 0 or sequence[at + 1] < 0
                if letter < 0 or edge:
                    assert read[at] == letter


def orders(letters: list[int]) -> list[tuple[int, ...]]:
    """Every order with the same pairs and ends."""
    ends = letters[0], letters[-1]
    found = {o for o in permutations(letters) if (o[0], o[-1]) == ends}
    return sorted(o for o in found if counted(list(o)) == counted(letters))


@pytest.mark.parametrize(
    ("spelled", "count"),
    [
        ("AACAGATCA", 24),
        ("AATATAGTT", 27),
        ("ACAGATACA", 12),
        ("ACGACTAG", 4),
        ("CCAACATC", 12),
        ("AAACAC", 3),
        ("GATTACA", 2),
    ],
)
def test_every_order_is_equally_likely(spelled, count) -> None:
    letters = ["ACGT".index(letter) for letter in spelled]
    possible = orders(letters)
    draws = 400 * len(possible)
    made = dinucleotide_shuffle(torch.tensor([letters], dtype=torch.int8), draws, 4, 11)
    found = Counter(map(tuple, made[0].argmax(1).tolist()))
    assert sorted(found) == possible
    assert len(possible) == count
    chi = sum((found[o] - 400) ** 2 / 400 for o in possible)
    free = len(possible) - 1  # chi-square has this mean, and variance twice that
    assert chi < free + 4.5 * sqrt(2 * free)


def test_a_shuffle_follows_from_its_sequence_alone() -> None:
    letters = letters_of((5, 300, 0, 4))
    made = dinucleotide_shuffle(letters, 7, 4, 3)
    assert torch.equal(made[2:3, :4], dinucleotide_shuffle(letters[2:3], 4, 4, 3))
    assert torch.equal(made.flip(0), dinucleotide_shuffle(letters.flip(0), 7, 4, 3))
    assert not torch.equal(made, dinucleotide_shuffle(letters, 7, 4, 4))
    assert len({tuple(each.flatten().tolist()) for each in made.flatten(0, 1)}) == 35


def test_strided_letters() -> None:
    letters = letters_of((4, 33, 0, 4))
    strided = letters.T.contiguous().T
    assert torch.equal(
        dinucleotide_shuffle(strided, 3, 4, 0), dinucleotide_shuffle(letters, 3, 4, 0)
    )


def test_a_letter_that_is_hard_to_leave() -> None:
    """A walk that stays at one letter for long ends all the same."""
    letters = torch.zeros(1, 3000, dtype=torch.int8)
    letters[0, -1], letters[0, 1500] = 3, 1
    made = dinucleotide_shuffle(letters, 2, 4, 0)
    assert (made.sum(3)[0].tolist()) == [[2998, 1, 0, 1]] * 2


def test_numbers_that_are_drawn_again() -> None:
    """Of so many pairs of one letter some numbers are, and places take more than 16 bits."""
    letters = torch.zeros(1, 150_000, dtype=torch.int8)
    letters[0, 1::15_000], letters[0, 2::40_000] = 1, 2
    assert torch.equal(
        dinucleotide_shuffle(letters, 1, 4, 2), naive.dinucleotide_shuffle(letters, 1, 4, 2)
    )


def test_opcheck(device) -> None:
    letters = letters_of((3, 17, 0, 4)).to(device)
    torch.library.opcheck(
        torch.ops.nucleoscope.dinucleotide_shuffle.default, (letters, 2, 4, 1, torch.float32)
    )


def test_meta_gives_the_shape_alone() -> None:
    letters = torch.empty(3, 17, dtype=torch.int8, device="meta")
    made = dinucleotide_shuffle(letters, 2, 4, 1)
    assert (made.device.type, made.shape, made.dtype) == ("meta", (3, 2, 4, 17), torch.int8)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"letters": torch.zeros(2, 5)}, TypeError, "letters has dtype torch.float32, must be torch.int8"),
        ({"letters": torch.zeros(5, dtype=torch.int8)}, ValueError, r"must have 2: \[N, L\]"),
        ({"n": -1}, ValueError, "n is -1; a number of shuffles, 0 or more"),
        ({"alphabet": 0}, ValueError, "alphabet is 0; from 1 to 127"),
        ({"alphabet": 128}, ValueError, "alphabet is 128; from 1 to 127"),
        ({"dtype": torch.int32}, TypeError, "dtype is torch.int32, must be one of torch.int8"),
        ({"letters": torch.full((1, 2), 4, dtype=torch.int8)}, ValueError, r"letters\[0, 0\] is 4; must be in"),
        ({"letters": torch.full((1, 2), -2, dtype=torch.int8)}, ValueError, r"letters\[0, 0\] is -2"),
    ],
)  # fmt: skip
def test_bad_arguments(change, error, message) -> None:
    case = {
        "letters": torch.zeros(2, 5, dtype=torch.int8),
        "n": 2,
        "alphabet": 4,
        "seed": 0,
    } | change
    with pytest.raises(error, match=f"dinucleotide_shuffle: .*{message}"):
        dinucleotide_shuffle(**case)
