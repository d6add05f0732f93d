"""A page of regions to look through in a browser: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Mark:
    """Something at one base, such as a variant, and how large it is."""

    site: int  # of the panel, from 0
    name: str
    value: float


@dataclass(frozen=True)
class Hit:
    """A stretch with a name, such as a motif's match."""

    start: int  # of the panel, from 0
    end: int
    name: str
    strand: str  # + or -
    score: float


@dataclass(frozen=True)
class Panel:
    """One region: a score a base, its letters, and what lies along it."""

    name: str
    start: int  # the genome's position of its first base, from 1
    letters: str
    scores: npt.NDArray[np.floating[Any]]  # [site], NaN where there is none
    marks: Sequence[Mark] = ()
    hits: Sequence[Hit] = ()
    shown: tuple[int, int] | None = None  # the sites seen at first; all by default

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores)
        if scores.ndim != 1 or len(scores) != len(self.letters) or not len(scores):
            raise ValueError(
                f"{self.name}: scores of shape {scores.shape} for {len(self.letters)} letters; one each, and at "
                "least one"
            )

    def told(self) -> dict[str, Any]:
        """As the page reads it."""
        low, high = self.shown or (0, len(self.letters))
        hits = sorted(self.hits, key=lambda hit: hit.start)
        packed = base64.b64encode(np.asarray(self.scores, "<f4").tobytes()).decode()
        return {
            "name": self.name, "start": self.start, "letters": self.letters.upper(), "scores": packed,
            "marks": [[m.site, m.name, m.value] for m in self.marks], "low": low, "high": high,
            "hits": [[h.start, h.end, h.name, h.strand, h.score] for h in hits],
        }  # fmt: skip


def page(panels: Sequence[Panel], title: str, facts: Mapping[str, Any] | None = None) -> str:
    """HTML that shows every panel as a track, and as a logo where one zooms in.

    Scripts and pictures lie inside; nothing is loaded, and the page says so to the browser. `facts` stand at
    its head: model, genome, versions. Raises ValueError without panels.
    """
    if not panels:
        raise ValueError("panels: give one region at least")
    told = [panel.told() for panel in panels]
    return filled("page.html", title, facts or {}, told)


def filled(template: str, title: str, facts: Mapping[str, Any], data: Any) -> str:
    """One of our templates with its title, facts, and data, and with what draws panels."""
    lines = (
        f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in facts.items()
    )
    folder = resources.files("nucleoscope") / "plot"
    read = Template((folder / template).read_text("utf-8").replace("${", "$${"))
    return read.substitute(
        TITLE=html.escape(title), FACTS="".join(lines), PANEL=(folder / "panel.js").read_text("utf-8"),
        DATA=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    )  # fmt: skip
