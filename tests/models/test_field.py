"""The field's models run by deltas as far as they are local at all, and give the definition's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import nucleoscope
from tests.field import FIELD, published
from tests.parts import sequences
from tests.truth import assert_exact


def inputs(name: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Two sequences, and further inputs where the model takes some."""
    given = FIELD[name]
    X = sequences(2, given.length)
    X[1, :, 7] = 0.25
    return X, tuple(torch.randn(2, channels, given.length) for channels in given.others)


@pytest.mark.parametrize("name", FIELD)
def test_locality_ends_where_it_must(name: str) -> None:
    X, others = inputs(name)
    graph = nucleoscope.plan(published(name), X, others or None).graph
    found = {n.name: str(n.target) for n in graph.fx}
    assert tuple(found[seam.name] for seam in graph.seams) == FIELD[name].seams
    assert all("no delta rule" not in seam.reason for seam in graph.seams)
    assert all("field.py" in seam.source for seam in graph.seams)


@pytest.mark.parametrize("name", FIELD)
def test_its_numbers_are_the_definition_s(name: str) -> None:
    X, others = inputs(name)
    end = FIELD[name].length
    assert_exact(
        published(name), X, others, target=[0, -1], start=3, end=min(end, 40),
        local=not FIELD[name].seams,
    )  # fmt: skip
