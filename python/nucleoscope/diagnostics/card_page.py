"""A card as one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from nucleoscope.diagnostics.finding import Finding
from nucleoscope.result import Check


def card_page(
    verdict: str, findings: Sequence[Finding], checks: Sequence[Check], facts: Mapping[str, Any]
) -> str:
    """The verdict, a block for each finding with its numbers beside their thresholds, checks and facts."""
    template = Template(
        (resources.files("nucleoscope") / "diagnostics" / "card.html").read_text("utf-8")
    )
    fires = any(each.fires for each in findings) or not all(each.passed for each in checks)
    title = f"{facts.get('method', 'explanation')} of {facts.get('model', 'a model')}"
    return template.substitute(
        TITLE=html.escape(title), VERDICT=html.escape(verdict), STATE="fires" if fires else "quiet",
        FINDINGS="".join(map(_finding, findings)), CHECKS="".join(map(_check, checks)),
        FACTS="".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in
        facts.items()),
    )  # fmt: skip


def _finding(each: Finding) -> str:
    state = ("fires" if each.fires else "quiet") if each.applies else "none"
    said = {"fires": "tells against it", "quiet": "nothing found", "none": "does not apply"}[state]
    rows = "".join(
        f"<tr><td>{html.escape(where)}</td><td>{_number(value)}</td><td>{_limit(each, name)}</td></tr>"
        for where, name, value in _numbers(each.values)
    )
    table = (
        "<details><summary>what was measured</summary><table><tr><th>value</th><th>measured</th>"
        f"<th>our threshold</th></tr>{rows}</table></details>"
    )
    return (
        f'<section class="{state}"><h2>{html.escape(each.question)} <span>{said}</span></h2>'
        f"<p>{html.escape(each.sentence)}</p>{table if rows else ''}</section>"
    )


def _numbers(values: Mapping[str, Any], within: str = "") -> list[tuple[str, str, Any]]:
    """Single numbers, one level down too; lists of sequences or layers are in the JSON."""
    found: list[tuple[str, str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and not within:
            found += _numbers(value, f"{name}: ")
        elif isinstance(value, bool | int | float):
            found.append((f"{within}{name}", name, value))
    return found


def _limit(each: Finding, name: str) -> str:
    return _number(each.thresholds[name]) if name in each.thresholds else ""


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not defined" if value != value else f"{value:.3g}"


def _check(each: Check) -> str:
    state = "quiet" if each.passed else "fires"
    said = "passed" if each.passed else "failed"
    return (
        f'<section class="{state}"><h2>{html.escape(each.name)} <span>{said}</span></h2>'
        f"<p>{html.escape(each.detail)}</p></section>"
    )
