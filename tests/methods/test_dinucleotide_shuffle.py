"""nucleoscope.dinucleotide_shuffle: one-hot in, one-hot out; types, gaps, seeds and bad input."""

import pytest
import torch
from torch import Tensor

import nucleoscope
from nucleoscope import dinucleotide_shuffle


def one_hot(*shape: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.randint(4, shape), 4).transpose(1, 2).float()


def pairs(X: Tensor) -> Tensor:
    """Counts of neighbouring letters, [..., 4, 4]."""
    return X[..., :-1] @ X[..., 1:].transpose(-1, -2)


@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.bool, torch.int64, torch.float16, torch.float32, torch.float64],
    ids=str,
)
def test_pairs_and_type_are_kept(dtype) -> None:
    X = one_hot(3, 101).to(dtype)
    made = dinucleotide_shuffle(X, n=5, random_state=1)
    assert (made.shape, made.dtype) == ((3, 5, 4, 101), dtype)
    assert torch.equal(pairs(made.float()), pairs(X.float())[:, None].expand(3, 5, 4, 4))
    assert not torch.equal(made[:, 0], X)


def test_columns_that_are_no_letter_stay() -> None:
    X = one_hot(2, 60)
    X[0, :, 10:20] = 0
    X[1, :, 30] = 0.25
    X[1, :, 31] = torch.tensor([0.5, 0, 0.5, 0])
    made = dinucleotide_shuffle(X, n=3, random_state=0)
    odd = (X.max(1).values < 1)[:, None, None].expand_as(made)
    assert torch.equal(made[odd], X[:, None].expand_as(made)[odd])
    for part in (slice(0, 10), slice(20, 60)):
        assert torch.equal(pairs(made[0, :, :, part]), pairs(X[0, :, part]).expand(3, 4, 4))


def test_seeds() -> None:
    X = one_hot(3, 50)
    once = dinucleotide_shuffle(X, random_state=7)
    assert once.shape[1] == 20
    assert torch.equal(once, dinucleotide_shuffle(X, random_state=7))
    assert torch.equal(once[1:2, :4], dinucleotide_shuffle(X[1:2], n=4, random_state=7))
    assert not torch.equal(once, dinucleotide_shuffle(X, random_state=8))
    assert not torch.equal(dinucleotide_shuffle(X), dinucleotide_shuffle(X))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": "ACGT"}, TypeError, "X: expected a torch.Tensor"),
        ({"X": torch.ones(1, 4, 5)}, ValueError, None),
        ({"X": torch.rand(1, 4, 5)}, ValueError, "neither one letter"),
        ({"X": torch.zeros(1, 5, 5)}, ValueError, "X: axis 1 must hold the 4 letters"),
        ({"n": 0}, ValueError, "n=0: a number of shuffles, 1 or more"),
        ({"n": 2.0}, ValueError, "n=2.0"),
        ({"random_state": "one"}, TypeError, "random_state='one': a whole number"),
        ({"random_state": True}, TypeError, "random_state=True"),
    ],
)
def test_bad_arguments(change, error, message) -> None:
    with pytest.raises(error, match=message):
        nucleoscope.dinucleotide_shuffle(**({"X": one_hot(1, 9)} | change))
