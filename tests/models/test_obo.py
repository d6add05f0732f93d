"""OBO files as ontologies are published in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nucleoscope.models.obo import read_obo

FULL = """\
format-version: 1.4
ontology: t

! a comment of a whole line
[Term]
id: T:1 ! the root
name: root

[Term] ! a term
id: T:2
alt_id: T:9 {source="an old one"}
def: "Not: a tag {of ours} ! nor this." [X:1]
is_a: T:1 {is_inferred="true"} ! root

[Term]
id: T:3
relationship: part_of T:2 {source="X:1 ! one"} ! two
relationship: regulates T:7 ! is no part of it
is_a: T:10 ! an alt_id of the root's other child

[Term]
id: T:4
alt_id: T:10
is_a:T:1

[Term]
id: T:5
is_obsolete: true ! gone
replaced_by: T:2 ! two

[Term]
id: T:6
is_obsolete: true

[Term]
id: T:8
is_a: T:5 ! which is obsolete

[Term]
id: T:11
is_a: T:12 ! which is in another file

[Term]
id: T:13
is_obsolete: true
consider: T:2
consider: T:4 ! four

[Typedef]
id: part_of
is_a: T:8
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "o.obo").write_text(FULL, encoding="utf-8-sig")
    return tmp_path / "o.obo"


def test_obo(tmp_path: Path) -> None:
    (tmp_path / "o.obo").write_text(
        "format-version: 1.2\n\n[Term]\nid: T:1\nname: root\n\n[Term]\nid: T:2\nis_a: T:1 ! root\n\n"
        "[Term]\nid: T:3\nrelationship: part_of T:2 ! two\nis_a: T:1 ! root\n\n[Term]\nid: T:4\nis_a: T:1\n\n"
        "[Term]\nid: T:5\nis_a: T:2\nis_obsolete: true\n\n[Typedef]\nid: part_of\n"
    )
    made = read_obo(tmp_path / "o.obo", [("T:3", "g"), ("T:2", "h")])
    assert made.terms == ("T:3", "T:2", "T:1")
    assert set(made.children["T:1"]) == {"T:2", "T:3"}
    with pytest.raises(ValueError, match=r"annotations: there are none, .*o\.obo has a gene"):
        read_obo(tmp_path / "o.obo", [])
    with pytest.raises(ValueError, match="annotations: entry 0, 'T:3', is no pair"):
        read_obo(tmp_path / "o.obo", {"T:3": ["g"]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"o\.obo: genes: names that no term has: x"):
        read_obo(tmp_path / "o.obo", [("T:3", "g")], ["g", "x"])


def test_what_stands_behind_a_value_is_no_part_of_it(path: Path) -> None:
    made = read_obo(path, [("T:3", "g"), ("T:9", "h"), ("T:2", "h")])
    assert made.terms == ("T:3", "T:2", "T:4", "T:1")
    assert made.children == {"T:3": (), "T:2": ("T:3",), "T:4": ("T:3",), "T:1": ("T:2", "T:4")}
    assert made.annotated["T:2"] == ("h",)


def test_a_line_goes_on_behind_a_backslash(tmp_path: Path) -> None:
    (tmp_path / "o.obo").write_text(
        "[Term]\nid: T:1\n\n[Term]\nid: T:2\ndef: a text \\\nof two lines\nis_a: \\\nT:1\n\n"
        "[Term]\nid: T:3\nis_a: T:4\\"
    )
    assert read_obo(tmp_path / "o.obo", [("T:2", "g")]).children == {"T:2": (), "T:1": ("T:2",)}
    with pytest.raises(ValueError, match=r"line 13: o\.obo has no term T:4"):
        read_obo(tmp_path / "o.obo", [("T:2", "g"), ("T:3", "h")])


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("T:5", "annotations, gene g: T:5 is obsolete; the file replaces it by T:2"),
        ("T:6", "T:6 is obsolete; the file replaces it by nothing"),
        ("T:13", "T:13 is obsolete; the file says to consider T:2, T:4"),
        ("T:99", "annotations, gene g: o.obo has no term T:99"),
        ("T:8", "o.obo, line 37: T:5 is obsolete"),
        ("T:11", "line 41: o.obo has no term T:12"),
    ],
)
def test_terms_that_are_not_there_are_named(path: Path, term: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_obo(path, [("T:3", "h"), (term, "g")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Term]\nid: T:1\n\n[Term]\nid: T:1\n", "line 4: T:1 is there already, at line 1"),
        ("[Term]\nname: x\n", "line 1: a term without an id"),
        ("[Term]\nid: a\nalt_id: c\n\n[Term]\nid: b\nalt_id: c\n", "c is an alt_id of a and of b"),
    ],
)
def test_what_is_no_obo(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "o.obo").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_obo(tmp_path / "o.obo", [("T:1", "g")])
