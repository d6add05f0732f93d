"""An ontology from an OBO file: its terms, and what they are called elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nucleoscope.models.ontology import Ontology, ontology, pairs

STANZA = re.compile(r"\[(\w+)\]")
COMMENT = re.compile(r"(?<!\\)!.*")
MODIFIERS = re.compile(r"\s*(?<!\\)\{.*")  # a list in braces behind a value: {source="..."}


@dataclass
class _Term:
    """A stanza of the file: what it says, and on which line."""

    id: str = ""
    line: int = 0
    alternatives: list[str] = field(default_factory=list)
    above: list[tuple[str, int]] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    considered: list[str] = field(default_factory=list)
    obsolete: bool = False


def read_obo(
    path: str | Path, annotations: Iterable[tuple[str, str]], genes: Iterable[str] | None = None
) -> Ontology:
    """An OBO file's terms by ``is_a`` and ``part_of``, and what genes each has.

    `annotations` are pairs (term, gene); a term may be named by an ``alt_id``, and is then the one whose it is.
    Comments and modifiers in braces behind a value are no part of it. Parents are those that the file asserts:
    what a reasoner would infer from ``intersection_of`` is not among them. Obsolete terms are left out, and so are
    terms without genes at or below them: an ontology has many.

    Raises ValueError for an annotated term that is obsolete (and names what the file puts in its place) or not in
    the file, for one that lies under an obsolete or unknown term (and names the line), for an id that two terms
    have, a stanza without one, for no annotation, and for what `ontology` refuses.
    """
    path = Path(path)
    stanzas = _stanzas(path)
    terms = {term.id: term for term in stanzas if not term.obsolete}
    called = _called(path, stanzas)
    gone = {term.id: term for term in stanzas if term.obsolete}

    def known(name: str, where: str) -> str:
        if name in called:
            return called[name]
        if name in gone:
            raise ValueError(f"{where}: {name} is obsolete; {_instead(gone[name])}")
        raise ValueError(f"{where}: {path.name} has no term {name}")

    given = pairs(annotations, "annotations", "gene")
    if not given:
        raise ValueError(
            f"annotations: there are none, so that no term of {path} has a gene; give pairs (term, gene)"
        )
    held = [(known(term, f"annotations, gene {gene}"), gene) for term, gene in given]
    parents: list[tuple[str, str]] = []
    kept: set[str] = set()
    waiting = [term for term, _ in held]
    while waiting:
        term = waiting.pop()
        if term not in kept:
            kept.add(term)
            over = [known(name, f"{path}, line {line}") for name, line in terms[term].above]
            parents += [(each, term) for each in over]
            waiting += over
    return ontology(parents, held, genes, source=path)


def _instead(term: _Term) -> str:
    """What the file puts in an obsolete term's place."""
    if term.replaced:
        return f"the file replaces it by {', '.join(term.replaced)}"
    if term.considered:
        return f"the file says to consider {', '.join(term.considered)}"
    return "the file replaces it by nothing"


def _called(path: Path, stanzas: list[_Term]) -> dict[str, str]:
    """The term behind each id and each alternative one; an id goes before another term's alternative."""
    living = [term for term in stanzas if not term.obsolete]
    ids = {term.id: term.id for term in living}
    made: dict[str, str] = {}
    for term in living:
        for name in term.alternatives:
            if made.setdefault(name, term.id) != term.id:
                raise ValueError(f"{path}: {name} is an alt_id of {made[name]} and of {term.id}")
    return made | ids


def _stanzas(path: Path) -> list[_Term]:
    """The file's stanzas of terms, line by line."""
    made: list[_Term] = []
    within: _Term | None = None
    for number, line in _lines(path):
        found = STANZA.match(line)
        if found:
            within = _Term(line=number) if found[1] == "Term" else None
            made += [within] if within else []
        elif within:
            tag, _, rest = line.partition(":")
            _told(within, tag.strip(), MODIFIERS.sub("", COMMENT.sub("", rest)).strip(), number)
    first: dict[str, int] = {}
    for term in made:
        if not term.id:
            raise ValueError(f"{path}, line {term.line}: a term without an id")
        if first.setdefault(term.id, term.line) != term.line:
            raise ValueError(
                f"{path}, line {term.line}: {term.id} is there already, at line {first[term.id]}"
            )
    return made


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The file's lines with their numbers; one that ends with a backslash goes on in the next."""
    begun, first = "", 0
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        first = first if begun else number
        if line.endswith("\\"):
            begun += line[:-1]
            continue
        yield first, begun + line
        begun = ""
    if begun:
        yield first, begun


def _told(term: _Term, tag: str, value: str, line: int) -> None:
    """Take what a line says of a term."""
    if tag == "id":
        term.id = value
    elif tag == "alt_id":
        term.alternatives.append(value)
    elif tag == "is_a":
        term.above.append((value, line))
    elif tag == "relationship" and value.split()[:1] == ["part_of"]:
        term.above.append((value.removeprefix("part_of").strip(), line))
    elif tag == "replaced_by":
        term.replaced.append(value)
    elif tag == "consider":
        term.considered.append(value)
    elif tag == "is_obsolete":
        term.obsolete = value == "true"
