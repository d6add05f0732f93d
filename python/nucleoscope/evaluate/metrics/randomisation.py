"""Does an explanation depend on what the model has learnt?"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nucleoscope.evaluate.case import Case
from nucleoscope.evaluate.metrics.metric import at_least
from nucleoscope.evaluate.statistics import entropy, ranks


def randomised(model: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """The model with the weights of its last layer redrawn, of its last two, ... of all; the layer's name with it.

    Weights are drawn from a normal distribution of the mean and spread that those of each tensor have. The model
    itself stays as it is; what is yielded is one copy that changes.
    """
    made, draws = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    layers = [(n, m) for n, m in made.named_modules() if list(m.parameters(recurse=False))]
    for name, layer in reversed(layers):
        for parameter in layer.parameters(recurse=False):
            values = parameter.detach().cpu().double()
            drawn = torch.randn(values.shape, generator=draws, dtype=torch.float64)
            spread = values.std(correction=0) if values.numel() > 1 else values.abs().mean()
            parameter.data.copy_(values.mean() + spread * drawn)
        yield name, made


def _module(case: Case) -> nn.Module:
    if not isinstance(case.model, nn.Module) or not list(case.model.parameters()):
        raise ValueError("model: a module with weights is needed, which are to be redrawn")
    return case.model


def _centred_ranks(scores: Tensor) -> tuple[Tensor, Tensor]:  # [N, L] -> [N, L], [N]
    """Ranks of sizes less their mean, and the norm of each row: 0 where all sizes are the same."""
    made = ranks(scores.abs()) - (scores.shape[1] + 1) / 2
    return made, made.norm(dim=1)


@dataclass(frozen=True)
class MPRT:
    """Spearman's correlation of |φ| with the map of the model whose weights were redrawn, top layer first.

    The mean over layers, from the last alone to all of them. Low is good: a map that stays does not depend on
    what was learnt. A map of one size everywhere, as one that says nothing, has 1, the worst: it knew nothing
    to lose. Where the redrawn model's is so it has 0: nothing of the map is left.

    Source: the cascading test of Adebayo et al. 2018 (NeurIPS, arXiv 1810.03292).
    """

    name: ClassVar[str] = "MPRT"
    category: ClassVar[str] = "randomisation"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, case: Case) -> Tensor:
        """[N], from -1 to 1."""
        return self.by_layer(case).mean(0)

    def by_layer(self, case: Case) -> Tensor:
        """The correlation at each layer, the last one first, [layers, N]; the unchanged model has no row."""
        (known, size), made = _centred_ranks(case.scores), []
        for _, model in randomised(_module(case), case.seed):
            left, other = _centred_ranks(case.again(case.data.X, model).positions)
            alike = ((known * left).sum(1) / (size * other)).clamp(-1, 1)
            found = torch.where(other > 0, alike, 0.0)
            made.append(torch.where(size > 0, found, 1.0))
        return torch.stack(made)


@dataclass(frozen=True)
class EfficientMPRT:
    """How much more entropy a map's histogram has when all weights are redrawn, relative to what it had.

    (H(φ of the random model) - H(φ)) / H(φ), each over `bins` bins of the map's own range. High is good: noise
    explains nothing. 0 where H(φ) is 0, as where the model makes no difference: a map of one score everywhere
    cannot show that it has learnt anything. A map with few other scores has a small H(φ), and so a large value.

    Source: Hedström et al. 2024 (arXiv 2405.02383).
    """

    bins: int = 100
    name: ClassVar[str] = "efficient MPRT"
    category: ClassVar[str] = "randomisation"
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least("bins", self.bins, 2)

    def __call__(self, case: Case) -> Tensor:
        """[N]."""
        *_, (_, model) = randomised(_module(case), case.seed)  # all layers are redrawn
        before = self._entropy(case.scores)
        after = self._entropy(case.again(case.data.X, model).positions)
        return torch.where(before > 0, (after - before) / before, 0.0)

    def _entropy(self, scores: Tensor) -> Tensor:
        low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
        wide = torch.where(high > low, high - low, 1.0)
        bin_of = ((scores - low) / wide * self.bins).long().clamp(max=self.bins - 1)
        counts = torch.zeros(len(scores), self.bins, dtype=torch.float64)
        return entropy(counts.scatter_add_(1, bin_of, torch.ones_like(scores)))
