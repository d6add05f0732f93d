"""Attention rollout: where the tokens of the last layer have their weight from, through all layers."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.attention.capture.run import Attention
from nucleoscope.engine.attention.conditioning import Conditioning, identifiable, measured
from nucleoscope.engine.attention.fold import Rollout
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
from nucleoscope.result import Attribution, Check

DRIFT = 1e-5  # of the sum of a row, in float32


def attention_rollout(
    model: Any,
    X: Tensor,  # [N, 4, L] one-hot, or [N, T] numbers of tokens
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    rows: Any = None,
    alpha: float = 0.5,
    heads: Any = None,
    weigh: str = "weights",
    layers: Any = None,
    tokens: Spans | None = None,
    per_base: bool = False,
    controls: int = 1,
    spectrum: int | None = None,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    random_state: int | None = 0,
) -> Attribution:  # scores [N, M, T]; [N, M, H, T] for each head; [N, M, L] per base
    """How much of each token reaches chosen tokens of the last layer, if attention were all that mixes them.

    A score is a share: the rows of the last layer's tokens are handed down layer by layer,
    ``r <- alpha r + (1 - alpha) r P``, with P the mean attention over heads and alpha for the residual
    stream. A row sums to what it summed to at the top, 1 for one token. No matrix of weights is made, at any
    length. Rollout moves hardly at all with a single base and owes half or more of its ranking to distance
    alone; so two controls and the conditioning of the attention come with it. To ask which far regions
    matter, `distal_scores` is the better question.

    Parameters
    ----------
    model, X, args, layout, alphabet
        A torch.nn.Module in eval mode and its inputs, as of `saturation_mutagenesis`; whole numbers [N, T]
        are taken as tokens.
    rows
        The last layer's tokens that are asked about: numbers, a slice, stretches of bases as (start, end),
        or weights [M, T], one row a question; None: every token.
    alpha
        The share of the residual stream, 0 to 1.
    heads
        None: the mean of all; numbers: the mean of these; "each": every head through all layers by itself.
    weigh
        "weights", or "norms": each weight times the length of what its key hands on through the output
        projection, as shares again (Kobayashi et al. 2020).
    layers
        Which attention layers, from 0; None: all.
    tokens
        Bases of each token: a number, or [start, end) of each, (0, 0) for special tokens. One-hot sequences
        that divide evenly need none.
    per_base
        Spread each token's score evenly over its bases.
    controls
        How many shuffles of each sequence are rolled out beside it; 0 for none.
    spectrum
        Steps of the Golub-Kahan iteration for singular values, each two passes over all pairs; None: 24 up to
        4,096 tokens, else 0.
    precision
        "fp32", or "fp64": a copy of the model in float64 is asked.
    memory
        Bytes of queries, keys and values that may be held; beyond it the model runs once a part of its layers.
        At least what one layer takes; the layer at work comes beside it.
    random_state
        Of the shuffles.

    Returns
    -------
    Attribution
        ``scores``, the mean rollout of the shuffled sequence and the share by distance (``controls``, in the
        order of ``facts["controls"]``), every layer's numbers (``facts["conditioning"]``), and checks: rows
        keep their sums, the identifiable fraction, the conditioning, rank correlation with the controls.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant, a model without attention or with some that cannot be taken
        apart (the message names its line), a mask that empties a row, logits that are not finite.
    Untraceable
        Where torch.export cannot follow the model.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928).

    Equivalent to::

        joint = eye
        for P in attention:                                 # [T, T], the mean over heads, first to last
            joint = (alpha * eye + (1 - alpha) * P) @ joint
        scores = rows @ joint
    """
    alphabet = alphabet_of(model, alphabet)
    alpha = read_number("alpha", alpha, 0.0, 1.0)
    controls, seed = (
        int(read_number("controls", controls, 0, 1000)),
        read_random_state(random_state),
    )
    if weigh not in ("weights", "norms"):
        raise ValueError(f"weigh={weigh!r}: use 'weights' or 'norms'")
    with attending(
        model, X, args, layers=layers, tokens=tokens, layout=layout, alphabet=alphabet, precision=precision,
        memory=memory,
    ) as asked:  # fmt: skip
        if per_base and asked.places is None:
            raise ValueError("per_base=True: which bases a token is of is not known: pass tokens=")
        start = rows_for(asked, rows)
        how = _How(
            asked, start, alpha, read_heads(heads, asked), weigh == "norms", _steps(spectrum, asked)
        )
        with torch.no_grad():
            found = [how.one(at) for at in range(len(asked.X))]
            beside = [how.controls(at, controls, seed) for at in range(len(asked.X))]
        return _attribution(how, found, beside, controls, per_base)


def _steps(spectrum: int | None, asked: Attending) -> int:
    if spectrum is None:
        return 24 if asked.tokens <= 4096 else 0
    return int(read_number("spectrum", spectrum, 0, 10000))


@dataclasses.dataclass(frozen=True)
class _Found:
    scores: Tensor  # [M, T] or [M, H, T]
    drift: float
    conditioning: list[Conditioning]


@dataclasses.dataclass(frozen=True)
class _How:
    """One request, sequence by sequence."""

    asked: Attending
    rows: Tensor
    alpha: float
    heads: Any
    norms: bool
    steps: int

    def one(self, at: int) -> _Found:
        """The rollout of a sequence, and how its attention is conditioned."""
        told: list[Conditioning] = []

        def seen(layer: Attention, _r: Tensor, each: Tensor) -> None:
            told.append(measured(layer, identifiable(layer, each), self.steps))

        made, drift = self._down(self.asked.inputs(at), seen)
        return _Found(made, drift, told[::-1])

    def controls(self, at: int, n: int, seed: int) -> Tensor | None:
        """The mean rollout of n shuffles of a sequence; None for 0."""
        if n == 0:
            return None
        shuffled = self.asked.shuffled(at, n, seed)
        made = [self._down(self.asked.inputs(at, each), None)[0] for each in shuffled]
        return torch.stack(made).mean(0)

    def _down(self, inputs: tuple[Tensor, ...], seen: Any) -> tuple[Tensor, float]:
        fold = Rollout(self.alpha, self.heads, seen)
        numbers = sorted(self.asked.layers, reverse=True)
        pairs = (
            (layer, self.asked.captured.norms(which, layer) if self.norms else None)
            for which, layer in zip(numbers, self.asked.top_down(inputs), strict=True)
        )
        made = fold.down(pairs, self.rows)
        return (made.transpose(0, 1) if self.heads == "each" else made), fold.drift


def _attribution(
    how: _How, found: list[_Found], beside: list[Tensor | None], controls: int, per_base: bool
) -> Attribution:
    asked = how.asked
    scores = torch.stack([each.scores for each in found]).cpu()
    distance = by_distance(how.rows.cpu(), asked.tokens).expand(len(found), -1, -1)
    if how.heads == "each":
        distance = distance[:, :, None].expand_as(scores)
    kept = [distance.to(scores), *([torch.stack(beside).cpu()] if controls else [])]  # type: ignore[arg-type]
    drift = max(each.drift for each in found)
    limit = DRIFT if scores.dtype == torch.float32 else 1e-11
    detail = (
        f"by {drift:.0e} at most over {len(asked.layers)} layers (up to {limit:.0e} is rounding)"
    )
    checks = [
        Check("rows keep what they sum to", drift <= limit, detail),
        *told_conditioning([c for each in found for c in each.conditioning]),
        *told_controls(scores, kept, how.rows.cpu()),
    ]
    facts = {
        "method": "attention_rollout", "alpha": how.alpha, "heads": how.heads or "mean of all",
        "weigh": "norms" if how.norms else "weights",
        "layers": [asked.captured.names[at] for at in asked.layers],
        "controls": ["distance", "shuffled"][: len(kept)], "shuffles": controls,
        "conditioning": [[dataclasses.asdict(c) for c in each.conditioning] for each in found],
        "left out": asked.captured.refusals,
        "centres": centres(how.rows.cpu()).tolist(),
        "token_spans": None if asked.places is None else asked.places.spans.tolist(),
    }  # fmt: skip
    held = torch.stack(kept)
    axes = ("sequence", "row", *(("head",) if how.heads == "each" else ()), "token")
    if per_base and asked.places is not None:
        scores, held = asked.places.to_bases(scores), asked.places.to_bases(held)
        axes = (*axes[:-1], "site")
    empty = torch.empty(len(found), 0)
    return Attribution(
        scores, axes, "", 0, empty, facts, tuple(checks), asked.columns, controls=held
    )
