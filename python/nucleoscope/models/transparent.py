"""Reading a network in the shape of an ontology: what its terms know of the answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.models.dcell import DCell

FOLDS = 5


class Rlipp(NamedTuple):
    """How well a term's state, and what it reads, predict the answer: rank correlations on held-out examples."""

    term: float
    children: float

    @property
    def gain(self) -> float:
        """Relative improvement in local predictive power: term / children, above 1 where the term adds
        something."""
        return self.term / self.children if self.children else float("inf")


def rlipp(
    model: DCell,
    x: Tensor,  # [N, genes]
    y: Tensor | None = None,  # [N]
    *,
    penalty: float = 1.0,
) -> dict[str, Rlipp]:
    """Each term's RLIPP for the model's own answer, or for a measured one.

    A ridge regression on the term's units, and one on its children's units and its own genes; the power is
    Spearman's correlation between predictions and answer, five-fold held out. In-sample correlations, as
    published, grow with the number of units alone. Source: Ma et al. 2018; Kuenzi et al. 2020.

    Raises ValueError for fewer than ten examples, and for an answer that is the same for all.
    """
    if len(x) < 2 * FOLDS:
        raise ValueError(
            f"x: {len(x)} examples; {2 * FOLDS} are the least that five folds can be made of"
        )
    with torch.no_grad():
        states = model.states(x)
        answer = model(x)[:, 0] if y is None else y
    if answer.shape != (len(x),):
        raise ValueError(
            f"y: shape {tuple(answer.shape)}, where one number an example is needed: ({len(x)},)"
        )
    if answer.max() == answer.min():
        raise ValueError("y: the answer is the same for all examples, so nothing can predict it")
    gene = {name: i for i, name in enumerate(model.ontology.genes)}
    made = {}
    for term in model.ontology.terms:
        own = [gene[g] for g in model.ontology.annotated[term]]
        below = [states[child] for child in model.ontology.children[term]]
        read = torch.cat([*below, x[:, own]], 1)
        made[term] = Rlipp(power(states[term], answer, penalty), power(read, answer, penalty))
    return made


def power(of: Tensor, y: Tensor, penalty: float) -> float:
    """Spearman's correlation of y with its held-out ridge predictions from [N, features]."""
    of, y = of.double(), y.double()
    fold = torch.arange(len(y)) % FOLDS
    guess = torch.empty_like(y)
    for k in range(FOLDS):
        kept, out = fold != k, fold == k
        middle, center = of[kept].mean(0), y[kept].mean()
        a = of[kept] - middle
        square = a.T @ a + penalty * torch.eye(a.shape[1], dtype=a.dtype)
        guess[out] = (of[out] - middle) @ torch.linalg.solve(
            square, a.T @ (y[kept] - center)
        ) + center
    ranks = torch.stack([_ranks(guess), _ranks(y)])
    if (ranks.amax(1) == ranks.amin(1)).any():
        return 0.0
    return float(torch.corrcoef(ranks)[0, 1])


def _ranks(x: Tensor) -> Tensor:
    """Ranks, ties their mean."""
    _, inverse, count = x.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks: Tensor = (last - (count - 1) / 2)[inverse]
    return ranks
