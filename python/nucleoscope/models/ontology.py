"""An ontology: terms above terms above genes, checked, and read from the field's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from pathlib import Path


@dataclass(frozen=True)
class Ontology:
    """Terms in an order in which a child comes before its parents, what is under each, and the genes.

    The order is that of levels, and of names in a level: the same however a file has its lines.
    `children` and `annotated` name what lies directly under a term: other terms, and genes. `check` refuses what a
    network could not be built of.
    """

    terms: tuple[str, ...]
    children: Mapping[str, tuple[str, ...]]
    annotated: Mapping[str, tuple[str, ...]]
    genes: tuple[str, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """Terms under no other."""
        below = {child for term in self.terms for child in self.children[term]}
        return tuple(term for term in self.terms if term not in below)

    def levels(self) -> list[list[str]]:
        """The terms by how far they are above the lowest: each level reads only those before it."""
        return [
            list(level) for _, level in groupby(self.terms, _depths(self.terms, self.children).get)
        ]

    def under(self) -> dict[str, frozenset[str]]:
        """All genes of a term and of the terms below it."""
        made: dict[str, frozenset[str]] = {}
        for term in self.terms:
            made[term] = frozenset(self.annotated[term]).union(
                *(made[c] for c in self.children[term])
            )
        return made

    def above(self, term: str) -> set[str]:
        """The term and all terms over it."""
        made = {term}
        for each in self.terms:
            if made.intersection(self.children[each]):
                made.add(each)
        return made


def ontology(
    parents: Iterable[tuple[str, str]],  # (term, its child)
    annotations: Iterable[tuple[str, str]],  # (term, its gene)
    genes: Iterable[str] | None = None,
) -> Ontology:
    """An ontology of its edges; `genes` are all inputs in their order, by default those annotated, by name.

    Neither the order of the edges nor an edge given twice makes a difference. Raises ValueError for a cycle, a
    term with nothing under it, a gene that no term has or that is given twice, and several roots.
    """
    children: dict[str, dict[str, None]] = {}
    annotated: dict[str, dict[str, None]] = {}
    for term, child in parents:
        children.setdefault(term, {})[child] = None
        children.setdefault(child, {})
    for term, gene in annotations:
        annotated.setdefault(term, {})[gene] = None
        children.setdefault(term, {})
    try:
        order = tuple(TopologicalSorter(children).static_order())
    except CycleError as error:
        raise ValueError(f"the ontology has a cycle: {' > '.join(error.args[1])}") from error
    depths = _depths(order, children)
    terms = tuple(sorted(order, key=lambda term: (depths[term], term)))
    met = sorted({gene for held in annotated.values() for gene in held})
    wanted = tuple(genes) if genes is not None else tuple(met)
    _refuse("genes given twice", [gene for gene, times in Counter(wanted).items() if times > 1])
    _refuse("terms with neither a gene nor a term under them", [
        term for term in terms if not children[term] and not annotated.get(term)
    ])  # fmt: skip
    _refuse("genes that no term has", sorted(set(wanted) - set(met)))
    _refuse("annotated genes that are not among the inputs", sorted(set(met) - set(wanted)))
    made = Ontology(
        terms,
        {term: tuple(sorted(children[term])) for term in terms},
        {term: tuple(sorted(annotated.get(term, ()))) for term in terms},
        wanted,
    )
    if len(made.roots) != 1:
        raise ValueError(
            f"the ontology has {len(made.roots)} roots ({_few(made.roots)}) and needs one"
        )
    return made


def _depths(terms: Iterable[str], children: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """How many levels there are below each term, of terms whose children come before them."""
    made: dict[str, int] = {}
    for term in terms:
        made[term] = 1 + max((made[child] for child in children[term]), default=-1)
    return made


def read_dcell(path: str | Path, genes: Iterable[str] | None = None) -> Ontology:
    """DCell's and DrugCell's text: lines of parent, child and ``default``, or term, gene and ``gene``, by tabs."""
    parents: list[tuple[str, str]] = []
    annotations: list[tuple[str, str]] = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 3 or parts[2] not in ("default", "gene"):
            raise ValueError(
                f"{path}, line {number}: {line[:60]!r} is not 'parent child default' or 'term gene gene'"
            )
        (annotations if parts[2] == "gene" else parents).append((parts[0], parts[1]))
    return ontology(parents, annotations, genes)


def _refuse(what: str, names: list[str]) -> None:
    if names:
        raise ValueError(f"{len(names)} {what}: {_few(names)}")


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
