"""DCell (Ma et al. 2018) and DrugCell (Kuenzi et al. 2020): networks in the shape of an ontology."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.ontology import Ontology, ontology
from nucleoscope.models.subsystems import Subsystems
from nucleoscope.models.widths import of_width

# A small ontology of our own: three processes of four genes each, one gene in two of them, under one root.
SMALL = ontology(
    [("cell", "repair"), ("cell", "transport"), ("repair", "excision"), ("repair", "joining")],
    [("excision", "g1"), ("excision", "g2"), ("excision", "g3"), ("excision", "g4"),
     ("joining", "g4"), ("joining", "g5"), ("joining", "g6"), ("joining", "g7"), ("repair", "g8"),
     ("transport", "g9"), ("transport", "g10"), ("transport", "g11"), ("transport", "g12")],
)  # fmt: skip


class DCell(Subsystems):
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
        if units is not None and not callable(units):
            raise TypeError(
                f"units: {units!r} is no function of a term's number of genes; give lambda genes: {units!r}"
            )
        most = units or (
            (lambda genes: max(2, genes // 4)) if small else lambda genes: max(10, genes // 5)
        )
        super().__init__(SMALL if of is None else of, most)
        root = self.ontology.roots[0]
        self.root = nn.Linear(self.widths[root], 1)
        self.said = self.readout(self.ontology.terms[:-1])

    def outputs(self, x: Tensor) -> Tensor:
        """What each term but the root says of the answer, [N, terms - 1], in the ontology's order."""
        before, _ = self.rows(x)
        return torch.tanh(self.said.columns(before)).T

    def forward(self, x: Tensor) -> Tensor:  # [N, genes] -> [N, 1]
        made: Tensor = self.root(self.at_root(self.rows(x)[1]))
        return made


class DrugCell(nn.Module):
    """Response of a cell to a drug: terms of six units beside layers for the drug.

    Inputs: mutations (N, genes), 1 for a mutated gene, and a Morgan fingerprint (N, 2048). Output: (N, 1), the
    area under the dose-response curve. A gene of a term is first scaled and shifted by itself; the drug goes
    through 100, 50 and 6 units; the root's state and the drug's through 6 units, 1, and 1. `outputs` gives what
    each term and each layer of the drug says of the answer: training asks that of them too.

    Source: Kuenzi et al., Cancer Cell 38:672 (2020), after its code. With its ontology (2,086 terms, 3,167 edges
    between them, 59,753 to genes) the original stores 180,536,461 numbers, of which 859,190 are not masked; here
    only these are stored.
    """

    def __init__(
        self, of: Ontology | None = None, *, units: int = 6, bits: int = 2048, small: bool = False
    ) -> None:
        super().__init__()
        self.bits = wide = 16 if small else bits
        self.cell = Subsystems(SMALL if of is None else of, lambda _: units, scaled=True)
        layers: list[nn.Module] = []
        heads: list[nn.Module] = []
        for width in (100, 50, units) if not small else (8, units):
            layers += [nn.Linear(wide, width), nn.Tanh(), nn.BatchNorm1d(width)]
            heads.append(nn.Sequential(nn.Linear(width, 1), nn.Tanh(), nn.Linear(1, 1)))
            wide = width
        self.drug, self.drug_said = nn.Sequential(*layers), nn.ModuleList(heads)
        terms = self.cell.ontology.terms
        self.said = self.cell.readout(terms)
        self.scaled = EdgeLinear([(i, i) for i in range(len(terms))], len(terms), len(terms))
        self.join = nn.Sequential(nn.Linear(2 * units, units), nn.Tanh(), nn.BatchNorm1d(units))
        self.last = nn.Sequential(nn.Linear(units, 1), nn.Tanh(), nn.Linear(1, 1))

    def outputs(self, x: Tensor, fingerprint: Tensor) -> Tensor:
        """What each term says of the answer, the root too, in the ontology's order, then each layer of the drug.

        [N, terms + 3]. Of a state behind BatchNorm: Linear to 1, tanh, Linear from 1 to 1.
        """
        of_width("fingerprint", fingerprint, self.bits, "a column a bit")
        _, after = self.cell.rows(x)
        made = [self.scaled.columns(torch.tanh(self.said.columns(after))).T]
        for i, head in enumerate(self.drug_said):
            fingerprint = self.drug[3 * i : 3 * i + 3](fingerprint)
            made.append(head(fingerprint))
        return torch.cat(made, 1)

    def forward(self, x: Tensor, fingerprint: Tensor) -> Tensor:
        of_width("fingerprint", fingerprint, self.bits, "a column a bit")
        state = self.cell.at_root(self.cell.rows(x)[1])
        made: Tensor = self.last(self.join(torch.cat([state, self.drug(fingerprint)], 1)))
        return made
