"""The card of an explanation: every question asked of it, the answers, and a verdict in plain words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.diagnostics.asking import asking
from nucleoscope.diagnostics.attention_conditioning import attention_conditioning
from nucleoscope.diagnostics.card_page import card_page
from nucleoscope.diagnostics.coalitions import Regions
from nucleoscope.diagnostics.faithfulness import faithfulness
from nucleoscope.diagnostics.finding import Finding, plain
from nucleoscope.diagnostics.gauge import gauge
from nucleoscope.diagnostics.loss_gap import Loss, loss_gap
from nucleoscope.diagnostics.precision import precision
from nucleoscope.diagnostics.redundancy import redundancy
from nucleoscope.diagnostics.strongest import of_strongest
from nucleoscope.diagnostics.vanishing import vanishing
from nucleoscope.engine.answers.read import Func
from nucleoscope.files import whole_file
from nucleoscope.methods.running import versions
from nucleoscope.result import Attribution, Check

MOST = 16  # sequences that questions are asked about


@dataclass(frozen=True)
class Card:
    """How far an explanation can be trusted: findings, the attribution's own checks, what was asked.

    `fires` names the questions that tell against it.
    """

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]  # the attribution's own
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def fires(self) -> tuple[str, ...]:
        """The questions whose answers tell against the explanation, and the checks that it failed."""
        failed = (f"check: {check.name}" for check in self.checks if not check.passed)
        return (*(each.question for each in self.findings if each.fires), *failed)

    @property
    def verdict(self) -> str:
        """What is to be thought of the explanation, in plain words."""
        asked = sum(each.applies for each in self.findings) + len(self.checks)
        if not self.fires:
            return (
                f"Nothing tells against this explanation in {asked} questions. That does not prove it "
                "right: it says "
                "that the known ways in which such scores mislead were looked for and not found."
            )
        return (
            f"{len(self.fires)} of {asked} answers tell against reading this explanation as it stands: "
            f"{', '.join(self.fires)}."
        )

    def __repr__(self) -> str:
        lines = [*map(str, self.findings), *map(str, self.checks)]
        return "\n".join([f"Card({self.facts.get('method', '?')}): {self.verdict}", *lines])

    def to_json(self) -> str:
        """Verdict, findings with their values and thresholds, checks and facts. NaN is null."""
        checks = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks]
        told = {
            "verdict": self.verdict, "fires": list(self.fires),
            "findings": [each.told() for each in self.findings], "checks": checks, "facts": plain(self.facts),
        }  # fmt: skip
        return json.dumps(told, indent=1, allow_nan=False)

    def to_html(self) -> str:
        """A page of its own that loads nothing."""
        return card_page(self.verdict, self.findings, self.checks, self.facts)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write ``.json`` or ``.html``; the file appears complete or not at all.

        Raises ValueError for another ending, OSError where the folder cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".json", ".html"):
            raise ValueError(f"path={str(path)!r}: a card is written as .json or .html")
        made = self.to_json() + "\n" if path.suffix == ".json" else self.to_html()
        with whole_file(path) as file:
            file.write(made.encode())
        return path


def card(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    attribution: Attribution,
    args: tuple[Tensor, ...] | None = None,
    *,
    target: Any = None,
    func: Func | None = None,
    regions: Regions | None = None,
    labels: Tensor | None = None,  # [N]
    transparent: nn.Module | None = None,
    loss: str | Loss = "squared",
    random_state: int = 0,
    progress: bool = False,
) -> Card:
    """How far an explanation of a model can be trusted: the reliability card.

    Asks `faithfulness`, which holds the scores against what edits do, and `gauge`, `vanishing`, `redundancy`,
    `attention_conditioning`, `precision` and, where there is a model to compare with, `loss_gap`; their
    docstrings say what each means and when it fires. Thresholds are ours. Questions are asked about 16
    sequences at most, evenly taken from X. Scores that have no sign (attention; saliency's magnitude=True; any
    map of which none is below 0 and some above) are compared by rank of their sizes.

    Parameters
    ----------
    model, X, args, target, func
        What was explained, as it was given to the method.
    attribution
        Its explanation, of X: one target, one row of attention, a score a base.
    regions
        2 to 8 stretches [start, end) whose redundancy is asked about, of all sequences; None: in each
        sequence the 4 stretches of 10 bases with the largest scores.
    labels, transparent, loss
        What was measured of X, a transparent model, and what both are judged by (`loss_gap`).
    random_state
        Of shuffles, substitutions and draws.
    progress
        Show which question is asked, how many are answered, and the time left.

    Raises
    ------
    TypeError, ValueError
        For sequences without a known letter, an attribution of other sequences or another target, `transparent`
        without labels, and what the questions refuse.

    Equivalent to::

        Card((faithfulness(model, X, attribution.observed()), vanishing(model, X), ...), attribution.checks)
    """
    asked = asking(model, X, args, target, func)
    if not (X.amax(1) == 1).any():
        raise ValueError("X: it holds no known letter, so there is nothing that scores could be of")
    scores = _scores(attribution, X, str(asked.read))
    if (transparent is None) != (labels is None):
        raise ValueError("labels, transparent: give both, or neither")
    some = torch.linspace(0, len(X) - 1, min(MOST, len(X))).round().long()
    part, others = X[some], tuple(a[some] for a in asked.args)
    given: dict[str, Any] = {"target": target, "func": func}
    seeded = {**given, "random_state": random_state}
    edits = {**seeded, "precision": "fp64" if asked.X.dtype == torch.float64 else "fp32"}
    questions: dict[str, Callable[[], Finding]] = {
        "faithfulness": lambda: faithfulness(
            model, part, scores[some], others, start=attribution.start, signed=_signed(attribution), **seeded
        ),
        "gauge": lambda: gauge(model, part, attribution, others, **given),
        "vanishing": lambda: vanishing(model, part, others, **given),
        "redundancy": lambda: (
            of_strongest(model, part, scores[some], attribution.start, others, edits)
            if regions is None
            else redundancy(model, part, regions, others, **edits)
        ),
        "attention": lambda: attention_conditioning(model, part[:2], tuple(a[:2] for a in others)),
        "precision": lambda: precision(model, part, others, **seeded),
    }  # fmt: skip
    if transparent is not None and labels is not None:
        questions["loss gap"] = lambda: loss_gap(
            model, X, labels, transparent, args, loss=loss, **seeded
        )
    findings = _answered(questions, progress)
    weights = sum(p.numel() for p in model.parameters())
    facts = {
        "model": type(model).__name__, "parameters": weights, "method": attribution.facts.get("method", "?"),
        "target": str(asked.read), "sequences": len(X), "asked_about": len(some), "length": X.shape[2],
        "random_state": random_state, **versions(),
    }  # fmt: skip
    return Card(findings, attribution.checks, facts)


def _answered(questions: dict[str, Callable[[], Finding]], progress: bool) -> tuple[Finding, ...]:
    found = []
    with tqdm(questions.items(), unit=" questions", disable=not progress) as bar:
        for name, question in bar:
            bar.set_postfix_str(name)
            found.append(question())
    return tuple(found)


def _scores(attribution: Attribution, X: Tensor, target: str) -> Tensor:
    """The scores of sites [N, sites]; raises ValueError where they are not of X and the target."""
    if not isinstance(attribution, Attribution):
        raise TypeError(
            f"attribution: expected an Attribution, as methods return it, got {type(attribution).__name__}"
        )
    if "target" in attribution.axes:
        raise ValueError("attribution: one target a card; make it anew with a single target")
    said = attribution.facts.get("target", target)
    if said != target:
        raise ValueError(
            f"attribution: it is of target {said}, and the card would be of {target}: pass the same target="
        )
    if "token" in attribution.axes or "head" in attribution.axes:
        raise ValueError(
            "attribution: its scores are of tokens or heads; a card is of bases: make it anew with per_base=True "
            "and the mean of heads"
        )
    found = _of_row(attribution) if "row" in attribution.axes else attribution.observed()
    end = attribution.start + found.shape[1]
    if len(found) != len(X) or end > X.shape[2]:
        raise ValueError(
            f"attribution: it is of {len(found)} sequences and sites up to {end}; X has shape "
            f"{tuple(X.shape)}"
        )
    there = attribution.sequences
    if there is not None and not torch.equal(
        there.cpu().double(), X[:, :, attribution.start : end].cpu().double()
    ):
        raise ValueError("attribution: its sequences are not those of X")
    return found


def _of_row(attribution: Attribution) -> Tensor:
    """The scores of bases of one row of attention [N, sites]."""
    if attribution.scores.shape[1] != 1:
        raise ValueError(
            f"attribution: {attribution.scores.shape[1]} rows; one a card: make it anew with rows= of one"
        )
    return attribution.scores[:, 0]


def _signed(attribution: Attribution) -> bool:
    """Whether a score below 0 says that a letter lowers the answer."""
    if "row" in attribution.axes or attribution.facts.get("magnitude"):
        return False
    scores = attribution.observed()
    return bool((scores < 0).any()) or not (scores > 0).any()  # zeros alone are no magnitudes
