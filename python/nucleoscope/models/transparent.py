"""Reading a network in the shape of an ontology: what its terms know of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.subsystems import Subsystems
from nucleoscope.models.term_networks import TermNetwork, finite, net_of_terms

FOLDS = 5
Part = tuple[str, Tensor, Tensor]  # a term, its state and what it reads, [N, units] each


class Rlipp(NamedTuple):
    """How well a term's state, and what it reads, predict the answer: rank correlations on held-out examples."""

    term: float
    children: float

    @property
    def gain(self) -> float:
        """Relative improvement in local predictive power: term / children, above 1 where the term adds
        something.

        A correlation below 0 on held-out examples predicts nothing and counts as 0. The gain is 0 where the term
        predicts nothing, infinite where it does and its children do not.
        """
        if self.term <= 0:
            return 0.0
        return self.term / self.children if self.children > 0 else inf


def rlipp(
    model: TermNetwork,
    x: Tensor,  # [N, inputs]
    *others: Tensor,
    y: Tensor | None = None,  # [N]
    penalty: float = 1.0,
) -> dict[str, Rlipp]:
    """Each term's RLIPP for the model's own answer, or for a measured one.

    A ridge regression on the term's units, and one on its children's units and its own genes; the power is
    Spearman's correlation between predictions and answer, five-fold held out. In-sample correlations, as
    published, grow with the number of units alone. A GenNet's nodes are asked one by one and are named
    ``"layer 0, node 3"``, the lowest layer first; what a node reads are the nodes or variants with an edge to it.

    Parameters
    ----------
    x, others
        What the model takes: of a DrugCell the fingerprints, of a GenNet its covariates.
    y
        A measured answer; by default the model's.
    penalty
        Of the squared weights beside the squared errors, above 0; features are centred and not scaled.

    Source: Ma et al. 2018; Kuenzi et al. 2020. GenNet's own code compares adjusted R2 of regressions in sample.

    Raises TypeError for another model; ValueError for training mode, shapes that do not fit, numbers that are not
    finite, fewer than ten examples, a penalty of 0 or less, and an answer that is the same for all.

    Equivalent to, for each term::

        Rlipp(power(states[term], y, penalty), power(cat([*states[children], x[:, genes]], 1), y, penalty))
    """
    if others and others[0].ndim == 1:
        raise ValueError(
            f"others: shape {tuple(others[0].shape)}, one number an example; "
            "a measured answer is given by name, y="
        )
    net = net_of_terms(model, x, others)
    if len(x) < 2 * FOLDS:
        raise ValueError(
            f"x: {len(x)} examples; {2 * FOLDS} are the least that five folds can be made of"
        )
    if not (isfinite(penalty) and penalty > 0):
        raise ValueError(
            f"penalty={penalty!r}: a number above 0; without one, units that move together have no one solution"
        )
    with torch.no_grad():
        answer = model(x, *others)[:, 0] if y is None else y
        _rankable(answer, len(x))
        parts = _of_nodes(net, x) if isinstance(net, GenNet) else _of_terms(net, x)
        return {
            name: Rlipp(power(state, answer, penalty), power(read, answer, penalty))
            for name, state, read in parts
        }


def _of_terms(net: Subsystems, x: Tensor) -> Iterator[Part]:
    states = net.states(x)
    for term in net.ontology.terms:
        own = [net.column[g] for g in net.ontology.annotated[term]]
        below = [states[child] for child in net.ontology.children[term]]
        yield term, states[term], torch.cat([*below, x[:, own]], 1)


def _of_nodes(net: GenNet, x: Tensor) -> Iterator[Part]:
    below = x
    for i, (layer, states) in enumerate(zip(net.layers, net.states(x), strict=True)):
        for node, read in enumerate(layer.read()):  # type: ignore[operator]
            yield f"layer {i}, node {node}", states[:, node : node + 1], below[:, read]
        below = states


def _rankable(answer: Tensor, examples: int) -> None:
    if answer.shape != (examples,):
        raise ValueError(
            f"y: shape {tuple(answer.shape)}, where one number an example is needed: ({examples},)"
        )
    finite("y", answer)
    if answer.max() == answer.min():
        raise ValueError("y: the answer is the same for all examples, so nothing can predict it")


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
