"""Loss gap: what a network knows that a model which can be read does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.diagnostics.additive_model import AdditiveModel
from nucleoscope.diagnostics.asking import Asking, asking
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.engine.answers.read import Func

BATCH = 64
FEWEST = 8  # sequences of which an interval can be drawn

Loss = Callable[[Tensor, Tensor], Tensor]  # predictions and labels [B] -> losses [B]


def squared_error(made: Tensor, labels: Tensor) -> Tensor:
    """Of each sequence."""
    return (made - labels).square()


def cross_entropy(made: Tensor, labels: Tensor) -> Tensor:
    """Of each sequence's logit against a label in [0, 1]."""
    return F.binary_cross_entropy_with_logits(made, labels, reduction="none")


LOSSES: dict[str, Loss] = {"squared": squared_error, "logistic": cross_entropy}


def loss_gap(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot, held out
    labels: Tensor,  # [N]
    transparent: nn.Module,
    args: tuple[Tensor, ...] | None = None,
    *,
    loss: str | Loss = "squared",
    target: Any = None,
    func: Func | None = None,
    n: int = 2000,
    level: float = 0.95,
    random_state: int = 0,
) -> Finding:
    """How much loss is paid for a model that can be read, with an interval.

    A model that is transparent by construction (additive in motifs, say) needs no explanation; where there is
    none, `additive_model` of the training sequences, with the same `loss`, is one to begin with. The gap is
    the mean over held-out sequences of its loss less the network's. Both are asked about the same sequences, so
    the bootstrap draws sequences and not losses: Var(a - b) = Var a + Var b - 2 Cov(a, b), and what is hard
    for both drops out. `closed` is the share of the null deviance (the loss of the best constant, less the
    network's) that the transparent model closes. A gap may be below 0.

    Fires where the whole interval lies above 0: the network knows something that the transparent model does
    not, so its explanation is not the transparent model's. At `level` 0.95 it does so by chance once in 40
    times.

    loss: "squared", "logistic" (of logits), or a function of predictions and labels [B] that gives losses
    [B].

    values: gap, low, high, transparent, unconstrained, null (mean losses), closed. In the loss' own units.

    Raises TypeError or ValueError for models, X, labels or losses that cannot be meant, an `additive_model` of
    another loss, and fewer than 8 sequences. Source: the percentile bootstrap, Efron 1979.

    Equivalent to::

        d = loss(transparent(X), labels) - loss(model(X), labels)
        gap, interval = d.mean(), quantile([d[draw].mean() for draw in draws], [0.025, 0.975])
    """
    asked = asking(model, X, args, target, func)
    read = asking(transparent, X, args, target, func)
    labels = _labels(labels, len(X))
    if not 0 < level < 1:
        raise ValueError(f"level={level}: a probability between 0 and 1")
    if not isinstance(n, int) or n < 100:
        raise ValueError(f"n={n!r}: draws of the bootstrap, 100 or more")
    of = LOSSES.get(loss) if isinstance(loss, str) else loss
    if of is None:
        raise ValueError(f"loss={loss!r}: use {', '.join(map(repr, LOSSES))} or a function")
    if (
        isinstance(loss, str)
        and isinstance(transparent, AdditiveModel)
        and transparent.loss != loss
    ):
        raise ValueError(
            f"transparent: it was fitted for loss={transparent.loss!r}, and what it says means nothing to "
            f"loss={loss!r}; fit it anew: additive_model(X, labels, loss={loss!r})"
        )
    mine, theirs = _losses(asked, labels, of), _losses(read, labels, of)
    apart = theirs - mine
    source = torch.Generator().manual_seed(random_state)
    draws = torch.randint(0, len(apart), (n, len(apart)), generator=source)
    sides = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.quantile(apart[draws].mean(1), sides).tolist()
    null = float(of(_constant(labels, loss), labels).double().mean())
    own, other, gap = float(mine.mean()), float(theirs.mean()), float(apart.mean())
    closed = (null - other) / (null - own) if null > own else float("nan")
    values = {
        "gap": gap, "low": low, "high": high, "transparent": other, "unconstrained": own, "null": null,
        "closed": closed,
    }  # fmt: skip
    return Finding("transparent or not", low > 0, _sentence(values, level), values, {"low": 0.0})


def _labels(labels: Tensor, count: int) -> Tensor:
    if not isinstance(labels, Tensor) or labels.shape != (count,):
        shape = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels: one number a sequence, [{count}], got {shape}")
    if count < FEWEST:
        raise ValueError(f"labels: {count} of them; an interval needs {FEWEST} sequences or more")
    if not torch.isfinite(labels.double()).all():
        raise ValueError("labels: they hold NaN or infinite numbers")
    return labels.double().cpu()


def _losses(asked: Asking, labels: Tensor, of: Loss) -> Tensor:
    with torch.no_grad():
        parts = [
            asked.value(asked.X[at : at + BATCH], tuple(a[at : at + BATCH] for a in asked.args))
            for at in range(0, len(asked.X), BATCH)
        ]
        found = of(torch.cat(parts).double().cpu(), labels)
    if found.shape != labels.shape or not torch.isfinite(found).all():
        raise ValueError(
            f"loss: it must give a finite number a sequence, [{len(labels)}]; got shape {tuple(found.shape)}"
        )
    return found


def _constant(labels: Tensor, loss: str | Loss) -> Tensor:
    """The best constant prediction: the mean, or its log-odds for "logistic"."""
    middle = labels.mean()
    if loss == "logistic":
        middle = torch.logit(middle.clamp(1e-12, 1 - 1e-12))
    return middle.expand_as(labels)


def _sentence(values: dict[str, float], level: float) -> str:
    gap, low, high = values["gap"], values["low"], values["high"]
    said = f"the transparent model loses {gap:.3g} more a sequence ({level:.0%}: {low:.3g} to {high:.3g})"
    closed = values["closed"]
    if closed == closed:
        said += f" and closes {closed:.0%} of what the network explains"
    if low > 0:
        return f"{said}: the network knows more than it, and needs an explanation of its own."
    return f"{said}: reading the transparent model instead costs nothing that can be measured here."
