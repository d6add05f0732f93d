"""The states of an ontology's terms, from its genes up: the body of DCell and of DrugCell."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor, nn

from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.ontology import Ontology
from nucleoscope.models.widths import of_width
from nucleoscope.models.wired import Wired


class Subsystems(Wired):
    """A state for each term, of its own genes and of its children's states.

    Input: (N, genes). `states` gives each term's, (N, units of the term).

    A term's genes go through a linear layer, beside its children's states through another, then tanh, then
    BatchNorm: the state. `units` says how many a term has, by the genes at and below it. The layer of genes has as
    many rows as the term has units; ``scaled=True``: a row a gene, which scales and shifts it. Only edges of the
    ontology are stored and multiplied. `column` says which input a gene is, `place` at which rows a term's units
    are. Weights of another ontology are refused when they are loaded, were their shapes the same (`Wired`).
    """

    def __init__(self, of: Ontology, units: Callable[[int], int], *, scaled: bool = False) -> None:
        super().__init__()
        if not isinstance(of, Ontology):
            raise TypeError(
                f"of: a {type(of).__name__}, and no Ontology: read a file with read_obo or read_dcell, "
                "or make one of pairs with ontology"
            )
        self.ontology, self.scaled = of, scaled
        self.widths = {term: _width(units, term, len(genes)) for term, genes in of.under().items()}
        self.length = len(of.genes)
        self.column = {gene: i for i, gene in enumerate(of.genes)}
        place: dict[str, tuple[int, int]] = {}
        size = self.length  # of the row that holds genes and all states so far
        own, mixed, joined, norms = [], [], [], []
        for terms in of.levels():
            inside = self._inside(terms)
            height = sum(self.widths[term] for term in terms)
            wide = sum(len(rows) for rows in inside.values())
            from_genes, from_states, across = [], [], []
            unit = 0
            for term in terms:
                rows = inside[term]
                from_genes += self._own_edges(term, rows)
                ours = range(unit, unit + self.widths[term])
                read = [i for child in of.children[term] for i in range(*place[child])]
                from_states += [(i, u) for u in ours for i in read]
                across += [(i, u) for u in ours for i in rows]
                place[term] = (size + unit, size + unit + self.widths[term])
                unit += self.widths[term]
            own.append(EdgeLinear(from_genes, self.length, wide))
            mixed.append(EdgeLinear(from_states, size, height))
            joined.append(EdgeLinear(across, wide, height, bias=False))
            norms.append(nn.BatchNorm1d(height))
            size += height
        self.own, self.mixed = nn.ModuleList(own), nn.ModuleList(mixed)
        self.joined, self.norms = nn.ModuleList(joined), nn.ModuleList(norms)
        self.place, self.size = place, size
        below = [(term, of.children[term], of.annotated[term]) for term in of.terms]
        self.wire(repr((below, of.genes)).encode())

    def _inside(self, terms: list[str]) -> dict[str, range]:
        """Which rows of a level's layer of genes are each term's, one behind the other."""
        made, start = {}, 0
        for term in terms:
            genes = len(self.ontology.annotated[term])
            size = genes if self.scaled else self.widths[term] * bool(genes)
            made[term] = range(start, start + size)
            start += size
        return made

    def _own_edges(self, term: str, rows: range) -> list[tuple[int, int]]:
        """From a term's genes to its rows: each to its own, or each to all."""
        genes = [self.column[gene] for gene in self.ontology.annotated[term]]
        if self.scaled:
            return list(zip(genes, rows, strict=True))
        return [(gene, row) for row in rows for gene in genes]

    def rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Genes and all states [size, N], before and behind BatchNorm."""
        of_width("x", x, self.length, "a column a gene of the ontology")
        genes = x.T.contiguous()
        before = after = genes
        parts = zip(self.own, self.mixed, self.joined, self.norms, strict=True)
        for own, mixed, joined, norm in parts:
            bent = torch.tanh(mixed.columns(after) + joined.columns(own.columns(genes)))  # type: ignore[operator]
            before, after = torch.cat([before, bent]), torch.cat([after, norm(bent.T).T])
        return before, after

    def states(self, x: Tensor) -> dict[str, Tensor]:
        """Each term's state, [N, units]."""
        _, after = self.rows(x)
        return {term: after[slice(*self.place[term])].T for term in self.ontology.terms}

    def at_root(self, after: Tensor) -> Tensor:  # [size, N] -> [N, units]
        """The root's state among all behind BatchNorm."""
        return after[slice(*self.place[self.ontology.roots[0]])].T

    def readout(self, terms: tuple[str, ...]) -> EdgeLinear:
        """A layer from the rows of all states to one number for each of these terms."""
        edges = [(i, at) for at, term in enumerate(terms) for i in range(*self.place[term])]
        return EdgeLinear(edges, self.size, len(terms))


def _width(units: Callable[[int], int], term: str, genes: int) -> int:
    """How many units a term has, 1 or more."""
    width = units(genes)
    if not isinstance(width, Integral) or width < 1:
        raise ValueError(
            f"units: {width!r} for term {term} of {genes} genes, where a whole number of 1 or more is needed"
        )
    return int(width)
