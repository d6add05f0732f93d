"""SpliceNet: its geometry, its shipped weights, and whether they know what a splice site is."""

from __future__ import annotations

from importlib import resources

import pytest
import torch
from torch import Tensor

from nucleoscope.demo import load_sequence
from nucleoscope.models import SpliceNet, SpliceSiteCount

RECEPTIVE_FIELD = 201
COMPLEMENT = str.maketrans("ACGT", "TGCA")
ACCEPTOR, DONOR = 1, 2
STRONGEST = 100  # about twice what the teacher sees on the demo's two strands: 48 and 51


def one_hot(bases: str) -> Tensor:
    """(1, 4, L) of an ACGTN string."""
    return torch.tensor([[[base == letter for base in bases] for letter in "ACGT"]]).float()


def random_bases(length: int) -> str:
    generator = torch.Generator().manual_seed(0)
    return "".join("ACGT"[i] for i in torch.randint(4, (length,), generator=generator).tolist())


@pytest.fixture(scope="module")
def trained() -> SpliceNet:
    return SpliceNet.pretrained()


@pytest.fixture
def untrained() -> SpliceNet:
    torch.manual_seed(0)
    return SpliceNet().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def strands() -> tuple[str, str]:
    """The demo's stretch as it is, and its reverse complement."""
    _, bases, _ = load_sequence()
    return bases, bases.translate(COMPLEMENT)[::-1]


@pytest.mark.parametrize("length", [1, 200, 1003])
def test_shapes(trained: SpliceNet, length: int) -> None:
    x = one_hot(random_bases(length)).expand(3, -1, -1)
    assert trained(x).shape == (3, 3, length)
    assert SpliceSiteCount(trained)(x).shape == (3, 2)


def test_count_is_the_sum_of_site_probabilities(trained: SpliceNet) -> None:
    x = one_hot(random_bases(500))
    probabilities = trained(x).softmax(dim=1)
    torch.testing.assert_close(SpliceSiteCount(trained)(x), probabilities[:, 1:].sum(-1))


@pytest.mark.parametrize("weights", ["trained", "untrained"])
def test_receptive_field(weights: str, request: pytest.FixtureRequest) -> None:
    # In float64 nothing that is reached rounds to zero.
    net = request.getfixturevalue(weights).double()
    bases = random_bases(601)
    flipped = bases[:300] + bases[300].translate(COMPLEMENT) + bases[301:]
    change = net(one_hot(flipped).double()) - net(one_hot(bases).double())
    net.float()
    reached = change.abs().amax(dim=(0, 1)).nonzero()[:, 0]
    assert (reached.min(), reached.max()) == (200, 400)
    assert reached.max() - reached.min() + 1 == RECEPTIVE_FIELD


def test_unknown_bases_are_accepted(trained: SpliceNet) -> None:
    bases = random_bases(400)
    x = one_hot(bases[:150] + "N" * 100 + bases[250:])
    assert x.sum() == 300
    assert trained(x).isfinite().all()
    assert trained(torch.zeros(1, 4, 300)).isfinite().all()


def test_pretrained_weights(trained: SpliceNet) -> None:
    assert not trained.training
    assert sum(p.numel() for p in trained.parameters()) == 45_867
    assert all(tensor.isfinite().all() for tensor in trained.state_dict().values())
    assert not any(p.requires_grad for p in trained.parameters())


def test_shipped_files_are_small() -> None:
    demo = resources.files("nucleoscope") / "demo"
    sizes = {name: len((demo / name).read_bytes()) for name in ("splice_net.npz", "sequence.npz")}
    assert max(sizes.values()) <= 1_000_000, sizes


def test_demo_sequence() -> None:
    name, bases, start = load_sequence()
    assert (name, start, len(bases)) == ("chr22", 20_004_480, 131_072)
    assert set(bases) == set("ACGT")


def dinucleotide_shares(net: SpliceNet, strands: tuple[str, str]) -> dict[str, float]:
    """Share of the strongest sites of each kind that have the intron's GT or AG beside them.

    Both strands are scored, since the stretch has genes on both.
    """
    found: dict[str, list[tuple[float, str]]] = {"donor": [], "acceptor": []}
    for bases in strands:
        probabilities = net(one_hot(bases))[0].softmax(dim=0)[:, 2:-2]
        for kind, channel in (("donor", DONOR), ("acceptor", ACCEPTOR)):
            values, at = probabilities[channel].topk(STRONGEST)
            for value, site in zip(values.tolist(), (at + 2).tolist(), strict=True):
                beside = site + 1 if kind == "donor" else site - 2
                found[kind].append((value, bases[beside : beside + 2]))
    strongest = {kind: sorted(hits, reverse=True)[:STRONGEST] for kind, hits in found.items()}
    signal = {"donor": "GT", "acceptor": "AG"}
    return {
        kind: sum(pair == signal[kind] for _, pair in hits) / len(hits)
        for kind, hits in strongest.items()
    }


def test_strong_sites_have_the_introns_dinucleotides(
    trained: SpliceNet, strands: tuple[str, str]
) -> None:
    shares = dinucleotide_shares(trained, strands)
    assert min(shares.values()) > 0.95, shares


def test_an_untrained_net_knows_no_splice_sites(
    untrained: SpliceNet, strands: tuple[str, str]
) -> None:
    shares = dinucleotide_shares(untrained, strands)
    assert max(shares.values()) < 0.5, shares
