"""The field's models run by deltas as far as they are local at all, and give the definition's numbers."""

from __future__ import annotations

import pytest

import nucleoscope
from nucleoscope.models import CATALOG
from tests.field import FIELD, published
from tests.truth import assert_close, engine, largest, truth

SITES = 12


def test_every_model_of_the_catalog_is_here() -> None:
    assert set(CATALOG) <= {given.model or name for name, given in FIELD.items()}


@pytest.mark.parametrize("name", FIELD)
def test_locality_ends_where_it_must_and_numbers_are_the_definition_s(name: str) -> None:
    net, X, others, told = published(name)
    middle = X.shape[2] // 2
    request = {"start": middle, "end": middle + SITES, "target": [0, -1]}
    graph = nucleoscope.plan(net, X, others or None, precision="fp64", **request, **told).graph
    found = {n.name: str(n.target) for n in graph.fx}
    assert tuple(found[seam.name] for seam in graph.seams) == FIELD[name].seams
    assert all("no delta rule" not in seam.reason for seam in graph.seams)
    assert all("models/" in seam.source or "field.py" in seam.source for seam in graph.seams)
    want = truth(net, X, others, **request)
    got = engine(net, X, others, precision="fp64", **request, **told)
    assert_close(got, want, 1e-10 * largest(want) + 1e-14)
    assert (largest(want) > 0).all()
