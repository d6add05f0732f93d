"""DCell (Ma et al. 2018) and DrugCell (Kuenzi et al. 2020): networks in the shape of an ontology."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.ontology import Ontology, ontology

# A small ontology of our own: three processes of four genes each, one gene in two of them, under one root.
SMALL = ontology(
    [("cell", "repair"), ("cell", "transport"), ("repair", "excision"), ("repair", "joining")],
    [("excision", "g1"), ("excision", "g2"), ("excision", "g3"), ("excision", "g4"),
     ("joining", "g4"), ("joining", "g5"), ("joining", "g6"), ("joining", "g7"), ("repair", "g8"),
     ("transport", "g9"), ("transport", "g10"), ("transport", "g11"), ("transport", "g12")],
)  # fmt: skip


class DCell(nn.Module):
    """Growth of a yeast cell from which genes are deleted, by the states of its subsystems.

    Input: (N, genes), 1 for a deleted gene. Output: (N, 1), growth or interaction score; `states` gives each
    term's, `outputs` what each term says of the answer.

    A term has ``max(10, 0.2 genes)`` units (of the genes at and below it): its own genes go through a linear
    layer, beside its children's states through another, then tanh, then BatchNorm: the state. The root's state
    goes through a last linear layer. Only edges of the ontology are stored and multiplied.

    Source: Ma et al., Nature Methods 15:290 (2018), after its code; the original stores each gene layer dense,
    with a mask. tanh comes *before* BatchNorm. `ontology` defaults to a small one of our own.
    """

    def __init__(
        self,
        of: Ontology | None = None,
        *,
        units: Callable[[int], int] | None = None,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.ontology = of or SMALL
        most = units or (
            (lambda genes: max(2, genes // 4)) if small else lambda genes: max(10, genes // 5)
        )
        self.widths = {term: most(len(genes)) for term, genes in self.ontology.under().items()}
        self.length = len(self.ontology.genes)
        place = {gene: (i, i + 1) for i, gene in enumerate(self.ontology.genes)}
        size = self.length  # of the row that holds genes and all states so far
        own, mixed, joined, norms = [], [], [], []
        for terms in self.ontology.levels():
            inside = self._inside(terms)
            height = sum(self.widths[term] for term in terms)
            wide = sum(len(rows) for rows in inside.values())
            from_genes, from_states, across = [], [], []
            unit = 0
            for term in terms:
                rows = inside[term]
                from_genes += self._own_edges(term, rows, place)
                ours = range(unit, unit + self.widths[term])
                read = [i for child in self.ontology.children[term] for i in range(*place[child])]
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
        self.place = place
        last = place[self.ontology.roots[0]]
        self.root = nn.Linear(last[1] - last[0], 1)
        below = self.ontology.terms[:-1]
        edges = [(i, row) for row, term in enumerate(below) for i in range(*place[term])]
        self.said = EdgeLinear(edges, size, len(below))

    def _inside(self, terms: list[str]) -> dict[str, range]:
        """Which rows of a level's gene layer are each term's: as many as it has units, if it has genes."""
        return _laid({t: self.widths[t] * bool(self.ontology.annotated[t]) for t in terms})

    def _own_edges(
        self, term: str, rows: range, place: Mapping[str, tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """From a term's genes to its rows: each to all."""
        genes = self.ontology.annotated[term]
        return [(place[gene][0], row) for row in rows for gene in genes]

    def rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Genes and all states [size, N], before and behind BatchNorm."""
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

    def outputs(self, x: Tensor) -> Tensor:
        """What each term but the root says of the answer, [N, terms - 1], in the ontology's order."""
        before, _ = self.rows(x)
        return torch.tanh(self.said.columns(before)).T

    def answer(self, after: Tensor) -> Tensor:
        """[size, N], behind BatchNorm -> [N, 1]."""
        made: Tensor = self.root(after[slice(*self.place[self.ontology.roots[0]])].T)
        return made

    def forward(self, x: Tensor) -> Tensor:  # [N, genes] -> [N, 1]
        return self.answer(self.rows(x)[1])


class DrugCell(nn.Module):
    """Response of a cell to a drug: a DCell of six units a term beside layers for the drug.

    Inputs: mutations (N, genes), 1 for a mutated gene, and a Morgan fingerprint (N, 2048). Output: (N, 1), the
    area under the dose-response curve. A gene of a term is first scaled and shifted by itself; the drug goes
    through 100, 50 and 6 units; the root's state and the drug's through 6 units, 1, and 1.

    Source: Kuenzi et al., Cancer Cell 38:672 (2020). With its ontology of 2,086 terms the original stores
    180,536,461 numbers, of which 859,190 are not masked; here only these are stored.
    """

    def __init__(
        self, of: Ontology | None = None, *, units: int = 6, bits: int = 2048, small: bool = False
    ) -> None:
        super().__init__()
        bits = 16 if small else bits
        self.cell = _Scaled(of, units=lambda _: units)
        layers: list[nn.Module] = []
        wide = bits
        for width in (100, 50, units) if not small else (8, units):
            layers += [nn.Linear(wide, width), nn.Tanh(), nn.BatchNorm1d(width)]
            wide = width
        self.drug = nn.Sequential(*layers)
        self.join = nn.Sequential(nn.Linear(2 * units, units), nn.Tanh(), nn.BatchNorm1d(units))
        self.last = nn.Sequential(nn.Linear(units, 1), nn.Tanh(), nn.Linear(1, 1))

    def forward(self, x: Tensor, fingerprint: Tensor) -> Tensor:
        _, after = self.cell.rows(x)
        state = after[slice(*self.cell.place[self.cell.ontology.roots[0]])].T
        made: Tensor = self.last(self.join(torch.cat([state, self.drug(fingerprint)], 1)))
        return made


class _Scaled(DCell):
    """A DCell whose terms scale and shift each of their own genes, and mix afterwards."""

    def _inside(self, terms: list[str]) -> dict[str, range]:
        return _laid({term: len(self.ontology.annotated[term]) for term in terms})

    def _own_edges(
        self, term: str, rows: range, place: Mapping[str, tuple[int, int]]
    ) -> list[tuple[int, int]]:
        genes = self.ontology.annotated[term]
        return [(place[gene][0], row) for row, gene in zip(rows, genes, strict=True)]


def _laid(sizes: Mapping[str, int]) -> dict[str, range]:
    """One behind the other."""
    made, start = {}, 0
    for name, size in sizes.items():
        made[name] = range(start, start + size)
        start += size
    return made
