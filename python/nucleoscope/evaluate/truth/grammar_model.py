"""A network whose weights are written down: it finds three motifs and joins them by a gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.evaluate.truth import gates

MOTIFS = ("TGAGTCAT", "AGATAAGG", "CCGCGAGG")
WIDTH = 8
SLACK = 2  # a motif with one mismatch counts half, with two nothing
DISTANCE = 20  # between the starts of motifs that are rightly spaced


class GrammarModel(nn.Module):
    """How well a sequence obeys a grammar.

    Input: one-hot (N, 4, L), alphabet ACGT. Output: (N, 1).

    One convolution holds the motifs as ones, with a bias that leaves 0 of what matches in 6 letters of 8 or
    less; ReLU; a motif's hits are added up over the length, h, and `gate` makes one number of them. For the
    spaced grammar another convolution of two taps looks at hits of both motifs at their distance. A column of
    zeros matches nothing.
    """

    def __init__(self, gate: gates.Gate) -> None:
        super().__init__()
        self.gate = gate
        self.find = nn.Conv1d(4, len(MOTIFS), WIDTH)
        weight = torch.tensor([[[a == m for m in motif] for a in "ACGT"] for motif in MOTIFS])
        with torch.no_grad():
            self.find.weight.copy_(weight / SLACK)
            self.find.bias.fill_((SLACK - WIDTH) / SLACK)  # type: ignore[union-attr]
        self.pair: nn.Conv1d | None = None
        if gate is gates.spaced:
            self.pair = nn.Conv1d(len(MOTIFS), 1, 2, dilation=DISTANCE)
            with torch.no_grad():
                self.pair.weight.zero_()
                self.pair.weight[0, 0, 0] = self.pair.weight[0, 1, 1] = 1.0
                self.pair.bias.fill_(-1.0)  # type: ignore[union-attr]
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        hits = torch.relu(self.find(x))
        h = hits.sum(2)
        if self.pair is None:
            return self.gate(h)[:, None]
        together = torch.relu(self.pair(hits)).sum(2)
        return together + gates.apart(h)[:, None]
