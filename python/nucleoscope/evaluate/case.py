"""One case of a benchmark: a model, its data, and what an explainer said; what every metric is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.evaluate.data import Data


@dataclass(frozen=True, eq=False)
class Explained:
    """What an explainer said of N sequences, in float64.

    positions: what each position counts, ``[N, L]``. letters: what each letter counts that might stand there,
    ``[N, 4, L]``; None where the explainer says nothing of letters that are not there. error_bar: what the
    map is off by, of its size, ``[N]``, where the explainer tells it. against: what it measures from
    ("uniform", "zeros", "dinucleotide"), where that is known.
    """

    positions: Tensor
    letters: Tensor | None = None
    error_bar: Tensor | None = None
    against: str | None = None

    @classmethod
    def read(cls, made: Any, X: Tensor, hypothetical: bool = False, **known: Any) -> Explained:
        """Scores ``[N, L]`` or ``[N, 4, L]`` as an explainer returned them.

        hypothetical: those of letters that are not there say what these would count in its place, and the
        position counts what its own letter does. Otherwise they are parts of what the position counts, as of
        methods for which an input is any four numbers, and are added up.

        Raises TypeError for what is no array of real numbers, ValueError for another shape, NaN or infinities.
        """
        if not isinstance(made, Tensor):
            try:
                made = torch.as_tensor(made)
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    f"the explainer returned a {type(made).__name__}; it must be a tensor or an array"
                ) from error
        if made.is_complex():
            raise TypeError(
                f"the explainer returned {made.dtype}; scores are real numbers: say which part of them is meant"
            )
        count, size, length = X.shape
        shape = tuple(made.shape)
        if shape not in ((count, length), (count, size, length)):
            raise ValueError(
                f"the explainer returned the shape {shape}; for X of shape {tuple(X.shape)} it must be "
                f"{(count, length)} or {(count, size, length)}"
            )
        scores = made.detach().cpu().double()
        if not np.isfinite(scores.numpy()).all():  # in one pass, where torch makes several
            where = (~torch.isfinite(scores)).flatten(1).any(1).nonzero()[:, 0].tolist()
            raise ValueError(
                f"the explainer returned NaN or infinite scores for {len(where)} of {count} sequences, the first "
                f"of them sequence {where[0]}"
            )
        if scores.ndim == 2:
            return cls(scores, None, **known)
        if hypothetical:
            return cls((scores * X.cpu().double()).sum(1), scores, **known)
        return cls(scores.sum(1), None, **known)


Explain = Callable[[Any, Tensor], Explained]
ULPS = 16  # units in the last place by which a batch's size may change an answer


@dataclass(frozen=True, eq=False)
class Case:
    """What a metric is given. explain: asks the same explainer about another model or other sequences."""

    model: nn.Module | Callable[..., Any]
    data: Data
    explained: Explained
    explain: Explain | None = None
    seed: int = 0
    batch_size: int = 256  # sequences of one call of the model; it decides no number
    remembered: dict[bytes, Tensor] | None = None  # answers by what was asked, of this model alone

    def __post_init__(self) -> None:
        shape, got = (len(self.data), self.data.length), tuple(self.explained.positions.shape)
        if got != shape:
            raise ValueError(f"explained: scores of shape {got} for data of shape {shape}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: 1 or more sequences a call")

    @property
    def scores(self) -> Tensor:
        """What each position counts, [N, L]."""
        return self.explained.positions

    @property
    def value(self) -> Tensor:
        """The model's answer for the sequences as they are, [N]."""
        return self.ask(self.data.X.clone())  # which a model that edits its input may spoil

    @property
    def rounding(self) -> float:
        """What two answers may differ by, of their size, where in another batch they would be the same."""
        return ULPS * torch.finfo(home(self.model, self.data.X)[1]).eps

    def ask(self, X: Tensor) -> Tensor:
        """The model's answers as the data's target reads them, [B, 4, L] -> [B] float64 on the CPU.

        Raises ValueError where the target is more than one number, an answer is not finite, or the model edits
        what it is given.
        """
        X = X.detach()
        if self.remembered is None:
            return answers(self.model, X, self.data.target, self.batch_size)
        asked = hashlib.blake2b(X.cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
        if asked not in self.remembered:
            self.remembered[asked] = answers(self.model, X, self.data.target, self.batch_size)
        return self.remembered[asked]

    def again(self, X: Tensor, model: Any = None) -> Explained:
        """What the explainer says of a copy of other sequences, or of another model.

        Raises ValueError where there is no explainer to ask.
        """
        if self.explain is None:
            raise ValueError(
                "explain: this metric asks the explainer again, and the case has none; pass Case(explain=...)"
            )
        return self.explain(self.model if model is None else model, X.detach().clone())

    def draws(self, more: int = 0) -> torch.Generator:
        """A source of random numbers that follows from the seed alone."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + more)


def answers(model: Any, X: Tensor, target: Any, batch_size: int = 256) -> Tensor:
    """A model's answers, [B] float64 on the CPU, asked where and in what the model computes."""
    device, dtype = home(model, X)
    where, parts = None, []
    with torch.inference_mode(False), torch.no_grad():  # tensors of that mode count no edits
        for begin in range(0, len(X), batch_size):
            given = X[begin : begin + batch_size].to(device, dtype)
            given = given.clone() if given.is_inference() else given
            version = given._version
            said = model(given)
            if given._version != version:
                raise ValueError(
                    "model: it edits its input in place, and what it is asked next would not be what was meant; "
                    "let its forward begin with a copy: x = x.clone()"
                )
            where = where or Read(target).leaves(said)
            parts.append(where.read(where.joined(said)))
    made = torch.cat(parts).to("cpu", torch.float64, copy=True)
    if made.shape[1] != 1:
        raise ValueError(
            f"target={target!r}: it names {made.shape[1]} numbers; metrics compare one"
        )
    if not np.isfinite(made.numpy()).all():
        raise ValueError("model: its answers hold NaN or infinite numbers")
    return made[:, 0]


def home(model: Any, X: Tensor) -> tuple[torch.device, torch.dtype]:
    """Where a model is and what numbers it takes."""
    held = model.parameters() if isinstance(model, nn.Module) else ()
    for parameter in held:
        if parameter.is_floating_point():
            return parameter.device, parameter.dtype
    return X.device, X.dtype if X.is_floating_point() else torch.float32
