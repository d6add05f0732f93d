"""Networks in the shape of an ontology: what they refuse, what they hold, and what they tell once trained."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.models.dcell import SMALL, DCell, DrugCell
from nucleoscope.models.edge_linear import EdgeLinear
from nucleoscope.models.gen_net import SMALL as GEN_NET
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.knock_outs import knock_outs
from nucleoscope.models.loading import load_weights
from nucleoscope.models.ontology import Ontology, ontology, read_dcell
from nucleoscope.models.term_contributions import term_contributions
from nucleoscope.models.topology import read_gennet
from nucleoscope.models.transparent import Rlipp, power, rlipp
from tests.parts import lively


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("parents", "annotations", "genes", "message"),
    [
        (
            [("a", "b"), ("b", "a")], [("a", "g")], None,
            "parents: a cycle, [ab] > [ab] > [ab]: .* take out one",
        ),
        (
            [("a", "b")], [("a", "g")], None,
            r"annotations: terms with neither a gene nor a term under them: b \(1 in all\); annotate",
        ),
        ([], [("a", "g")], ["g", "h"], r"genes: names that no term has: h \(1 in all\); annotate each"),
        ([], [("a", "g")], ["g", "g"], r"genes: given twice: g \(1 in all\); each gene is one input"),
        ([], [("a", "g"), ("a", "h")], ["g"], r"annotations: .* not among the inputs: h \(1.*add them"),
        ([], [("a", "g")], "g", "genes: the string 'g'"),
        ([], [("a", "g")], 5, "genes: 5 is no name: give a list of strings"),
        ([], [("a", "g")], ["g", 1], "genes: 1 is no name: give a list of strings"),
        ([], [("a", "g"), ("b", "h")], None, r"parents: 2 terms are under no other \(a, b\), where one"),
        ([], [], None, "the ontology is empty: it has neither parents"),
        ([], {"a": ["g"]}, None, r"annotations: entry 0, 'a', is no pair \(term, gene\) of two"),
        ({"a": ["b"]}, [], None, r"parents: entry 0, 'a', is no pair \(term, child\) of two"),
        ([], [("a", "g", "x")], None, r"entry 0, \('a', 'g', 'x'\), is no pair \(term, gene\)"),
        ([], [("a", "g"), "ah"], None, "annotations: entry 1, 'ah', is no pair"),
        ([], "ag", None, "annotations: a str is no pair"),
        ([], [("a", 7)], None, "entry 0, .* is no pair"),
    ],
)  # fmt: skip
def test_what_is_no_ontology(
    parents: Any, annotations: Any, genes: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ontology(parents, annotations, genes)


def test_what_no_network_is_made_of(tmp_path: Path) -> None:
    for make in (DCell, DrugCell):
        with pytest.raises(TypeError, match="of: a PosixPath, and no Ontology: read a file"):
            make(tmp_path / "o.obo")
    with pytest.raises(ValueError, match=r"units: 0 for term \w+ of 4 genes, where a whole number"):
        DCell(units=lambda _: 0)
    with pytest.raises(TypeError, match=r"units: 6 is no function .* give lambda genes: 6"):
        DCell(units=6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="units: 0 for term"):
        DrugCell(units=0)


def test_levels_read_only_those_before() -> None:
    met: set[str] = set()
    for level in SMALL.levels():
        for term in level:
            assert set(SMALL.children[term]) <= met
        met.update(level)
    assert SMALL.roots == ("cell",)
    assert len(SMALL.under()["cell"]) == 12
    assert SMALL.above("joining") == {"joining", "repair", "cell"}


def test_dcell_text(tmp_path: Path) -> None:
    (tmp_path / "o.txt").write_text("a\tb\tdefault\nb\tg1\tgene\n\na\tg2\tgene\n")
    made = read_dcell(tmp_path / "o.txt")
    assert (made.terms, made.genes) == (("b", "a"), ("g1", "g2"))
    for text, message in [
        ("a\tb\n", "o.txt, line 1: .* is not 'parent child default'"),
        ("\n", "o.txt: it is empty; lines 'parent child default'"),
        ("a\tb\tdefault\nb\ta\tdefault\n", "o.txt: parents: a cycle"),
        ("a\tb\tdefault\na\tg\tgene\n", "o.txt: annotations: terms with neither a gene nor a term"),
    ]:
        (tmp_path / "o.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_dcell(tmp_path / "o.txt")


def test_gennet_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "chr,layer0_node,layer0_name,layer1_node,layer2_node\n1,0,a,0,0\n1,1,b,0,0\n1,2,c,1,0\n"
    )
    assert read_gennet(path) == [[(0, 0), (1, 0), (2, 1)], [(0, 0), (1, 0)]]
    path.write_text(
        "layer0_node,layer1_node\n0,0\n", encoding="utf-8-sig"
    )  # as spreadsheets write it
    assert read_gennet(path) == [[(0, 0)]]
    for text, message in [
        (
            "layer0_node,layer1_node\n0,0\n2,0\n",
            r"t\.csv, line 3: layer0_node goes up to 2, and no row has its node 1",
        ),
        ("layer0_node,layer1_node\n0,x\n", r"t\.csv, line 2: layer1_node holds 'x', where a node"),
        ("layer0_node,layer1_node\n0,0\n1\n", "line 3: layer1_node holds nothing"),
        ("layer0_node,layer1_node\n0,0\n1,-1\n", "line 3: layer1_node holds '-1'.*number from 0"),
        ("layer0_node,other\n0,0\n", "are needed"),
        ("layer0_node,layer1_node\n", "no rows"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_gennet(path)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (7, 9)])
def test_edge_linear_is_a_dense_layer_with_zeros(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    inputs, outputs = shape
    to, of = (torch.rand(outputs, inputs) < 0.6).nonzero(as_tuple=True)
    edges = list(zip(of.tolist(), to.tolist(), strict=True))
    net = EdgeLinear(edges, inputs, outputs).double()
    x = torch.randn(4, inputs, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(net(x), x @ net.dense().T + net.bias)

    def product(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(net, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(product, (x, net.weight.detach().requires_grad_()))


@pytest.mark.parametrize(
    ("edges", "message"),
    [([(0, 1), (0, 1)], "named twice"), ([(3, 0)], "leads out"), ([(0, -1)], "leads out")],
)
def test_edges_that_are_none(edges: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EdgeLinear(edges, 2, 2)


def dense_dcell(net: DCell, x: Tensor) -> Tensor:
    """DCell's answer term by term, from the blocks of its edges: the definition."""
    at = {gene: x[:, i] for i, gene in enumerate(net.ontology.genes)}
    states: dict[str, Tensor] = {}
    layers = zip(net.own, net.mixed, net.joined, net.norms, net.ontology.levels(), strict=True)
    for own, mixed, joined, norm, terms in layers:
        row, unit = 0, 0
        level: dict[str, Tensor] = {}
        for term in terms:
            w = net.widths[term]
            rows = slice(unit, unit + w)
            total = mixed.bias[rows].expand(len(x), -1)
            for child in net.ontology.children[term]:
                total = total + states[child] @ mixed.dense()[rows, slice(*net.place[child])].T
            genes = net.ontology.annotated[term]
            if genes:
                columns = [net.column[g] for g in genes]
                block = own.dense()[row : row + w][:, columns]
                given = torch.stack([at[g] for g in genes], 1) @ block.T + own.bias[row : row + w]
                total = total + given @ joined.dense()[rows, row : row + w].T
                row += w
            level[term] = torch.tanh(total)
            unit += w
        normed = norm(torch.cat(list(level.values()), 1))
        states |= dict(zip(terms, normed.split([net.widths[t] for t in terms], 1), strict=True))
    return net.root(states[net.ontology.roots[0]])


def test_dcell_is_its_terms_one_by_one() -> None:
    torch.manual_seed(0)
    net = lively(DCell()).double()
    x = torch.randint(2, (9, 12)).double()
    torch.testing.assert_close(net(x), dense_dcell(net, x))


def test_dcell_stores_its_edges_alone() -> None:
    net = DCell(units=lambda _: 2)
    count = 0
    for term in net.ontology.terms:
        genes, children = len(net.ontology.annotated[term]), len(net.ontology.children[term])
        own = 2 * genes + 2 if genes else 0
        count += (
            own + 2 * (2 * children + (2 if genes else 0)) + 2 + 4
        )  # mixed, its bias, BatchNorm
    count += (2 + 1) * (len(net.ontology.terms) - 1) + 2 + 1  # what terms say, and the root
    assert size(net) == count


def test_drug_cell_runs_and_has_its_published_forms() -> None:
    net = lively(DrugCell(small=True))
    made = net(torch.randint(2, (3, 12)).float(), torch.rand(3, 16))
    assert made.shape == (3, 1)
    for own in net.cell.own:
        assert len(own.weight) == own.outputs  # one gene a unit


@pytest.mark.parametrize("wide", [11, 17])
def test_other_inputs_than_a_network_was_made_for(wide: int) -> None:
    x, drug = torch.rand(3, 12), torch.rand(3, 16)
    drug_cell, gen = lively(DrugCell(small=True)), lively(GenNet(covariates=2))
    wrong = rf"shape \(3, {wide}\), where \[N, 12\] is needed"
    for net, given, message in [
        (lively(DCell()), (x.new_zeros(3, wide),), f"x: {wrong}: a column a gene"),
        (drug_cell, (x.new_zeros(3, wide), drug), f"x: {wrong}: a column a gene"),
        (drug_cell, (x, x.new_zeros(3, wide)), r"fingerprint: .*where \[N, 16\]"),
        (gen, (x.new_zeros(3, wide), x[:, :2]), f"x: {wrong}: a column a variant"),
        (gen, (x, x[:, :3]), r"covariates: .*where \[N, 2\]"),
        (lively(GenNet()), (x, x[:, :3]), "the model was made with none"),
        (lively(DCell()), (x[0],), r"x: shape \(12,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            net(*given)


def test_networks_of_terms_are_exported_at_any_number_of_examples() -> None:
    examples = torch.export.Dim("examples", min=2)
    x, drug = torch.rand(3, 12), torch.rand(3, 16)
    for net, given in [(lively(DrugCell(small=True)), (x, drug)), (lively(GenNet()), (x,))]:
        made = torch.export.export(net, given, dynamic_shapes=tuple({0: examples} for _ in given))
        more = [torch.cat([each, each]) for each in given]
        torch.testing.assert_close(made.module()(*more), net(*more))


def shuffled_lines(
    seed: int, *, names: dict[str, str] | None = None, genes: object = None
) -> Ontology:
    """SMALL from its edges in another order, with other names where they are given."""
    called = names or {}
    parents = [(called.get(t, t), called.get(c, c)) for t in SMALL.terms for c in SMALL.children[t]]
    annotations = [(called.get(t, t), g) for t in SMALL.terms for g in SMALL.annotated[t]]
    for edges in (parents, annotations):
        random.Random(seed).shuffle(edges)
    return ontology(parents, annotations, genes)  # type: ignore[arg-type]


def test_an_ontology_is_the_same_however_its_lines_are_ordered() -> None:
    for seed in range(5):
        assert shuffled_lines(seed) == SMALL


@pytest.mark.parametrize("make", [DCell, lambda of: DrugCell(of, small=True)])
def test_weights_of_another_ontology_are_refused(make: Callable[[Ontology], nn.Module]) -> None:
    held = make(SMALL).state_dict()
    make(shuffled_lines(1)).load_state_dict(held)
    swapped = shuffled_lines(0, names={"excision": "joining", "joining": "excision"})
    for other in (swapped, shuffled_lines(0, genes=SMALL.genes[::-1])):
        for strict in (True, False):
            with pytest.raises(RuntimeError, match="the weights belong to another"):
                make(other).load_state_dict(held, strict=strict)


def test_weights_of_another_topology_are_refused(tmp_path: Path) -> None:
    pairs = [[(i, i % 4) for i in range(12)], [(i, i // 2) for i in range(4)]]
    torch.save(GenNet().state_dict(), tmp_path / "weights.pt")
    load_weights(GenNet([edges[::-1] for edges in GEN_NET]), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="wiring_"):
        load_weights(GenNet(pairs), tmp_path / "weights.pt")
    with pytest.raises(RuntimeError, match="belong to another GenNet"):
        GenNet(pairs).load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


def test_a_gene_may_have_the_name_of_a_term() -> None:
    of = ontology([("cell", "g2")], [("cell", "g1"), ("g2", "g2"), ("g2", "g3")])
    net = lively(DCell(of, units=lambda _: 2)).double()
    x = torch.randint(2, (6, 3)).double()
    made = knock_outs(net, x, inputs=["g2"], instead=0)
    edited = x.clone()
    edited[:, of.genes.index("g2")] = 0
    torch.testing.assert_close(made.inputs[:, 0], (net(edited) - net(x))[:, 0].detach())
    torch.testing.assert_close(net(x), dense_dcell(net, x))
    assert (made.terms["g2"] - made.inputs[:, 0]).abs().max() > 1e-4


def test_drug_cell_s_heads_are_the_published_ones() -> None:
    """Term by term: Linear to 1, tanh, Linear from 1 to 1; then the layers of the drug."""
    torch.manual_seed(0)
    net = lively(DrugCell(small=True)).double()
    x, drug = torch.randint(2, (5, 12)).double(), torch.rand(5, 16, dtype=torch.float64)
    made = net.outputs(x, drug)
    states = net.cell.states(x)
    for at, term in enumerate(SMALL.terms):
        first = (
            states[term] @ net.said.dense()[at, slice(*net.cell.place[term])] + net.said.bias[at]
        )
        want = torch.tanh(first) * net.scaled.weight[at] + net.scaled.bias[at]
        torch.testing.assert_close(made[:, at], want)
    low = net.drug[:3](drug)
    torch.testing.assert_close(made[:, -2:-1], net.drug_said[0](low))
    torch.testing.assert_close(made[:, -1:], net.drug_said[1](net.drug[3:](low)))


def test_every_parameter_has_a_say() -> None:
    x, drug = torch.randint(2, (5, 12)).float(), torch.rand(5, 16)
    for net, given in [(DrugCell(small=True), (x, drug)), (DCell(small=True), (x,))]:
        (net(*given).sum() + net.outputs(*given).sum()).backward()
        assert not [name for name, p in net.named_parameters() if p.grad is None]


def test_drug_cell_has_its_published_size() -> None:
    """859,190 numbers of 180,536,461 that masked layers hold: of a net they depend on three counts alone."""
    terms, edges, annotations, genes = 2086, 3167, 59753, 3008
    parents = {(f"t{(i - 1) // 8}", f"t{i}") for i in range(1, terms)}
    rest = ((f"t{i}", f"t{j}") for j in range(terms - 1, 0, -1) for i in range(j // 3))
    while len(parents) < edges:
        parents.add(next(rest))
    pairs = dict.fromkeys((f"t{i % terms}", f"g{i % genes}") for i in range(annotations))
    assert len(pairs) == annotations
    net = DrugCell(ontology(sorted(parents), pairs))
    assert size(net) == 859_190
    assert size(net) + annotations * (genes - 1) == 180_536_461


@pytest.mark.parametrize("per_node", [False, True])
def test_gen_net_s_paths_are_its_slope_where_tanh_is_straight(per_node: bool) -> None:
    torch.manual_seed(0)
    net = lively(GenNet(per_node=per_node)).double()
    net.bend = net.end = lambda t: t
    x = torch.zeros(1, 12, dtype=torch.float64, requires_grad=True)
    net(x).sum().backward()
    torch.testing.assert_close(net.path_weights()[0], x.grad[0])


def test_path_weights_take_the_room_of_edges() -> None:
    """60,000 edges between layers that are 40,000, 20,000 and 1 wide, of which a matrix would take 3.2 GB."""
    wide = 40_000
    net = GenNet([[(i, i // 2) for i in range(wide)], [(i, 0) for i in range(wide // 2)]]).eval()
    first, second = net.layers
    scales = [torch.rsqrt(norm.running_var + norm.eps) for norm in net.norms]
    want = first.weight * (second.weight * scales[0]).repeat_interleave(2)
    made = net.path_weights()
    torch.testing.assert_close(made[0], want.detach() * scales[1] * net.last.weight[0, 0].detach())
    assert [len(each) for each in made] == [wide, wide // 2, 1]


def test_gen_net_s_other_forms() -> None:
    net = GenNet(covariates=2, regression=True).eval()
    assert net(torch.rand(3, 12), torch.rand(3, 2)).shape == (3, 1)
    with pytest.raises(ValueError, match="give \\[N, 2\\]"):
        net(torch.rand(3, 12))


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        (
            [[(0, 0)], [(2, 0)]],
            "node 1 of layer1_node: no edge from layer0_node enters it. Give it",
        ),
        ([[(0, 0), (1, 2)], [(0, 0), (2, 0)]], "node 1 of layer1_node: no edge from layer0_node"),
        ([[(0, 0)], [(0, 0), (1, 0)]], "node 1 of layer1_node: no edge from layer0_node enters it"),
        (
            [[(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 0)]],
            "node 2 of layer1_node: no edge leads from it to layer2_node",
        ),
        ([[(0, 0), (2, 0)]], "node 1 of layer0_node: no edge leads from it"),
        ([[(0, 1)]], "node 0 of layer1_node: no edge from layer0_node"),
        ([[(0, 0), (10**12, 0)]], "node 1 of layer0_node"),
        ([], "it has no layers; give edges"),
        ([[]], "there is no edge from layer0_node to layer1_node"),
        ([[(0, 0)], []], "there is no edge from layer1_node to layer2_node"),
        (
            [[(0, 0), (-1, 0)]],
            r"edge \(-1, 0\) from layer0_node to layer1_node: nodes are numbered",
        ),
        ([[(0, 0), (0, 0)]], r"edge \(0, 0\) from layer0_node to layer1_node is named twice"),
        ([[(0, 0, 0)]], r"\(0, 0, 0\) from layer0_node to layer1_node is no pair"),
        ([[(0.5, 0)]], r"\(0\.5, 0\) from layer0_node to layer1_node is no pair"),
        ([[(0, 0)], 5], "topology: 5 from layer1_node to layer2_node is no list of edges"),
        ([(0, 0)], r"topology: 0 from layer0_node to layer1_node is no pair"),
    ],
)
def test_what_is_no_topology(topology: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GenNet(topology)


def test_a_topology_s_file_is_read_first() -> None:
    with pytest.raises(TypeError, match=r"'t\.csv' is a file's name; give what read_gennet"):
        GenNet("t.csv")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="topology: 5; give for each pair of neighbouring layers"):
        GenNet(5)  # type: ignore[arg-type]


def test_a_trained_net_tells_the_planted_genes() -> None:
    """Growth falls with excision's genes, doubly where two are gone; nothing else counts."""
    torch.manual_seed(0)
    x = (torch.rand(512, 12) < 0.3).float()
    planted = [SMALL.genes.index(g) for g in SMALL.annotated["excision"]]
    y = -x[:, planted].sum(1) - (x[:, planted].sum(1) > 1).float()
    net = DCell(units=lambda _: 4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((net(x)[:, 0] - y) ** 2).mean() + 0.2 * ((net.outputs(x) - y[:, None]) ** 2).mean()
        loss.backward()
        optimizer.step()
    net.eval()
    worth = {term: float(change.abs().mean()) for term, change in knock_outs(net, x).terms.items()}
    assert worth["excision"] > 3 * worth["transport"]
    told = rlipp(net, x, y=y)
    assert told["excision"].term > 0.8
    assert told["transport"].term < 0.3
    shares = term_contributions(net, x).terms
    assert shares["excision"].abs().mean() > 3 * shares["transport"].abs().mean()
    x = x[:64].clone().requires_grad_()
    net(x).sum().backward()
    strength = x.grad.abs().mean(0)
    assert set(strength.topk(len(planted)).indices.tolist()) == set(planted)


def test_rlipp_refuses_what_it_cannot_rank() -> None:
    net = DCell().eval()
    with pytest.raises(ValueError, match="10 are the least"):
        rlipp(net, torch.zeros(4, 12))
    with pytest.raises(ValueError, match="the same for all"):
        rlipp(net, torch.zeros(20, 12))
    with pytest.raises(ValueError, match="one number an example"):
        rlipp(net, torch.rand(20, 12), y=torch.zeros(20, 2))

    x = torch.rand(20, 12)
    holed = x.clone()
    holed[7, 3] = float("nan")
    for given, told, message in [
        (holed, {}, r"x: 1 numbers that are NaN or infinite, the first at \[7, 3\]"),
        (x, {"y": holed[:, 3]}, r"y: 1 numbers that are NaN or infinite, the first at \[7\]"),
        (x, {"penalty": -1.0}, "penalty=-1.0: a number above 0"),
        (x, {"penalty": float("nan")}, "penalty=nan"),
        (x[:, :5], {}, r"where \[N, 12\] is needed"),
    ]:
        with pytest.raises(ValueError, match=message):
            rlipp(net, given, **told)
    with pytest.raises(ValueError, match="others: 1 further inputs"):
        rlipp(net, x, x)
    with pytest.raises(ValueError, match="a measured answer is given by name, y="):
        rlipp(net, x, x[:, 0])
    with pytest.raises(TypeError, match="a Linear, where a DCell"):
        rlipp(nn.Linear(12, 1), x)  # type: ignore[arg-type]
    net.train()
    before = net.norms[0].running_mean.clone()
    with pytest.raises(ValueError, match="training mode"):
        rlipp(net, x)
    assert torch.equal(before, net.norms[0].running_mean)


@pytest.mark.parametrize(
    ("term", "children", "gain"),
    [(0.6, 0.3, 2.0), (-0.2, -0.01, 0.0), (-0.2, 0.5, 0.0), (0.0, 0.0, 0.0), (0.4, -0.1, float("inf"))],
)  # fmt: skip
def test_what_is_below_chance_gains_nothing(term: float, children: float, gain: float) -> None:
    assert Rlipp(term, children).gain == pytest.approx(gain)


def test_rlipp_of_a_drug_cell_is_of_its_own_answer() -> None:
    torch.manual_seed(0)
    net = lively(DrugCell(small=True)).double()
    x, drug = torch.randint(2, (40, 12)).double(), torch.rand(40, 16, dtype=torch.float64)
    made, states = rlipp(net, x, drug), net.cell.states(x)
    assert list(made) == list(SMALL.terms)
    answer = net(x, drug)[:, 0].detach()
    assert made["repair"].term == power(states["repair"].detach(), answer, 1.0)
    assert made == rlipp(net, x, drug, y=answer)
    with torch.no_grad():
        net.last[0].weight.neg_()
    assert rlipp(net, x, drug) != made  # the answer that is predicted is the model's
    with pytest.raises(ValueError, match="this model takes 1"):
        rlipp(net, x)


def test_rlipp_of_a_gen_net_s_nodes() -> None:
    torch.manual_seed(0)
    net = lively(GenNet(covariates=1)).double()
    x, beside = torch.randint(3, (30, 12)).double(), torch.rand(30, 1, dtype=torch.float64)
    made = rlipp(net, x, beside)
    assert list(made)[-2:] == ["layer 1, node 0", "layer 1, node 1"]
    assert len(made) == 6
    low, _ = net.states(x)
    answer = net(x, beside)[:, 0].detach()
    want = Rlipp(power(low[:, 1:2], answer, 1.0), power(x[:, 3:6], answer, 1.0))
    assert made["layer 0, node 1"] == want
    assert made["layer 1, node 1"].children == power(low[:, 2:4], answer, 1.0)


def two_sides(genes: int = 12) -> tuple[DCell, Tensor, Tensor]:
    torch.manual_seed(2)
    net = lively(DCell(units=lambda _: 3)).double()
    return net, torch.randint(2, (5, genes)).double(), torch.rand(genes, dtype=torch.float64)


@pytest.mark.parametrize("rule", ["deep_lift", "integrated_gradients"])
def test_terms_pass_on_what_enters_them(rule: str) -> None:
    net, x, start = two_sides()
    made = term_contributions(net, x, start, rule=rule, steps=256)
    off = {"rtol": 0, "atol": 1e-9 if rule == "deep_lift" else 2e-5}
    torch.testing.assert_close(made.difference, (net(x) - net(start.expand_as(x)))[:, 0])
    torch.testing.assert_close(made.terms["cell"], made.difference, **off)
    torch.testing.assert_close(made.inputs.sum(1), made.difference, **off)
    below = made.terms["repair"] + made.terms["transport"]
    torch.testing.assert_close(below, made.difference, **off)
    own = made.inputs[:, [net.ontology.genes.index("g8")]].sum(1)
    children = made.terms["excision"] + made.terms["joining"]
    torch.testing.assert_close(made.terms["repair"], children + own, **off)
    assert made.terms["excision"].abs().max() > 1e-3


def test_contributions_are_slopes_where_nothing_bends() -> None:
    net = lively(GenNet(per_node=True)).double()
    net.bend = net.end = lambda t: t
    x = torch.rand(4, 12, dtype=torch.float64)
    made = term_contributions(net, x, rule="integrated_gradients", steps=2)
    states, first = net.states(x), net.states(torch.zeros_like(x))
    for level, weights in enumerate(net.path_weights()[1:]):
        want = (states[level] - first[level]) * weights
        torch.testing.assert_close(made.terms[f"layer {level}"], want)


@pytest.mark.parametrize("rule", ["deep_lift", "integrated_gradients"])
@pytest.mark.parametrize("regression", [False, True])
def test_each_layer_of_gen_net_adds_up(rule: str, regression: bool) -> None:
    torch.manual_seed(1)
    net = lively(GenNet(covariates=2, regression=regression)).double()
    x, beside = torch.randint(3, (6, 12)).double(), torch.rand(6, 2, dtype=torch.float64)
    made = term_contributions(net, x, None, beside, rule=rule, steps=512)
    want = (net(x, beside) - net(torch.zeros_like(x), beside))[:, 0]
    for each in (*made.terms.values(), made.inputs):
        torch.testing.assert_close(
            each.sum(1), want, rtol=0, atol=1e-9 if rule == "deep_lift" else 5e-3
        )


@pytest.mark.parametrize("rule", ["deep_lift", "integrated_gradients"])
def test_a_drug_cell_s_terms_add_up(rule: str) -> None:
    torch.manual_seed(3)
    net = lively(DrugCell(small=True)).double()
    x, drug = torch.randint(2, (5, 12)).double(), torch.rand(5, 16, dtype=torch.float64)
    made = term_contributions(net, x, None, drug, rule=rule, steps=256)
    want = (net(x, drug) - net(torch.zeros_like(x), drug))[:, 0]
    off = {"rtol": 0, "atol": 1e-9 if rule == "deep_lift" else 2e-5}
    torch.testing.assert_close(made.terms["cell"], want, **off)
    torch.testing.assert_close(made.inputs.sum(1), want, **off)
    assert want.abs().max() > 1e-3


def test_what_has_no_term_contributions() -> None:
    net, x, start = two_sides()
    with pytest.raises(ValueError, match="rule='occlusion'"):
        term_contributions(net, x, rule="occlusion")
    with pytest.raises(ValueError, match="where \\[N, 12\\]"):
        term_contributions(net, x[:, :4])
    with pytest.raises(ValueError, match="training mode"):
        term_contributions(net.train(), x)
    with pytest.raises(ValueError, match="steps=0"):
        term_contributions(net.eval(), x, start, steps=0)
    for baseline, message in [
        (x[:3], r"baseline: shape \(3, 12\), where one for all, \[12\]"),
        (start[:4], r"baseline: shape \(4,\)"),
        (start[0], r"baseline: shape \(\)"),
        (start / 0, "baseline: 12 numbers that are NaN or infinite"),
    ]:
        with pytest.raises(ValueError, match=message):
            term_contributions(net, x, baseline)
    gen = lively(GenNet()).double()
    gen.bend = torch.sin
    with pytest.raises(ValueError, match="has no secant here"):
        term_contributions(gen, x)
    with pytest.raises(TypeError, match="a Linear"):
        term_contributions(nn.Linear(2, 1), x)  # type: ignore[arg-type]
