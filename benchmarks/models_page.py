"""Writes docs/models.md: the catalog's models under every explanation: `python -m benchmarks.models_page`."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.transparent_page import HEAD as TERMS
from benchmarks.transparent_page import NETWORKS
from benchmarks.transparent_page import line as network
from nucleoscope.models.catalog import CATALOG
from tests.field import published
from tests.truth import engine, largest, truth

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
SITES = 8
HEAD = """# The field's models, and what explains them

Written by `python -m benchmarks.models_page`: each model of `nucleoscope.models` is made small, with random
weights, and every explanation is run on it. *Mutagenesis*: whether deltas reach the output, or the model's tail
runs behind a seam, and how far the engine (float64) is from the plain loop, of the largest effect. *Gradient*:
input times gradient, against torch's autograd. *IG*: integrated gradients, the error bar of 32 steps from equal
letters; random nets have many kinks. *DeepLIFT*: how far contributions are from the difference of outputs,
in float64, or what refuses it. *Rollout*: whether each row of attention adds up to one. Parameters, receptive
fields and shapes are proved in `tests/models/test_catalog.py`, the sources are in each model's docstring. At
published sizes, with time and memory: [full_geometry.md](full_geometry.md). How weights are loaded, and what is
asked of filters, terms and sums of effects: [models_use.md](models_use.md).

| model | parameters | field, stride | letters | mutagenesis | gradient | IG | DeepLIFT | rollout | weights |
|---|---:|---|---|---|---|---|---|---|---|
"""
HEAD += (
    "| *source of truth* | papers and code | flipped bases | papers and code | the plain loop, float64 "
    "| torch's autograd | its error bar | difference of outputs | rows of 1 | |\n"
)


def tried(run: Callable[[], str]) -> str:
    """What a run says, or what refused it, in few words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()
    except (ValueError, nucleoscope.Untraceable) as error:
        words = " ".join(str(error).split()).replace("|", "/")
        words = re.sub(r' at "[^"]*"', "", words)  # where that is, on the machine that ran it
        return f"refused: {words[:90]}{'…' if len(words) > 90 else ''}"


def line(name: str) -> str:
    entry = CATALOG[name]
    net, X, others, told = published(name)
    X, others = X[:1].clone(), tuple(t[:1] for t in others)
    # Of an output over the length, target 0 is the mean, which every site reaches.
    asked: dict[str, Any] = {"target": 0, **told}

    def mutagenesis() -> str:
        middle = X.shape[2] // 2
        request = {"target": [asked["target"]], "start": middle, "end": middle + SITES}
        plan = nucleoscope.plan(net, X, others or None, **request, **told)
        want = truth(net, X, others, **request)
        got = engine(net, X, others, precision="fp64", **request, **told)
        scale = float(largest(want).max())
        assert scale > 0, f"{name}: no edit changes the target, so nothing is compared"
        off = float((got - want).abs().max()) / scale
        return f"{'deltas' if plan.local else 'deltas, then tail'}, {off:.0e}"

    def gradient() -> str:
        got = nucleoscope.input_x_gradient(net, X, others or None, precision="fp64", **asked).scores
        copy = X.double().clone().requires_grad_()
        made = _double(net)(copy, *(t.double() for t in others))
        made[0, 0].mean().backward()
        want = copy * copy.grad
        net.float()
        return f"{float((got - want).abs().max() / want.abs().max()):.0e}"

    def integrated() -> str:
        got = nucleoscope.integrated_gradients(net, X, others or None, n_steps=32, **asked)
        return "map within " + _told(got, "error bar", r"off by ([\d.e-]+ %)")

    def deep_lift() -> str:
        got = nucleoscope.deep_lift_shap(
            net, X, others or None, n_shuffles=3, random_state=0, precision="fp64", **asked
        )
        return "adds up within " + _told(got, "additivity", r"\(([\d.e-]+) of it")

    cells = [
        tried(mutagenesis), tried(gradient),
        tried(integrated), tried(deep_lift),
        tried(lambda: _rollout(net, X, others, told)) if entry.attention else "no attention",
    ]  # fmt: skip
    field = (
        f"{entry.receptive_field:,}, {entry.stride}"
        if entry.receptive_field
        else f"all, {entry.stride}"
    )
    facts = [
        name,
        f"{entry.parameters:,}",
        field,
        entry.alphabet,
        *cells,
        entry.weights or "none found",
    ]
    return f"| {' | '.join(facts)} |\n"


def _double(net: nn.Module) -> nn.Module:
    return net.double()


def _told(got: Any, check: str, number: str) -> str:
    """A number out of what a check says, or all that it says."""
    said = next(each.detail for each in got.checks if each.name == check)
    found = re.search(number, said)
    return found[1] if found else said


def _rollout(net: nn.Module, X: Tensor, others: tuple[Tensor, ...], told: dict[str, Any]) -> str:
    got = nucleoscope.attention_rollout(net, X, others or None, controls=0, **told)
    off = float((got.scores.sum(-1) - 1).abs().max())
    return f"adds up to 1 within {off:.0e}"


def main(names: list[str]) -> None:
    """Run the named models, or all; each row is written as soon as it is known, and the others stay."""
    held = PAGE.read_text().splitlines(keepends=True) if PAGE.exists() else []
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in held if row.startswith("| ")}
    known = {**dict.fromkeys(CATALOG, line), **dict.fromkeys(NETWORKS, network)}
    for name in names or list(known):
        torch.manual_seed(0)
        rows[name] = known[name](name)
        parts = [
            head + "".join(rows[n] for n in of if n in rows)
            for head, of in ((HEAD, CATALOG), (TERMS, NETWORKS))
        ]
        PAGE.write_text("".join(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
