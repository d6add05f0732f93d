"""A small base-resolution splice-site net: the model that `nucleoscope demo` explains."""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 24
KERNEL = 11
DILATIONS = (1, 1, 1, 1, 4, 4, 4, 4)


class SpliceNet(nn.Module):
    """Splice sites of the strand that is given, at every base.

    Input: one-hot DNA (N, 4, L), alphabet ACGT, an unknown base is a column of zeros, any L.
    Output: logits (N, 3, L) of [neither, acceptor, donor]. An acceptor is the first base of an
    exon (AG lies just before it), a donor the last base of an exon (GT lies just after it).

    Eight convolutions of kernel 11, four at dilation 1 and four at dilation 4, each followed by
    batch normalisation and ReLU; from the second on, the result is added to what came in. A 1x1
    convolution then gives the logits. Zero padding keeps L.

    Receptive field: 201 bases. The windows that one substituted base opens are 11, 21, 31, 41,
    81, 121, 161 and 201 wide, so that carrying the change costs a table look-up in the first
    layer, then (11 + 21 + 31 + 41 + 81 + 121 + 161) * 11 * 24 * 24 = 2,958,912 multiply-adds,
    and 201 * 24 * 3 = 14,472 in the last: 2.97 M per mutant, whatever L.

    Source: this architecture is our own; `pretrained` holds weights distilled from CI-SpliceAI
    (Strauch et al. 2022, CC BY 4.0) by `training/splice_net.py`. On the demo's stretch, which was
    not trained on, they agree with CI-SpliceAI's sites (p > 0.5) at a PR-AUC of 0.53 for acceptors
    and 0.58 for donors: 201 bases do not tell everything, and probabilities rarely exceed 0.5.
    """

    alphabet = "ACGT"

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(
                WIDTH if layer else 4,
                WIDTH,
                KERNEL,
                dilation=dilation,
                padding=dilation * (KERNEL // 2),
                bias=False,  # the batch normalisation that follows has one
            )
            for layer, dilation in enumerate(DILATIONS)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in DILATIONS)
        self.head = nn.Conv1d(WIDTH, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """One-hot (N, 4, L) -> logits (N, 3, L)."""
        hidden = functional.relu(self.norms[0](self.convs[0](x)))
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            hidden = hidden + functional.relu(norm(conv(hidden)))
        logits: Tensor = self.head(hidden)
        return logits

    @classmethod
    def pretrained(cls) -> SpliceNet:
        """The shipped weights, in eval mode, with no gradients to the parameters."""
        shipped = resources.files("nucleoscope") / "demo" / "splice_net.npz"
        with shipped.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            state = {name: torch.from_numpy(arrays[name]) for name in arrays if name != "facts"}
        net = cls()
        net.load_state_dict(state)
        return net.eval().requires_grad_(False)


class SpliceSiteCount(nn.Module):
    """How many acceptors and donors a sequence holds, as an expectation.

    One-hot (N, 4, L), alphabet ACGT -> (N, 2): the probabilities of [acceptor, donor] summed over
    all positions, in sites per sequence. Both targets are differentiable scalars, which is what
    the demo explains.
    """

    alphabet = "ACGT"

    def __init__(self, net: SpliceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """One-hot (N, 4, L) -> expected counts (N, 2)."""
        probabilities = self.net(x).softmax(dim=1)
        counts: Tensor = probabilities[:, 1:].sum(-1)
        return counts
