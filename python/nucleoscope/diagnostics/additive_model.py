"""A transparent model to compare a network with, where there is none: a weight a letter and position."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nucleoscope.reading import read_sequences


class AdditiveModel(nn.Module):
    """The sum of a weight for each letter at each position, and a constant.

    Input: one-hot (N, 4, L), of one length. Output: (N, 1).
    """

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(weight.new_tensor([bias]), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        return (x * self.weight).sum((1, 2))[:, None] + self.bias


def additive_model(
    X: Tensor,  # [N, 4, L] one-hot
    labels: Tensor,  # [N]
    *,
    ridge: float = 1.0,
) -> AdditiveModel:
    """The ridge solution, for `loss_gap`: fit it to sequences that the network was trained on too.

    The squared error plus `ridge` times the squares of the weights is least, in closed form; the constant is not
    held down. It is its own explanation, exactly. Where what matters may lie anywhere it knows little, so that a
    gap to it does not say that no transparent model would do.

    Raises TypeError or ValueError for sequences, labels or a ridge that cannot be meant.

    Equivalent to::

        solve(F.T @ F + ridge * eye, F.T @ (labels - labels.mean()))  # F: X flattened, less its mean
    """
    read_sequences(X, "ACGT", "NCL")
    if labels.shape != (len(X),) or len(X) < 2 or not torch.isfinite(labels.double()).all():
        raise ValueError(
            f"labels: a finite number for each of {len(X)} sequences is needed, and two sequences at least; "
            f"got {tuple(labels.shape)}"
        )
    if not (math.isfinite(ridge) and ridge > 0):
        raise ValueError(f"ridge={ridge!r}: a number above 0")
    flat, y = X.flatten(1).double(), labels.to(X.device).double()
    middle, mean = flat.mean(0), y.mean()
    F, apart = flat - middle, y - mean
    if len(F) < F.shape[1]:  # the same solution, by the smaller of two systems
        weight = F.T @ torch.linalg.solve(F @ F.T + ridge * torch.eye(len(F)).to(F), apart)
    else:
        weight = torch.linalg.solve(F.T @ F + ridge * torch.eye(F.shape[1]).to(F), F.T @ apart)
    model = AdditiveModel(weight.view(X.shape[1:]).float(), float(mean - middle @ weight))
    return model.eval()
