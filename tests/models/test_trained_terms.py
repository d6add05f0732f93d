"""Networks on public ontologies, trained on simulated genotypes: the planted genes and terms are found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.dcell import SMALL, DCell, DrugCell
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.knock_outs import knock_outs
from nucleoscope.models.obo import read_obo
from nucleoscope.models.term_contributions import term_contributions
from nucleoscope.models.transparent import rlipp

# Genes of baker's yeast by the pathway that textbooks put them in: no release's annotations.
REPAIR = {
    "GO:0006284": "APN1 APN2 MAG1 NTG1 NTG2 OGG1 UNG1",
    "GO:0006289": "RAD1 RAD2 RAD4 RAD7 RAD10 RAD14 RAD16 RAD23 RAD26",
    "GO:0006298": "EXO1 MLH1 MLH3 MSH2 MSH3 MSH6 PMS1",
    "GO:0006301": "MMS2 RAD5 RAD6 RAD18 UBC13",
    "GO:0019985": "RAD30 REV1 REV3 REV7",
    "GO:0006302": "MRE11 RAD50 SAE2 XRS2",
    "GO:0006303": "DNL4 LIF1 NEJ1 POL4 YKU70 YKU80",
    "GO:0000724": "RAD51 RAD52 RAD54 RAD55 RAD57 RAD59 RDH54",
    "GO:0000727": "PIF1 POL32",
}
EXCISION, RECOMBINATION = "GO:0006289", "GO:0000724"
# GenNet's example of a classification: 100 variants of ten genes, five in a causal pathway and five in a control.
VARIANTS = {
    "HERC2": 5, "BRCA2": 5, "ApoE": 10, "NRG": 10, "RGS-4": 20,
    "VEGFA": 20, "EGFR": 10, "TGFBI": 10, "TNF": 5, "IL6": 5,
}  # fmt: skip


def trained(net: nn.Module, loss: Callable[[], Tensor], steps: int, rate: float = 0.01) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    net.eval()


def strength(of: Tensor) -> float:
    return float(of.abs().mean())


def test_yeast_without_two_ways_of_repair() -> None:
    """Growth falls once where excision of nucleotides is broken, once more where recombination is: by any gene."""
    torch.manual_seed(0)
    pairs = [(term, gene) for term, genes in REPAIR.items() for gene in genes.split()]
    of = read_obo(Path(__file__).parent / "dna_repair.obo", pairs)
    assert (len(of.terms), len(of.genes), of.roots) == (11, 51, ("GO:0006281",))
    x = (torch.rand(600, 51) < 0.08).float()
    planted = [[of.genes.index(g) for g in of.annotated[t]] for t in (EXCISION, RECOMBINATION)]
    y = -sum(x[:, genes].amax(1) for genes in planted)
    net = DCell(of, units=lambda _: 4)

    def loss() -> Tensor:
        return F.mse_loss(net(x)[:, 0], y) + 0.3 * F.mse_loss(
            net.outputs(x), y[:, None].expand(-1, 10)
        )

    trained(net, loss, 150)
    worth = {term: strength(change) for term, change in knock_outs(net, x).terms.items()}
    beside = [t for t in REPAIR if t not in {EXCISION, RECOMBINATION, "GO:0006302"}]
    assert min(worth[EXCISION], worth[RECOMBINATION]) > 2 * max(worth[term] for term in beside)
    told = rlipp(net, x, y=y)
    assert (
        min(told[EXCISION].term, told[RECOMBINATION].term) > 0.4 > max(told[t].term for t in beside)
    )
    genes = term_contributions(net, x).inputs.abs().sum(0)
    assert set(genes.topk(16).indices.tolist()) == set(planted[0] + planted[1])


def test_a_gen_net_finds_the_causal_pathway_and_its_genes() -> None:
    """Liability by all variants of BRCA2 and of NRG, on the published example's topology."""
    torch.manual_seed(0)
    names = list(VARIANTS)
    gene = torch.tensor([i for i, name in enumerate(names) for _ in range(VARIANTS[name])])
    net = GenNet([list(enumerate(gene.tolist())), [(i, i // 5) for i in range(10)]])
    x = torch.distributions.Binomial(2, torch.full((800, 100), 0.3)).sample()
    causal = [names.index(name) for name in ("BRCA2", "NRG")]
    effect = torch.isin(gene, torch.tensor(causal)).float()
    liability = (x - 0.6) @ effect + 0.3 * torch.randn(800)
    y = (liability > 0).float()

    def loss() -> Tensor:
        few = sum(layer.weight.abs().mean() for layer in net.layers)
        return F.binary_cross_entropy(net(x)[:, 0], y) + 0.05 * few

    trained(net, loss, 200)
    assert float(((net(x)[:, 0] > 0.5) == y).float().mean()) > 0.9
    shares = term_contributions(net, x).terms
    assert set(shares["layer 0"].abs().mean(0).topk(2).indices.tolist()) == set(causal)
    assert strength(shares["layer 1"][:, 0]) > 3 * strength(shares["layer 1"][:, 1])
    worth = knock_outs(net, x).terms["layer 0"].abs().mean(0)
    assert set(worth.topk(2).indices.tolist()) == set(causal)
    paths = net.path_weights()[0].abs()
    assert paths[effect > 0].min() > paths[effect == 0].max()
    told = rlipp(net, x, y=liability)
    assert told["layer 1, node 0"].term > 0.8
    assert told["layer 1, node 1"].term < 0.2
    assert min(told[f"layer 0, node {i}"].term for i in causal) > 0.3


def test_a_drug_cell_finds_what_a_drug_strikes() -> None:
    """A drug with its first bit kills cells without excision, the more the more of its genes are gone."""
    torch.manual_seed(0)
    net = DrugCell(small=True)
    x, drug = (torch.rand(500, 12) < 0.3).float(), (torch.rand(500, 16) < 0.5).float()
    struck = [SMALL.genes.index(g) for g in SMALL.annotated["excision"]]
    y = -(0.3 + 0.7 * drug[:, 0]) * x[:, struck].sum(1)

    def loss() -> Tensor:
        said = net.outputs(x, drug)
        return F.mse_loss(net(x, drug)[:, 0], y) + 0.2 * F.mse_loss(
            said, y[:, None].expand_as(said)
        )

    trained(net, loss, 200, rate=0.02)
    worth = {term: strength(change) for term, change in knock_outs(net, x, drug).terms.items()}
    assert worth["excision"] > 3 * worth["transport"]
    told = rlipp(net, x, drug)
    assert told["excision"].term > 0.5 > told["transport"].term
    genes = term_contributions(net, x, None, drug).inputs.abs().sum(0)
    assert set(genes.topk(4).indices.tolist()) == set(struck)
