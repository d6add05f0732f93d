"""Writes docs/coverage.md from the engine's own tables: `python -m benchmarks.coverage`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from nucleoscope.engine.graph import Rule
from nucleoscope.engine.rules import REWRITES, RULES, SEAMS
from tests.engine import shape_cases, value_cases
from tests.engine.rule_cases import CASES

assert shape_cases
assert value_cases
PAGE = Path(__file__).resolve().parents[1] / "docs" / "coverage.md"
HEAD = """# Which ops a delta passes

Written by `python -m benchmarks.coverage` from the engine's tables. *Compiled*: taken by a chain of
compiled ops. *PyTorch*: a rule in plain PyTorch. *Moves no number*: free. *Written out*: other ops of
this table in its place. Each op is proved by name in `tests/engine/test_rules.py`, against the definition
in float64; the last column counts its cases there. Where an op is used in a way that its rule does not
follow, locality ends there: the model's own tail runs for every edit, and the plan says why and at
which line.

| op | how it is followed | by | cases |
|---|---|---|---:|
"""
SEAM_HEAD = """
## Where locality ends

An op that is in neither table has no delta rule, and is a seam that names itself.

| op | why |
|---|---|
"""

GLOBAL = """
## What is made of the whole length

| what | how |
|---|---|
| means, sums, maxima, logsumexp, variances and running sums over the length, whole or in cells \
| deltas: their rules are above |
| a gate that is one number a channel (squeeze-excitation), or a mean that is subtracted, where means, sums or \
maxima read its product, directly or through layers that are linear position by position (a maximum through a \
ReLU too, where the gate is not negative) | deltas: the mean is taken ahead of the gate (`engine/rules/gates.py`) |
| the same product behind anything else; norms over the length | a seam: the edited values differ from the \
original's at all positions, and what bends them needs each of them |
| LSTM, GRU and other recurrences | a seam: deltas that run on from an edit were exact, and no cheaper than the \
tail (ARCHITECTURE.md) |
| self-attention | a seam; queries, keys and values that are made position by position before it are made in the \
window alone where the batch stays the first axis (Enformer, Borzoi), and by the tail where it is moved first \
(`nn.MultiheadAttention`: C.Origami, m6Aformer) |
| a map of pairs of positions (contact heads) | a seam: an edit changes a cross of rows and columns, and each \
layer of a convolution over both widens it |
"""

EDITS = """
## Which edits go by deltas

| edit | how |
|---|---|
| one base, every base (`saturation_mutagenesis`) | deltas; the first convolution is a look-up |
| letters at several positions at one length: SNV, MNV, motif, shuffle (`substitution_effect`, `variant_effect`, \
`marginalize`, `ablate`, `space`) | deltas; windows of far pieces stay apart |
| two bases (`pairwise`) | deltas; pairs whose windows meet in no layer that is not linear are not run, \
and counted |
| insertion, deletion (`variant_effect`) | windows around the new letters and at the end that moves, in \
float64; layers that do not move along run whole, and so does the model where that is less \
work. `facts` count both |
| insertion, deletion (`compat.tangermeme`, and `variants`, whose alleles have a window each) \
| the model itself: of one edit a sequence, two float32 forwards are less work than an original \
and two windows (ARCHITECTURE.md) |
"""


def short(op: Any) -> str:
    """aten.relu.default -> relu."""
    return f"`{str(op).removeprefix('aten.').removesuffix('.default')}`"


def made_by(entry: Any) -> list[Any]:
    """The rules that an op's entry may make, as its signature names them."""
    names = [name.strip() for name in inspect.get_annotations(entry)["return"].split("|")]
    return [entry.__globals__[name] for name in names]


def kind(made: Any) -> str:
    """How one of the rules takes a delta."""
    if not issubclass(made, Rule):
        return "moves no number"
    return "PyTorch" if made.chained is Rule.chained else "compiled"


def followed(op: Any) -> str:
    """One op's line."""
    cases = len(CASES.get(op, ()))
    proof = str(cases) if cases else "own test"
    if op not in RULES:
        return f"| {short(op)} | written out | {REWRITES[op].__name__} | {proof} |"
    rules = made_by(RULES[op])
    kinds = ", ".join(dict.fromkeys(map(kind, rules)))
    if op in REWRITES:
        kinds += ", written out where it broadcasts"
    names = ", ".join(f"{made.__name__}" for made in rules if issubclass(made, Rule)) or "-"
    return f"| {short(op)} | {kinds} | {names} | {proof} |"


def page() -> str:
    """The whole page."""
    ops = sorted({*RULES, *REWRITES}, key=str)
    seams = sorted(set(SEAMS) - set(RULES), key=str)
    lines = [followed(op) for op in ops]
    ends = [f"| {short(op)} | {SEAMS[op]} |" for op in seams]
    return HEAD + "\n".join(lines) + "\n" + SEAM_HEAD + "\n".join(ends) + "\n" + GLOBAL + EDITS


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
