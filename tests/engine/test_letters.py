"""Models that take letters as token numbers: argmax of the one-hot input, then an embedding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from tests.parts import Net, conv, lively, sequences
from tests.truth import assert_exact


def embedded(layout: str) -> nn.Module:
    """Embedding, two convolutions, a mean."""

    def forward(self: Net, x: Tensor) -> Tensor:
        h = self.table(x.argmax(1 if layout == "NCL" else -1)).transpose(1, 2)
        return self.b(torch.relu(self.a(h))).mean(2)

    return lively(Net(forward, table=nn.Embedding(4, 6), a=conv(6, 5, 5), b=conv(5, 2, 3)))


def with_odd_columns(layout: str) -> Tensor:
    """Sequences with unknown and ambiguous bases: their token is the first of the largest."""
    X = sequences(2, 17)
    X[0, :, 4] = 0
    X[1, :, 7] = 0.25
    X[1, :, 9] = torch.tensor([0, 0.5, 0.5, 0])
    return X if layout == "NCL" else X.transpose(1, 2).contiguous()


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_an_embedding_of_letters(layout: str) -> None:
    assert_exact(
        embedded(layout), with_odd_columns(layout), layout=layout, target=[0, 1], local=True
    )


def test_pairs_of_letters_are_a_seam() -> None:
    def forward(self: Net, x: Tensor) -> Tensor:
        tokens = x.argmax(1)
        pairs = tokens[:, 1:] * 4 + tokens[:, :-1]
        return self.b(self.table(pairs).transpose(1, 2)).mean(2)

    model = lively(Net(forward, table=nn.Embedding(16, 6), b=conv(6, 2, 3)))
    X = with_odd_columns("NCL")
    assert_exact(model, X, local=False)
    (seam,) = nucleoscope.plan(model, X).graph.seams
    assert "letters as token numbers" in seam.reason
    assert "x.argmax(1)" in seam.source


def test_an_argmax_of_a_layer_is_a_seam() -> None:
    def forward(self: Net, x: Tensor) -> Tensor:
        return self.table(self.a(x).argmax(1)).mean(1)

    model = lively(Net(forward, table=nn.Embedding(5, 3), a=conv(4, 5, 3)))
    assert_exact(model, sequences(2, 12), local=False)
