"""What a variant does to an output, in the numbers that are reported: per target, from before and change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nucleoscope.scan.rejects import Refused

Floats = npt.NDArray[np.floating[Any]]
EVERY = ("difference", "log_ratio", "gain", "loss", "js", "gene")
OF_PROFILES = ("gain", "loss", "js", "gene")


@dataclass(frozen=True)
class Column:
    """One number a variant and target, as it stands in tables and as an INFO field."""

    name: str
    kind: str  # "Float", "Integer", or "String": the number of a gene, which is told by its name
    meaning: str


@dataclass(frozen=True)
class Scoring:
    """Which scores, and what they need to know."""

    scores: tuple[str, ...]
    around: int | None  # bases either side of a variant whose outputs are looked at
    pseudocount: float
    logits: bool  # whether a profile is softmax of the output, and not the output over its sum

    def check(self) -> None:
        """Raise ValueError for scores that are not there, or cannot be had of one number."""
        unknown = [name for name in self.scores if name not in EVERY]
        if unknown or not self.scores:
            raise ValueError(f"scores={self.scores}: name some of {', '.join(EVERY)}")
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores={self.scores}: name each once")
        profiles = [name for name in self.scores if name in OF_PROFILES]
        if profiles and self.around is None:
            raise ValueError(
                f"scores: {', '.join(profiles)} look at positions of the output; give around=, how many bases "
                "either side of a variant to look at (for gene: at least)"
            )
        if (self.around or 0) < 0 or self.pseudocount < 0:
            raise ValueError(
                f"around={self.around}, pseudocount={self.pseudocount}: neither may be negative"
            )

    def columns(self) -> Iterator[Column]:
        """What `of` gives, in order."""
        what = "of the target" if self.around is None else f"summed over +-{self.around} bases"
        told = {
            "difference": f"ALT less REF, {what}",
            "log_ratio": f"log2 of ALT over REF, {what}, {self.pseudocount:g} added to each",
            "gain": f"Largest increase at a position within +-{self.around} bases",
            "loss": f"Largest decrease at a position within +-{self.around} bases, as a positive number",
            "js": f"Jensen-Shannon divergence in bits of the profiles within +-{self.around} bases",
            "gene": f"log2 of ALT over REF over the exons of the gene that changes most, {self.pseudocount:g} "
            "added to each",
        }
        for name in self.scores:
            yield Column(name, "Float", told[name])
            if name in ("gain", "loss"):
                yield Column(f"{name}_at", "Integer", f"Bases from POS to the {name}")
            if name == "gene":
                yield Column("gene_name", "String", "The gene that changes most")

    def of(
        self, before: Floats, change: Floats, offsets: npt.NDArray[np.int64]
    ) -> dict[str, Floats]:
        """Scores [M, T] by name, from REF's output and its change by ALT, [M, T, W].

        `offsets` [W] say how far each position begins from its variant. The change is taken as it is given:
        a small one is not the difference of two large numbers. Raises Refused where a logarithm or a profile is
        asked of negative outputs.
        """
        found: dict[str, Floats] = {}
        for name in self.scores:
            if name == "gene":
                found[name] = found["gene_name"] = np.zeros(0)  # of all positions, by `of_genes`
            elif name == "difference":
                found[name] = change.sum(-1)
            elif name == "log_ratio":
                found[name] = self._log_ratio(before.sum(-1), change.sum(-1))
            elif name == "js":
                found[name] = self._divergence(before, before + change)
            else:
                signed = change if name == "gain" else -change
                at = signed.argmax(-1)
                found[name] = np.take_along_axis(signed, at[..., None], -1)[..., 0]
                found[f"{name}_at"] = offsets[at].astype(change.dtype)
        return found

    def of_genes(
        self, before: Floats, change: Floats, over: list[list[tuple[int, npt.NDArray[np.bool_]]]]
    ) -> dict[str, Floats]:
        """The gene score [M, T] and which gene has it, from all positions, [M, T, P].

        `over` says for each variant which positions hold a base of which gene. The gene is that of the largest
        change, up or down; NaN and -1 where there is none. Positions that left the window do not count. Source:
        Borzoi's and AlphaGenome's gene-mask scores (Linder et al. 2025; Avsec et al. 2026).
        """
        ratio = np.full(before.shape[:2], np.nan)
        which = np.full(before.shape[:2], -1.0)
        there = ~np.isnan(change)
        for at, genes in enumerate(over):
            for gene, mask in genes:
                kept = mask & there[at]
                held = np.where(kept, before[at], 0).sum(-1), np.where(kept, change[at], 0).sum(-1)
                own = self._log_ratio(*held)
                better = np.isnan(ratio[at]) | (np.abs(own) > np.abs(ratio[at]))
                ratio[at], which[at] = (
                    np.where(better, own, ratio[at]),
                    np.where(better, gene, which[at]),
                )
        return {"gene": ratio, "gene_name": which}

    def _log_ratio(self, before: Floats, change: Floats) -> Floats:
        low = before + self.pseudocount
        if (low <= 0).any() or (low + change <= 0).any():
            raise Refused(
                "negative output",
                "scores: log_ratio needs an output that is not negative, and a pseudocount where it may be zero; "
                f"here it is as low as {min(before.min(), (before + change).min()):g}",
            )
        ratio: Floats = np.log1p(change / low) / np.log(2.0)
        return ratio

    def _divergence(self, before: Floats, after: Floats) -> Floats:
        p, q = (self._profile(values) for values in (before, after))
        middle = (p + q) / 2
        return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2

    def _profile(self, values: Floats) -> Floats:
        """Of each target a distribution over its positions."""
        if self.logits:
            values = np.exp(values - values.max(-1, keepdims=True))
        total = values.sum(-1, keepdims=True)
        if (values < 0).any() or (total <= 0).any():
            raise Refused(
                "negative output",
                "scores: js compares the output's positions as parts of their sum, so none may be negative; "
                "give logits=True where the output is what a softmax takes",
            )
        profile: Floats = values / total
        return profile


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * np.log2(p / q), 0.0)
    entropy: Floats = parts.sum(-1)
    return entropy


def stacked(found: Mapping[str, Floats]) -> Floats:
    """All scores side by side: [M, columns, T]."""
    return np.stack(list(found.values()), 1)
