"""What explainers are compared on: sequences, what to read off the model, and what is known of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from nucleoscope.evaluate.quality import Quality
from nucleoscope.reading import read_sequences

Span = tuple[int, int]  # half open


@dataclass(frozen=True)
class Pair:
    """Two sites of one sequence, and whether their effects depend on each other."""

    sequence: int
    first: Span
    second: Span
    interacts: bool


@dataclass(frozen=True, eq=False)
class Data:
    """Sequences and what is known of them; everything that is given is checked.

    X: one-hot ``[N, 4, L]``; a column of zeros is N. target: what is read off one sequence's output, as of
    `nucleoscope.saturation_mutagenesis`, but one number only: no list. planted: bool ``[N, L]``, the positions
    that are known to matter, some of each sequence and not all. exact: float64 ``[N, L]``, what each position
    counts (its Shapley value), in the output's units. pairs: sites that are known to interact, and others that
    are known not to. labels: ``[N]``, what was measured or simulated of each sequence; bool labels are classes.
    Where they are given, a model that is no better than chance at them is not ranked. quality: how good the model
    is, where that was measured on other sequences than these few; it counts in the place of what labels tell, is
    one model's, and reports say that it was stated.

    Raises TypeError, ValueError or IndexError that names the argument.
    """

    X: Tensor
    target: Any = 0
    planted: Tensor | None = None
    exact: Tensor | None = None
    pairs: Sequence[Pair] | None = None
    labels: Tensor | None = None
    quality: Quality | None = None

    def __post_init__(self) -> None:
        read_sequences(self.X, "ACGT", "NCL")
        if isinstance(self.target, list):
            raise TypeError(
                f"target={self.target!r}: metrics compare one number a sequence; make a Data for each target"
            )
        _check_planted(self.planted, self._positions)
        _check_exact(self.exact, self._positions)
        _check_labels(self.labels, len(self))
        if not isinstance(self.quality, Quality | None):
            raise TypeError(f"quality: expected an evaluate.Quality, got {self.quality!r}")
        if self.pairs is not None:
            object.__setattr__(self, "pairs", tuple(self.pairs))
            _check_pairs(self.pairs, self._positions)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def length(self) -> int:
        """Positions of a sequence."""
        return int(self.X.shape[2])

    @property
    def _positions(self) -> tuple[int, int]:
        return len(self.X), self.length


def _shaped(name: str, tensor: Any, shape: tuple[int, ...], why: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: its shape is {tuple(tensor.shape)}; it must be {shape}, {why}")


def _check_planted(planted: Any, shape: tuple[int, int]) -> None:
    if planted is None:
        return
    _shaped("planted", planted, shape, "one value for each position of each sequence of X")
    if planted.dtype != torch.bool:
        raise TypeError(
            f"planted: a mask of positions is bool, got {planted.dtype}; use planted > 0"
        )
    marked = planted.sum(1)
    for wrong, said in ((marked == 0, "no position"), (marked == shape[1], "every position")):
        if wrong.any():
            raise ValueError(
                f"planted: of sequence {int(wrong.nonzero()[0])} {said} is marked; where nothing is to be told "
                "apart no explanation is better than another. Leave such sequences out."
            )


def _check_exact(exact: Any, shape: tuple[int, int]) -> None:
    if exact is None:
        return
    _shaped("exact", exact, shape, "one value for each position of each sequence of X")
    if exact.dtype != torch.float64:
        raise TypeError(
            f"exact: it is what others are judged by, so float64, got {exact.dtype}; compute it in float64"
        )
    if not torch.isfinite(exact).all():
        raise ValueError("exact: it holds NaN or infinite numbers")


def _check_labels(labels: Any, count: int) -> None:
    if labels is None:
        return
    _shaped("labels", labels, (count,), "one for each sequence of X")
    if labels.is_complex():
        raise TypeError(f"labels: expected classes or real numbers, got {labels.dtype}")
    if labels.is_floating_point() and not torch.isfinite(labels).all():
        raise ValueError(
            "labels: they hold NaN or infinite numbers; leave out what was not measured"
        )
    if (labels == labels[0]).all():
        raise ValueError(
            f"labels: all are {labels[0].item()}, and no model can be told from chance by them. Give sequences "
            "of different labels."
        )


def _check_pairs(pairs: Sequence[Any], shape: tuple[int, int]) -> None:
    count, length = shape
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Pair):
            raise TypeError(f"pairs: number {i} is a {type(pair).__name__}; use evaluate.Pair")
        if not isinstance(pair.sequence, Integral) or not 0 <= pair.sequence < count:
            raise IndexError(f"pairs: number {i} is of sequence {pair.sequence}; X has {count}")
        for start, end in (pair.first, pair.second):
            if not 0 <= start < end <= length:
                raise ValueError(
                    f"pairs: number {i} has the site {start}:{end}; sites are half open and lie in 0:{length}"
                )
        if pair.first[0] < pair.second[1] and pair.second[0] < pair.first[1]:
            raise ValueError(
                f"pairs: number {i} has sites that overlap, {pair.first} and {pair.second}: an edit of one "
                "would be one of the other"
            )
    kinds = {bool(pair.interacts) for pair in pairs}
    if len(kinds) < 2:
        raise ValueError(
            "pairs: they must hold pairs that interact and pairs that do not, which are told apart"
        )
