"""Knock-outs carried by edges are the whole model run with activations replaced."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.models.dcell import SMALL, DCell, DrugCell
from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.knock_outs import knock_outs
from nucleoscope.models.ontology import Ontology, ontology
from nucleoscope.naive.methods.knock_out import knock_out
from tests.parts import lively

CLOSE = {"rtol": 1e-9, "atol": 1e-13}


def drawn(seed: int, terms: int = 17, genes: int = 9) -> Ontology:
    """A random DAG under one root, terms with several parents among them."""
    rng = random.Random(seed)
    parents = []
    for i in range(1, terms):
        over = rng.sample(range(i), min(i, rng.choice([1, 1, 2, 3])))
        parents += [(f"t{o}", f"t{i}") for o in over]
    annotations = [(f"t{i}", f"g{rng.randrange(genes)}") for i in range(terms)]
    annotations += [(f"t{rng.randrange(terms)}", f"g{g}") for g in range(genes)]
    return ontology(parents, dict.fromkeys(annotations))


def places(cell: DCell) -> Iterator[tuple[str, nn.Module, slice]]:
    """Each term, the BatchNorm that its state comes out of, and its units there."""
    first = cell.length
    for norm, terms in zip(cell.norms, cell.ontology.levels(), strict=True):
        for term in terms:
            start, end = cell.place[term]
            yield term, norm, slice(start - first, end - first)
        first += norm.num_features  # type: ignore[operator]


def with_input(x: Tensor, at: int, instead: str | float) -> Tensor:
    edited = x.clone()
    edited[:, at] = x[:, at].mean() if instead == "mean" else instead
    return edited


def same_as_the_model_s(
    model: DCell | DrugCell, x: Tensor, *others: Tensor, instead: str | float
) -> None:
    cell = model.cell if isinstance(model, DrugCell) else model
    made = knock_outs(model, x, *others, inputs=cell.ontology.genes, instead=instead)
    assert list(made.terms) == list(cell.ontology.terms)
    assert max(float(change.abs().max()) for change in made.terms.values()) > 1e-3
    states = cell.states(x)
    for term, norm, units in places(cell):
        held = (
            states[term].mean(0) if instead == "mean" else torch.full_like(states[term][0], instead)
        )  # type: ignore[arg-type]
        want = knock_out(model, norm, units, held, x, *others)
        torch.testing.assert_close(made.terms[term], want, **CLOSE)
    for at in range(cell.length):
        want = (model(with_input(x, at, instead), *others) - model(x, *others))[:, 0]
        torch.testing.assert_close(made.inputs[:, at], want, **CLOSE)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("instead", ["mean", 0, 1.0])
def test_a_cell_s_terms_and_genes(
    seed: int, instead: str | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(seed)
    if seed % 2:  # knock-outs in several blocks
        monkeypatch.setattr(sys.modules[knock_outs.__module__], "HELD", 1 << 12)
    net = lively(DCell(drawn(seed), units=lambda genes: 1 + genes % 3)).double()
    same_as_the_model_s(net, torch.randint(2, (3 + seed, net.length)).double(), instead=instead)


@pytest.mark.parametrize("instead", ["mean", 0.0])
def test_a_drug_cell_s(instead: str | float) -> None:
    torch.manual_seed(0)
    net = lively(DrugCell(drawn(3), small=True)).double()
    x, drug = torch.randint(2, (5, net.cell.length)).double(), torch.rand(5, 16).double()
    same_as_the_model_s(net, x, drug, instead=instead)


@pytest.mark.parametrize("per_node", [False, True])
@pytest.mark.parametrize("covariates", [0, 2])
@pytest.mark.parametrize("instead", ["mean", 0.0])
def test_a_gen_net_s_nodes_and_variants(
    per_node: bool, covariates: int, instead: str | float
) -> None:
    torch.manual_seed(1)
    net = GenNet(per_node=per_node, covariates=covariates, regression=not per_node)
    net = lively(net).double()
    for part in net.parameters():  # so that no ReLU is shut for all
        part.data.abs_()
    x = torch.randint(3, (7, 12)).double()
    others = [torch.rand(7, covariates, dtype=torch.float64)] if covariates else []
    made = knock_outs(net, x, *others, inputs=range(12), instead=instead)
    assert [len(nodes[0]) for nodes in made.terms.values()] == [4, 2]
    for state, norm, nodes in zip(net.states(x), net.norms, made.terms.values(), strict=True):
        for node in range(state.shape[1]):
            held = state[:, node].mean()[None] if instead == "mean" else torch.zeros(1)
            want = knock_out(net, norm, slice(node, node + 1), held, x, *others)
            torch.testing.assert_close(nodes[:, node], want, **CLOSE)
    for at in range(12):
        want = (net(with_input(x, at, instead), *others) - net(x, *others))[:, 0]
        torch.testing.assert_close(made.inputs[:, at], want, **CLOSE)
    assert made.terms["layer 0"].abs().max() > 0


def test_only_what_is_above_is_multiplied() -> None:
    """Of joining: its edges to repair, and those of repair to the cell; of the cell: none."""
    net = lively(DCell(units=lambda _: 2)).double()
    x = torch.randint(2, (3, 12)).double()
    cell = knock_outs(net, x, terms=["cell"])
    assert (list(cell.terms), cell.facts["products"]) == (["cell"], 0)
    made = knock_outs(net, x, terms=["joining"])
    assert made.facts["products"] == 2 * 2 + 2 * 2
    assert made.facts["knocked_out"] == 1
    edges = sum(len(m.weight) for m in net.modules() if isinstance(m, EdgeLinear))
    assert made.facts["products_of_forwards"] == edges - len(net.said.weight)
    assert made.inputs.shape == (3, 0)


def test_a_small_change_keeps_its_digits() -> None:
    """In float32, where two outputs about 1 apart by 1e-7 have none: the change is what float64 says."""
    torch.manual_seed(0)
    net = lively(DCell(units=lambda _: 2))
    with torch.no_grad():
        net.root.bias.fill_(100.0)
    x = torch.randint(2, (6, 12)).float()
    made = knock_outs(net, x, instead=0)
    want = knock_outs(net.double(), x.double(), instead=0)
    for term, change in want.terms.items():
        torch.testing.assert_close(made.terms[term].double(), change, rtol=1e-4, atol=1e-7)


def test_what_has_no_knock_outs() -> None:
    net, x = lively(DCell()), torch.zeros(3, 12)
    for given, told, message in [
        ((x[:, :4],), {}, r"x: shape \(3, 4\), where \[N, 12\]"),
        ((x[:0],), {}, "N 1 or more"),
        ((x, x), {}, "others: 1 further inputs of \\[3\\] rows; this model takes 0"),
        ((x,), {"terms": ["repair", "growth"]}, "terms: 1 that this model has not: 'growth'"),
        ((x,), {"inputs": ["g99"]}, "inputs: 1 that this model has not: 'g99'; it has 12"),
        ((x,), {"instead": "median"}, "instead='median'"),
        ((x,), {"instead": float("nan")}, "instead=nan"),
        ((x,), {"instead": True}, "instead=True"),
    ]:
        with pytest.raises(ValueError, match=message):
            knock_outs(net, *given, **told)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a list of names, such as \\['repair'\\]"):
        knock_outs(net, x, terms="repair")
    with pytest.raises(TypeError, match="a Linear, where a DCell"):
        knock_outs(nn.Linear(12, 1), x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="training mode"):
        knock_outs(DCell(SMALL), x)
    with pytest.raises(ValueError, match="this model takes 1"):
        knock_outs(lively(DrugCell(small=True)), x)
    with pytest.raises(ValueError, match=r"of \[2\] rows"):
        knock_outs(lively(GenNet(covariates=2)), x, torch.zeros(2, 2))
    gen = lively(GenNet())
    gen.bend = torch.sin
    with pytest.raises(ValueError, match="has no delta"):
        knock_outs(gen, x)
