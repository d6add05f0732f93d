"""GenNet (van Hilten et al. 2021): phenotypes from variants, by a network in the shape of genes and pathways."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.layers import KERAS_EPS
from nucleoscope.models.topology import checked
from nucleoscope.models.widths import of_width
from nucleoscope.models.wired import Wired

# Twelve variants in four genes in two pathways: (node below, node above) for each pair of layers.
SMALL = (
    tuple((snp, snp // 3) for snp in range(12)),
    tuple((gene, gene // 2) for gene in range(4)),
)


class GenNet(Wired):
    """Probability of a phenotype (or its size) from allele counts.

    Input: (N, variants), counts 0, 1, 2; with ``covariates`` also (N, covariates). Output: (N, 1).

    A layer of the topology has one weight an edge; behind it tanh (ReLU for ``regression=True``) and BatchNorm
    without scale or shift; the last layer goes into one unit, then into a sigmoid (ReLU). Covariates are put
    beside that unit's activation and mixed by one unit more.

    Source: van Hilten et al., Communications Biology 4:1094 (2021). Its BatchNorm has **one** mean and variance
    for all nodes of a layer; ``per_node=True`` gives the older networks, with one a node. Published explanations
    multiply weights along paths and leave BatchNorm out, or take it out of the network without folding it in;
    `path_weights` folds it in. `topology` is what `read_gennet` reads, a small one by default: for each pair of
    neighbouring layers, edges (node below, node above), numbered from 0. Raises ValueError for a node that no edge
    enters or leaves, and for a layer without edges.
    """

    def __init__(
        self, topology: Sequence[Sequence[tuple[int, int]]] | None = None, *, covariates: int = 0,
        regression: bool = False, per_node: bool = False, small: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        del small  # the small topology is the default
        layers: list[nn.Module] = []
        norms: list[nn.Module] = []
        for edges in checked(SMALL if topology is None else topology):
            inputs, outputs = (1 + max(ends) for ends in zip(*edges, strict=True))
            layers.append(EdgeLinear(edges, inputs, outputs))
            norms.append(nn.BatchNorm1d(outputs if per_node else 1, eps=KERAS_EPS, affine=False))
        self.wire(b" ".join(layer.wiring() for layer in layers))  # type: ignore[operator]
        self.layers, self.norms = nn.ModuleList(layers), nn.ModuleList(norms)
        self.bend = torch.relu if regression else torch.tanh
        self.end = torch.relu if regression else torch.sigmoid
        self.length: int = layers[0].inputs  # type: ignore[assignment]
        self.per_node, self.covariates = per_node, covariates
        self.last = nn.Linear(outputs, 1)
        if covariates:
            self.beside = nn.Sequential(
                nn.BatchNorm1d(1 + covariates, eps=KERAS_EPS), nn.Linear(1 + covariates, 1)
            )

    def states(self, x: Tensor) -> list[Tensor]:
        """Each layer's nodes behind BatchNorm, [N, nodes], lowest first."""
        of_width("x", x, self.length, "a column a variant of the topology")
        made = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            bent = self.bend(layer(x))
            x = norm(bent) if self.per_node else norm(bent[:, None]).squeeze(1)
            made.append(x)
        return made

    def forward(self, x: Tensor, covariates: Tensor | None = None) -> Tensor:
        made: Tensor = self.end(self.last(self.states(x)[-1]))
        if covariates is not None and not self.covariates:
            raise ValueError("covariates: the model was made with none; give covariates= to GenNet")
        if self.covariates:
            if covariates is None:
                raise ValueError(
                    f"covariates: the model was made with {self.covariates}; give [N, {self.covariates}]"
                )
            of_width("covariates", covariates, self.covariates, "a column a covariate")
            made = self.end(self.beside(torch.cat([made, covariates], 1)))
        return made

    @torch.no_grad()
    def path_weights(self) -> list[Tensor]:
        """What a unit of each node adds to the last unit's input, by weights and BatchNorm's scales alone.

        For the variants and then for every layer, [nodes]: sums over all paths upward of products of edges'
        weights and of 1 / sqrt(variance + eps). Exact where every activation is the identity: for tanh at 0.

        Equivalent to::

            v = last.weight; v = W.T @ (v / sqrt(var + eps)), layer by layer downward
        """
        v = self.last.weight[0]
        made = [v]
        for layer, norm in zip(reversed(self.layers), reversed(self.norms), strict=True):
            v = layer.back(v * torch.rsqrt(norm.running_var + norm.eps))  # type: ignore[operator]
            made.append(v)
        return made[::-1]
