"""Attention relevance: rollout with each weight counted by its gradient, for one number of the output."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.attention.capture.run import Attention
from nucleoscope.engine.attention.conditioning import identifiable, measured
from nucleoscope.engine.attention.fold import MANY, Relevance, by_rows, sample
from nucleoscope.methods.attention.attending import (
    Attending,
    attending,
    read_heads,
    read_number,
    rows_for,
    told_conditioning,
)
from nucleoscope.methods.attention.rank_controls import by_distance, centres, told_controls
from nucleoscope.methods.attention.token_rows import Spans
from nucleoscope.methods.dinucleotide_shuffle import read_random_state
from nucleoscope.methods.running import read_func
from nucleoscope.result import Attribution, Check


def attention_relevance(
    model: Any,
    X: Tensor,  # [N, 4, L] one-hot, or [N, T] numbers of tokens
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    target: Any = None,
    func: Func | None = None,
    rows: Any = None,
    heads: Any = None,
    layers: Any = None,
    tokens: Spans | None = None,
    per_base: bool = False,
    controls: int = 1,
    spectrum: int | None = 0,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    random_state: int | None = 0,
) -> Attribution:  # scores [N, M, T]; [N, M, L] per base
    """How much chosen tokens of the last layer draw on each token, by the attention that the target gains by.

    Rows are handed down as in `attention_rollout`, each weight replaced by the positive part of the weight
    times the target's gradient by it, and the row itself is kept: ``r <- r + r A``. A score is the row's own
    weight there plus what came through attention, in units of the target per unit of weight; rows do not keep
    their sums. Where no attention raises the target, scores are the rows themselves.

    Parameters
    ----------
    model, X, args, rows, layers, tokens, per_base, controls, spectrum, layout, alphabet, precision, memory
        As of `attention_rollout`; with rows=None there is one row, the mean over all tokens, and the spectrum
        is not computed unless asked for. Where not all layers fit into `memory`, the model runs forward and
        back once a part of them; what its own gradient holds comes beside that.
    target, func
        What is read off the output, as of `saturation_mutagenesis`; one number.
    heads
        None: the mean of all; numbers: the mean of these.

    Returns
    -------
    Attribution
        ``scores``, ``original`` (the target's value), ``controls`` and ``facts`` as of `attention_rollout`,
        the share that every layer added (``facts["gained"]``, last layer first), and checks.

    Raises
    ------
    TypeError, ValueError, IndexError, Untraceable
        As `attention_rollout`, and for a target that names nothing there or several numbers.

    Source: Chefer et al. 2021 (ICCV, arXiv 2103.15679), for self-attention.

    Equivalent to::

        R = eye
        for P in attention:                       # [H, T, T], first layer to last
            R = R + (P * grad(target, P)).clamp(min=0).mean(0) @ R
        scores = rows @ R
    """  # fmt: skip
    alphabet = alphabet_of(model, alphabet)
    read_func(func)
    if isinstance(target, list):
        raise ValueError("target: one target a call; relevance has a gradient of its own for each")
    controls, seed = (
        int(read_number("controls", controls, 0, 1000)),
        read_random_state(random_state),
    )
    with attending(
        model, X, args, layers=layers, tokens=tokens, layout=layout, alphabet=alphabet, precision=precision,
        memory=memory,
    ) as asked:  # fmt: skip
        if per_base and asked.places is None:
            raise ValueError("per_base=True: which bases a token is of is not known: pass tokens=")
        if rows is None:
            rows = torch.full((1, asked.tokens), 1.0 / asked.tokens, dtype=torch.float64)
        start = rows_for(asked, rows)
        steps = 0 if spectrum is None else int(read_number("spectrum", spectrum, 0, 10000))
        one = _One(asked, Read(target, func), start, read_heads(heads, asked, each=False), steps)
        found = [one(asked.inputs(at), told=True) for at in range(len(asked.X))]
        beside = [one.shuffled(at, controls, seed) for at in range(len(asked.X) if controls else 0)]
        return _attribution(one, found, beside, per_base)


@dataclasses.dataclass(frozen=True)
class _Found:
    scores: Tensor  # [M, T]
    value: Tensor  # [1]
    gained: list[float]
    conditioning: list[Any]


@dataclasses.dataclass(frozen=True)
class _One:
    """The request, for one sequence after the other."""

    asked: Attending
    read: Read
    rows: Tensor
    heads: Any
    steps: int

    def __call__(self, inputs: tuple[Tensor, ...], told: bool = False) -> _Found:
        scores = self.rows
        gained: list[float] = []
        measures: list[Any] = []
        for wanted in self.asked.parts():
            layers, grads, value = self.asked.captured.layers_and_gradients(
                inputs, self._number, wanted
            )
            fold = Relevance(self.heads)
            with torch.no_grad():
                scores = fold.down(zip(layers[::-1], grads[::-1], strict=True), scores)
                measures += [self._measured(layer) for layer in layers[::-1] if told]
            gained += fold.gained
            del layers, grads  # before the next part is made
        return _Found(scores, value.reshape(1), gained, measures[::-1])

    def shuffled(self, at: int, n: int, seed: int) -> Tensor:
        """The mean relevance of n shuffles of a sequence."""
        inputs = (self.asked.inputs(at, each) for each in self.asked.shuffled(at, n, seed))
        return torch.stack([self(each).scores for each in inputs]).mean(0)

    def _number(self, output: Any) -> Tensor:
        return self.read(output)[0, 0]

    def _measured(self, layer: Attention) -> Any:
        some = self.rows if len(self.rows) <= MANY else self.rows[sample(len(self.rows))]
        moved = by_rows(layer.apply, some.expand(1, layer.heads, *some.shape))[0]
        return measured(layer, identifiable(layer, moved), self.steps)


def _attribution(
    one: _One, found: list[_Found], beside: list[Tensor], per_base: bool
) -> Attribution:
    asked = one.asked
    scores = torch.stack([each.scores for each in found]).cpu()
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(
            "the relevance is not finite: the gradient of the target is not, or a sum of it left the range of "
            f"{scores.dtype}; precision='fp64' has a wider one"
        )
    rows = one.rows.cpu()
    distance = by_distance(rows, asked.tokens).expand(len(found), -1, -1).to(scores)
    kept = [distance, *([torch.stack(beside).cpu()] if beside else [])]
    gained = [each.gained for each in found]
    least = min(sum(each) for each in gained)
    facts = {
        "method": "attention_relevance", "target": str(one.read), "heads": one.heads or "mean of all",
        "layers": [asked.captured.names[at] for at in asked.layers], "gained": gained,
        "controls": ["distance", "shuffled"][: len(kept)],
        "conditioning": [[dataclasses.asdict(c) for c in each.conditioning] for each in found],
        "left out": asked.captured.refusals,
        "centres": centres(rows).tolist(),
        "token_spans": None if asked.places is None else asked.places.spans.tolist(),
    }  # fmt: skip
    checks = (
        Check(
            "attention raises the target", least > 0, f"layers add {least:.1e} of the rows or more"
        ),
        *told_conditioning([c for each in found for c in each.conditioning]),
        *told_controls(scores, kept, rows),
    )
    held, axes = torch.stack(kept), ("sequence", "row", "token")
    if per_base and asked.places is not None:
        scores, held = asked.places.to_bases(scores), asked.places.to_bases(held)
        axes = ("sequence", "row", "site")
    original = torch.stack([each.value for each in found]).cpu()
    return Attribution(scores, axes, "", 0, original, facts, checks, asked.columns, controls=held)
