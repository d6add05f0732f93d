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
    *,
    source: str | Path | None = None,
) -> Ontology:
    """An ontology of its edges; `genes` are all inputs in their order, by default those annotated, by name.

    Neither the order of the edges nor an edge given twice makes a difference. `source` is the file that they were
    read from, and what is refused names it. Raises ValueError for entries that are no pairs of names, for no entry
    at all, a cycle, a term with nothing under it, a gene that no term has or that is given twice, and several
    roots.
    """
    file = f"{source}: " if source else ""
    children: dict[str, dict[str, None]] = {}
    annotated: dict[str, dict[str, None]] = {}
    for term, child in pairs(parents, f"{file}parents", "child"):
        children.setdefault(term, {})[child] = None
        children.setdefault(child, {})
    for term, gene in pairs(annotations, f"{file}annotations", "gene"):
        annotated.setdefault(term, {})[gene] = None
        children.setdefault(term, {})
    if not children:
        raise ValueError(
            f"{file}the ontology is empty: it has neither parents, (term, child), nor annotations, (term, gene)"
        )
    terms = _in_order(children, file)
    _refuse(
        f"{file}annotations: terms with neither a gene nor a term under them",
        [term for term in terms if not children[term] and not annotated.get(term)],
        "annotate a gene to each, or take it out of parents",
    )
    made = Ontology(
        terms,
        {term: tuple(sorted(children[term])) for term in terms},
        {term: tuple(sorted(annotated.get(term, ()))) for term in terms},
        _inputs(genes, {gene for held in annotated.values() for gene in held}, file),
    )
    if len(made.roots) != 1:
        raise ValueError(
            f"{file}parents: {len(made.roots)} terms are under no other ({_few(made.roots)}), where one root is "
            "needed: put them under one term, or keep what lies under one of them"
        )
    return made


def pairs(given: Iterable[tuple[str, str]], argument: str, second: str) -> list[tuple[str, str]]:
    """Pairs (term, `second`) of names; ValueError where they are given in another form."""
    form = f"pair (term, {second}) of two strings: give a list with one for each {second} of a term"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{argument}: a {type(given).__name__} is no {form}")
    made = []
    for number, entry in enumerate(given):
        if (
            not isinstance(entry, list | tuple)
            or len(entry) != 2
            or not all(isinstance(name, str) for name in entry)
        ):
            raise ValueError(f"{argument}: entry {number}, {entry!r}, is no {form}")
        made.append((entry[0], entry[1]))
    return made


def _in_order(children: Mapping[str, Mapping[str, None]], file: str) -> tuple[str, ...]:
    """The terms by level, and by name in a level."""
    try:
        order = tuple(TopologicalSorter(children).static_order())
    except CycleError as error:
        above = " > ".join(reversed(error.args[1]))
        raise ValueError(
            f"{file}parents: a cycle, {above}: a term would be part of itself; take out one "
            "of these edges"
        ) from error
    depths = _depths(order, children)
    return tuple(sorted(order, key=lambda term: (depths[term], term)))


def _inputs(genes: Iterable[str] | None, met: set[str], file: str) -> tuple[str, ...]:
    """The genes in the order of the inputs, once each of them is annotated and none else."""
    if genes is None:
        return tuple(sorted(met))
    if isinstance(genes, str):
        raise ValueError(f"genes: the string {genes[:20]!r}, where a list of names is needed")
    wanted = tuple(genes) if isinstance(genes, Iterable) else (genes,)
    other = next((name for name in wanted if not isinstance(name, str)), None)
    if other is not None:
        raise ValueError(f"genes: {other!r} is no name: give a list of strings, one for each input")
    _refuse(
        "genes: given twice", [gene for gene, times in Counter(wanted).items() if times > 1],
        "each gene is one input: give it once",
    )  # fmt: skip
    _refuse(
        f"{file}genes: names that no term has", [gene for gene in wanted if gene not in met],
        "annotate each to a term, or leave it out of genes",
    )  # fmt: skip
    _refuse(
        f"{file}annotations: genes that are not among the inputs", sorted(met.difference(wanted)),
        "add them to genes, or give no genes, which takes all",
    )  # fmt: skip
    return wanted


def _depths(terms: Iterable[str], children: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """How many levels there are below each term, of terms whose children come before them."""
    made: dict[str, int] = {}
    for term in terms:
        made[term] = 1 + max((made[child] for child in children[term]), default=-1)
    return made


def read_dcell(path: str | Path, genes: Iterable[str] | None = None) -> Ontology:
    """DCell's and DrugCell's text: lines of parent, child and ``default``, or term, gene and ``gene``, by tabs.

    Raises ValueError for a line of another form, a file without lines, and what `ontology` refuses: each names the
    file.
    """
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
    if not parents and not annotations:
        raise ValueError(
            f"{path}: it is empty; lines 'parent child default' and 'term gene gene' are needed"
        )
    return ontology(parents, annotations, genes, source=path)


def _refuse(what: str, names: list[str], remedy: str) -> None:
    if names:
        raise ValueError(f"{what}: {_few(names)} ({len(names)} in all); {remedy}")


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
