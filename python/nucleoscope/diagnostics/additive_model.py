"""A transparent model to compare a network with, where there is none: a weight a letter and position."""

from __future__ import annotations

import math
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.reading import read_sequences

LOSSES = ("squared", "logistic")
STEPS, SMALL = 200, 1e-12  # of Newton's method: at most, and what ends it, of the loss


class AdditiveModel(nn.Module):
    """The sum of a weight for each letter at each position, and a constant.

    Input: one-hot (N, 4, L), of one length. Output: (N, 1), log-odds where `loss` is "logistic", for which it
    was fitted.
    """

    def __init__(self, weight: Tensor, bias: float, loss: str = "squared") -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(weight.new_tensor([bias]), requires_grad=False)
        self.loss = loss

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        return (x * self.weight).sum((1, 2))[:, None] + self.bias


def additive_model(
    X: Tensor,  # [N, 4, L] one-hot
    labels: Tensor,  # [N]
    *,
    loss: str = "squared",
    ridge: float = 1.0,
) -> AdditiveModel:
    """The ridge solution, for `loss_gap`: fit it to sequences that the network was trained on too.

    The summed loss plus `ridge` times the squares of the weights is least; the constant is not held down.
    It is its own explanation, exactly. Where what matters may lie anywhere it knows little, so that a gap to it
    does not say that no transparent model would do.

    loss: as of `loss_gap`. "squared", whose solution has a closed form, says labels; "logistic", by Newton's
    method in float64 until a step gains nothing, says log-odds of labels from 0 to 1.

    Raises TypeError or ValueError for sequences, labels, a loss or a ridge that cannot be meant, and for labels
    of one class alone.

    Equivalent to::

        solve(F.T @ F + ridge * eye, F.T @ (labels - labels.mean()))  # F: X flattened, less its mean
        LogisticRegression(C=1 / (2 * ridge)).fit(F, labels)  # loss="logistic"
    """
    read_sequences(X, "ACGT", "NCL")
    y = _labels(labels, len(X)).to(X.device)
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r}: use {' or '.join(map(repr, LOSSES))}")
    if isinstance(ridge, bool) or not isinstance(ridge, Real):
        raise TypeError(f"ridge={ridge!r}: a number above 0 is needed")
    if not (math.isfinite(ridge) and ridge > 0):
        raise ValueError(f"ridge={ridge!r}: a number above 0")
    flat = X.detach().flatten(1).double()
    middle = flat.mean(0)
    solve = _squared if loss == "squared" else _logistic
    wide = len(X) < flat.shape[1]
    # of few sequences the weights are sums of these: the same solution, by the smaller of two systems
    basis, across = torch.linalg.qr((flat - middle).T) if wide else (None, flat - middle)
    held, constant = solve(across.T if basis is not None else across, y, float(ridge))
    weight = held if basis is None else basis @ held
    bias = float(constant - middle @ weight)
    return AdditiveModel(weight.view(X.shape[1:]).float(), bias, loss).eval()


def _labels(labels: Tensor, count: int) -> Tensor:
    if not isinstance(labels, Tensor):
        raise TypeError(
            f"labels: a torch.Tensor is needed, got {type(labels).__name__}; use torch.as_tensor(labels)"
        )
    if labels.is_complex():
        raise TypeError(f"labels: real numbers or classes are needed, got {labels.dtype}")
    if labels.shape != (count,) or count < 2 or not torch.isfinite(labels.double()).all():
        raise ValueError(
            f"labels: a finite number for each of {count} sequences is needed, and two sequences at least; "
            f"got {tuple(labels.shape)}"
        )
    return labels.detach().double()


def _squared(
    features: Tensor, y: Tensor, ridge: float
) -> tuple[Tensor, Tensor]:  # [N, P], [N] -> [P], []
    """Of features whose mean is 0."""
    held = ridge * torch.eye(features.shape[1]).to(features)
    return torch.linalg.solve(features.T @ features + held, features.T @ (y - y.mean())), y.mean()


def _logistic(
    features: Tensor, y: Tensor, ridge: float
) -> tuple[Tensor, Tensor]:  # [N, P], [N] -> [P], []
    """By Newton's method, a step halved until it gains what it must: the loss is convex, and has one least."""
    if not ((y >= 0) & (y <= 1)).all():
        ends = f"from {float(y.min()):g} to {float(y.max()):g}"
        raise ValueError(f"labels: for loss='logistic' they lie in [0, 1]; these go {ends}")
    if not 0 < float(y.mean()) < 1:
        raise ValueError(
            "labels: all are of one class, and their log-odds infinite; give sequences of both"
        )
    F1 = torch.cat([features, torch.ones_like(y)[:, None]], 1)
    held = torch.full_like(F1[0], ridge)
    held[-1] = 0  # the constant

    def of(w: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(F1 @ w, y, reduction="sum") + held @ w.square()

    w = torch.zeros_like(held)
    w[-1] = torch.logit(y.mean())
    now = of(w)
    for _ in range(STEPS):
        p = torch.sigmoid(F1 @ w)
        slope = F1.T @ (p - y) + 2 * held * w
        curved = (F1.T * (p * (1 - p))) @ F1 + torch.diag(2 * held)
        step = torch.linalg.solve(curved, slope)
        gain, length = float(slope @ step), 1.0
        if gain <= SMALL * float(now):
            return w[:-1], w[-1]
        while of(w - length * step) > now - length * gain / 4 and length > SMALL:
            length /= 2
        w = w - length * step
        now = of(w)
    raise ValueError(
        f"ridge={ridge}: {STEPS} steps did not find the least loss; a larger one would"
    )
