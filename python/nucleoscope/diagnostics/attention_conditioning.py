"""Attention conditioning: how far weights of attention are determined, and show more than distance."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nucleoscope.diagnostics.asking import asking
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.methods.attention.attention_rollout import attention_rollout

IDENTIFIABLE = 0.5  # of what a head hands on
KAPPA = 3e3  # of keys: 1 / sqrt of float32's rounding
EFFECTIVE_RANK = 0.05  # of the number of tokens
SHARP = 0.5  # of queries that read fewer than two keys


def attention_conditioning(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,
    *,
    rows: Any = None,
    tokens: Any = None,
    spectrum: int | None = None,
) -> Finding:
    """Whether a model's attention can be read as an explanation, layer by layer and head by head.

    A head gives P V. Whatever is added to a row of P at right angles to the columns of V and to 1 changes
    neither that nor the row's sum, so of rP only its projection on U = qr([V, 1]) can be known:
    `identifiable` is ||rP U U^T|| / ||rP||. Keys that are nearly multiples of each other (`kappa`, largest
    over smallest singular value) make the logits undetermined below 1/kappa of their size. A head of low
    effective rank hands on the same to every query, and one whose queries read a single key has no gradient:
    the softmax's Jacobian diag(p) - p p^T has the trace 1 - sum p^2.

    Fires where a head's identifiable fraction is below 0.5 (the mean over heads), its keys' kappa above 3e3,
    its effective rank below 0.05 of the tokens, or more than half of its queries read one key. Without
    attention the question does not apply.

    values: the worst of each over heads, sequences and layers; tokens; layers.

    Raises TypeError or ValueError for a model or X that cannot be meant, and what `attention_rollout` refuses
    of a model that has attention. Source: Brunner et al. 2020 (arXiv 1908.04211); effective rank: Roy and
    Vetterli 2007.

    Equivalent to::

        attention_rollout(model, X).facts["conditioning"]
    """
    asking(model, X, args, None, None)
    try:
        found = attention_rollout(
            model, X, args, rows=rows, tokens=tokens, controls=0, spectrum=spectrum
        )
    except ValueError as refused:
        if "no attention" not in str(refused):
            raise
        return Finding(
            "attention conditioning", False, "the model has no attention.", applies=False
        )
    layers = [layer for sequence in found.facts["conditioning"] for layer in sequence]
    shares = [share for layer in layers for share in layer["identifiable"]]
    ranks = [
        max(rank, 1.0) / layer["tokens"] for layer in layers for rank in layer["effective_rank"]
    ]  # estimated, and 1 at least by what it is
    values = {
        "identifiable": sum(shares) / max(len(shares), 1),
        "kappa": max(k for layer in layers for k in layer["kappa"]["key"]),
        "effective_rank": min(ranks, default=None), "sharp": max(s for layer in layers for s in layer["sharp"]),
        "sink": max(s for layer in layers for s in layer["sink"]), "tokens": layers[0]["tokens"],
        "layers": sorted({layer["layer"] for layer in layers}),
    }  # fmt: skip
    why = _reasons(values)
    said = "; ".join(why) if why else (
        f"{values['identifiable']:.0%} of what heads hand on shows in what they give, and keys are "
        "well conditioned"
    )  # fmt: skip
    limits = {
        "identifiable": IDENTIFIABLE, "kappa": KAPPA, "effective_rank": EFFECTIVE_RANK, "sharp": SHARP,
    }  # fmt: skip
    return Finding("attention conditioning", bool(why), said + ".", values, limits)


def _reasons(values: dict[str, Any]) -> list[str]:
    why = []
    if values["identifiable"] < IDENTIFIABLE:
        why.append(
            f"only {values['identifiable']:.0%} of what heads hand on shows in what they give: the "
            "rest of their "
            "weights could be any others"
        )
    if values["kappa"] > KAPPA:
        why.append(f"keys are collinear (condition {values['kappa']:.0e})")
    if values["effective_rank"] is not None and values["effective_rank"] < EFFECTIVE_RANK:
        why.append(f"a head is of effective rank {values['effective_rank']:.1%} of the tokens")
    if values["sharp"] > SHARP:
        why.append(
            f"a head reads one key alone at {values['sharp']:.0%} of queries, where it has no gradient"
        )
    return why
