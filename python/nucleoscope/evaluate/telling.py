"""Results as a report shows them: names, means, values, costs, failures, and the cases worth a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.judging import whose
from nucleoscope.evaluate.results import Answer, Results, Scores
from nucleoscope.evaluate.summary import (
    LEAST,
    Mean,
    agreement,
    agreement_between,
    by_sequence,
    means,
)
from nucleoscope.plot.page import Panel

HEADLINES = ("exact agreement", "AUPRC lift", "ABPC", "deletion")  # the first that there is
WIDEST = 400  # positions of a case that are shown, around its strongest score


def told(
    results: Results,
    data: Mapping[str, Data],
    cards: Mapping[str, str] | None = None,
    replicates: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """All that a report needs.

    data: of each model, by name; cards: the reliability card of a model, as text; replicates: models that are one
    but for their seeds.
    """
    found, alike = means(results), agreement(results)
    for name, models in (replicates or {}).items():
        alike += agreement_between(results, models, f"between {len(models)} {name}")
    metrics = {a.metric: a for a in results.answers}
    first = next(iter(data), None)  # the page opens with this model
    there = {m.metric for m in found if m.defined and m.model == first}
    headline = next((h for h in (*HEADLINES, *metrics) if h in there), next(iter(metrics)))
    return {
        "explainers": list(dict.fromkeys(a.cell.explainer for a in results.answers)),
        "models": list(data),
        "metrics": [
            {"name": a.metric, "category": a.category, "higher": a.higher_is_better} for a in metrics.values()
        ],
        "headline": headline,
        "least": LEAST,
        "means": _nested(found),
        "values": _values(results),
        "seconds": _seconds(results),
        "agreement": [(a.model, a.metric, a.tau, a.low, a.high) for a in alike if a.tau == a.tau],
        "about": [_about(name, each, results) for name, each in data.items()],
        "failures": _failures(results, found),
        "cases": [case for name, each in data.items() for case in _cases(results, name, each)],
        "cards": dict(cards or {}),
    }  # fmt: skip


def _nested(found: list[Mean]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for m in found:
        made.setdefault(m.model, {}).setdefault(m.metric, {})[m.explainer] = {
            "value": m.value, "low": m.low, "high": m.high, "defined": m.defined, "rank": m.rank,
            "reason": m.reason, "undefined": m.undefined, "compared": m.compared, "why": m.why,
        }  # fmt: skip
    return made


def _values(results: Results) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for (model, metric, explainer), values in by_sequence(results).items():
        short = [float(f"{v:.4g}") for v in values.tolist()]
        made.setdefault(model, {}).setdefault(metric, {})[explainer] = short
    return made


def _seconds(results: Results) -> dict[str, Any]:
    held: dict[tuple[str, str], list[float]] = {}
    for a in results.answers:
        if a.status == "ok":
            held.setdefault((a.cell.model, a.cell.explainer), []).append(a.explain_seconds)
    made: dict[str, Any] = {}
    for (model, explainer), seconds in held.items():
        made.setdefault(model, {})[explainer] = float(np.median(seconds))
    return made


def _about(name: str, data: Data, results: Results) -> dict[str, Any]:
    said = whose(results.quality.get(name), data)
    return {"name": name, "sequences": len(data), "positions": data.length, "quality": said}


def _failures(results: Results, found: list[Mean]) -> list[tuple[str, ...]]:
    """Each once, whatever the number of seeds and, where the explainer itself failed, of metrics."""
    rows = [_failure(a, results) for a in results.answers if a.status != "ok"]
    return list(dict.fromkeys([*rows, *_undefined(found), *unranked(found)]))


def _undefined(found: list[Mean]) -> list[tuple[str, ...]]:
    """Sequences without a value, counted; in one row where they are as many of all explainers."""
    held: dict[tuple[str, str], list[Mean]] = {}
    for m in found:
        if not m.reason:
            held.setdefault((m.model, m.metric), []).append(m)
    rows: list[tuple[str, ...]] = []
    for (model, metric), each in held.items():
        alike = len({m.undefined for m in each}) == 1 < len(each)
        for m in each[:1] if alike else each:
            if m.undefined:
                said = f"{m.undefined} of {m.undefined + m.defined} sequences"
                said = f"{said}: {m.why}" if m.why else said
                rows.append(("all" if alike else m.explainer, model, metric, "undefined", said))
    return rows


def unranked(found: list[Mean]) -> list[tuple[str, ...]]:
    """Models and metrics for which nobody is ranked, of those with a value."""
    few = {(m.model, m.metric): m.compared for m in found if m.defined and m.compared < LEAST}
    return [
        ("all", model, metric, "not ranked", f"all have a value of {count} sequences; {LEAST} at least are needed")
        for (model, metric), count in few.items()
    ]  # fmt: skip


def _failure(a: Answer, results: Results) -> tuple[str, ...]:
    whole = (a.cell.explainer, a.cell.model) not in results.maps
    return a.cell.explainer, a.cell.model, "all" if whole else a.metric, a.status, a.reason


def _cases(results: Results, model: str, data: Data) -> list[dict[str, Any]]:
    """The best and the worst sequence of each explainer, by the first headline that is defined for this model."""
    tables = {key: value.numpy() for key, value in by_sequence(results).items()}
    higher = {a.metric: a.higher_is_better for a in results.answers}
    made = []
    for explainer in dict.fromkeys(a.cell.explainer for a in results.answers):
        for metric in HEADLINES:
            values = tables.get((model, metric, explainer))
            if values is None or np.isnan(values).all() or (explainer, model) not in results.maps:
                continue
            order = np.argsort(-values if higher[metric] else values)
            order = order[~np.isnan(values[order])]
            for which, n in (("best", order[0]), ("worst", order[-1])):
                said = f"{explainer}, {which}: sequence {n}, {metric} {values[n]:.3g}"
                panel = _panel(said, data, int(n), results.maps[explainer, model][n])
                made.append({"model": model, "metric": metric, "panel": panel})
            break
    return made


def _panel(said: str, data: Data, n: int, row: Scores) -> dict[str, Any]:
    """One sequence with its scores; of a long one what lies around its strongest score."""
    begin = 0
    if len(row) > WIDEST:
        begin = min(max(0, int(np.abs(row).argmax()) - WIDEST // 2), len(row) - WIDEST)
    shown = slice(begin, begin + WIDEST)
    columns = data.X[n, :, shown].cpu().T
    letters = "".join("ACGT"[int(c.argmax())] if float(c.sum()) else "N" for c in columns)
    return Panel(said, begin + 1, letters, row[shown]).told()
