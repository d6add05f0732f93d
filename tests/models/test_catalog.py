"""The field's models have their published sizes, shapes and receptive fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models import (
    Borzoi,
    BPNet,
    BPNetOriginal,
    COrigami,
    Enformer,
    EpiBERT,
    M6AFormer,
    Puffin,
    SpliceAI,
    borzoi,
    c_origami,
    enformer,
    epibert,
)
from nucleoscope.models.catalog import CATALOG, example
from nucleoscope.models.chrom_bpnet import ProfileNet

SHAPES = {
    "Basset": (164,), "Factorized Basset": (164,), "DeepSEA": (919,), "Beluga": (2002,), "DanQ": (919,),
    "DeepSTARR": (2,), "DeepCRE": (1,), "BPNet, original": (8, 1000), "BPNet": (1, 1000),
    "ChromBPNet": (1, 1000), "SpliceAI": (3, 5000), "Puffin": (10, 1650), "Puffin-D": (10, 100_000),
    "MPRA-DragoNN": (12,), "m6Aformer": (1,),
    "Enformer": (5313, 896), "Borzoi": (7611, 6144), "Flashzoi": (7611, 6144),
    "EpiBERT": (1, 4092), "C.Origami": (256, 256),
}  # fmt: skip
OTHERS = {"EpiBERT": ((1, 131_072), (693,)), "C.Origami": ((2, 2_097_152),)}


def first_output(name: str, made: Tensor | dict[str, Tensor]) -> Tensor:
    keys = CATALOG[name].outputs
    assert isinstance(made, dict) == bool(keys)
    if isinstance(made, dict):
        assert tuple(made) == keys
        return made[keys[0]]
    return made


@pytest.mark.parametrize("name", CATALOG)
def test_parameters_and_shapes_are_the_published(name: str) -> None:
    with torch.device("meta"):
        net = CATALOG[name].make().eval()
    assert sum(p.numel() for p in net.parameters()) == CATALOG[name].parameters
    letters = (len(CATALOG[name].alphabet), net.length)
    given = [torch.empty(1, *shape, device="meta") for shape in (letters, *OTHERS.get(name, ()))]
    assert first_output(name, net(*given)).shape == (1, *SHAPES[name])


def test_parts_have_their_published_sizes() -> None:
    def size(*parts: nn.Module) -> int:
        return sum(p.numel() for part in parts for p in part.parameters())

    with torch.device("meta"):
        both, hi_c, chrom = Borzoi(), COrigami(), CATALOG["ChromBPNet"].make()
        large = Enformer()
    assert size(both.heads["human"]) == 14_620_731
    assert size(both.heads["mouse"]) == 5_009_968
    assert size(large.heads["human"]) == 16_326_849
    assert size(large.heads["mouse"]) == 5_048_939
    assert size(chrom.accessibility) == 6_377_986
    assert size(chrom.bias) == 217_730
    assert round(size(hi_c.sequence, hi_c.signals, hi_c.join) / 1e6, 2) == 1.54
    assert round(size(hi_c.transformer) / 1e6, 2) == 4.22


@pytest.mark.parametrize("name", CATALOG)
def test_a_small_one_runs_and_tells_sequences_apart(name: str) -> None:
    torch.manual_seed(0)
    net = CATALOG[name].make(small=True).eval().double()
    X, others = example(name, net, 3)
    made = first_output(name, net(X.double(), *(t.double() for t in others)))
    assert made.isfinite().all()
    assert len(made) == 3
    assert not torch.equal(made[0], made[1])


class Local(NamedTuple):
    """The part of a model in front of all that is global, few channels wide, and its published field."""

    make: Callable[[], nn.Module]
    run: Callable[[nn.Module, Tensor], Tensor]
    length: int
    field: int
    stride: int = 1
    letters: int = 4


def small(name: str) -> Local:
    """The tower of a model whose small geometry has the published taps and pools."""
    entry = CATALOG[name]
    return Local(
        lambda: entry.make(small=True), lambda net, x: net.tower(x), 4 * entry.receptive_field,
        entry.receptive_field, entry.stride,
    )  # fmt: skip


def borzoi_tower(net: nn.Module, x: Tensor) -> Tensor:
    x = net.stem(x)
    for part in net.tower:
        x = part(F.max_pool1d(x, 2))
    return F.max_pool1d(x, 2)


def m6a_tower(net: nn.Module, x: Tensor) -> Tensor:
    h = net.stem(x)
    return net.residuals(net.join(torch.cat([branch(h) for branch in net.branches], 1)))


def profile(net: nn.Module, x: Tensor) -> Tensor:
    return net(x)["profile"]


ENFORMER = enformer.SMALL._replace(length=2048, tower=(2,) * 6, stem=2, crop=1)
BORZOI = borzoi.SMALL._replace(length=2048, tower=(2,) * 6, stem=2, taps=15, crop=1)
EPIBERT = epibert.SMALL._replace(length=2048, tower=(2,) * 6, stem=2, atac=(2, 2, 2), atac_taps=50)
HI_C = c_origami.SMALL._replace(length=2**18, stem=1, tower=(1,) * 12)
FIELDS: dict[str, Local] = {
    "Basset": small("Basset"),
    "Factorized Basset": small("Factorized Basset"),
    "DeepSEA": small("DeepSEA"),
    "Beluga": small("Beluga"),
    "DanQ": Local(
        lambda: CATALOG["DanQ"].make(small=True), lambda net, x: net.pool(net.conv(x)), 120, 38, 13
    ),
    "DeepSTARR": small("DeepSTARR"),
    "DeepCRE": small("DeepCRE"),
    "BPNet, original": Local(lambda: BPNetOriginal(filters=1), profile, 4400, 2093),
    "BPNet": Local(lambda: BPNet(filters=1), profile, 3400, 1115),
    "ChromBPNet": Local(lambda: ProfileNet(1, 8), profile, 3400, 1115),
    "MPRA-DragoNN": small("MPRA-DragoNN"),
    "m6Aformer": Local(lambda: M6AFormer(small=True), m6a_tower, 200, 60, 2),
    "SpliceAI": Local(lambda: SpliceAI(channels=1), lambda net, x: net.logits(x), 30_100, 10_001),
    "Puffin": Local(Puffin, lambda net, x: net(x), 1400, 651),
    "Enformer": Local(
        lambda: Enformer(geometry=ENFORMER), lambda net, x: net.tower(net.stem(x)), 2048, 646, 128
    ),
    "Borzoi": Local(lambda: Borzoi(geometry=BORZOI), borzoi_tower, 2048, 646, 128),
    "EpiBERT": Local(
        lambda: EpiBERT(geometry=EPIBERT), lambda net, x: net.tower(net.stem(x)), 2048, 646, 128
    ),
    "EpiBERT's accessibility": Local(
        lambda: EpiBERT(geometry=EPIBERT), lambda net, x: net.atac(x), 512, 121, 32, 1
    ),
    "C.Origami": Local(
        lambda: COrigami(geometry=HI_C), lambda net, x: net.sequence(x), 2**18, 163_803, 8192, 5
    ),
}


@torch.no_grad()
def rising(net: nn.Module) -> nn.Module:
    """The net with weights that are positive and alike, and no constants: what reaches a layer is seen there.

    In such a net a base that is put into a sequence of N can only raise what it reaches: no unit is off, no
    two ways cancel, and no maximum is another's.
    """
    for module in net.modules():
        plain = not isinstance(module, nn.modules.batchnorm._BatchNorm)
        for key, value in module.named_parameters(recurse=False):
            if key == "weight" and plain:
                value.fill_(1.0 / max(value[0].numel(), 1))
            elif key != "weight":
                value.zero_()
    return net.eval().double()


def reached(local: Local, net: nn.Module, site: int) -> Tensor:
    """Which positions of the layer a base at a site changes, in a sequence of N."""
    x = torch.zeros(2, local.letters, local.length, dtype=torch.float64)
    x[1, 0, site] = 1.0
    with torch.no_grad():
        none, one = local.run(net, x)
    return (one != none).any(0).nonzero()[:, 0]


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_field_and_stride_are_the_published(name: str) -> None:
    local = FIELDS[name]
    net = rising(local.make())
    middle = reached(local, net, local.length // 2)
    if local.stride == 1:  # a base reaches as many positions as one of them reads
        assert len(middle) == local.field
        return
    cell = int(middle[len(middle) // 2])

    def reads(site: int) -> bool:
        return bool((reached(local, net, site) == cell).any())

    inside = local.length // 2
    first = edge(lambda d: reads(inside - d), inside)
    last = edge(lambda d: reads(inside + d), local.length - 1 - inside)
    assert first + last + 1 == local.field
    assert torch.equal(reached(local, net, inside + local.stride), middle + 1)


def edge(reads: Callable[[int], bool], limit: int) -> int:
    """The largest distance at which a cell still reads, by bisection: a field is in one piece."""
    low, high = 0, limit + 1
    while high - low > 1:
        half = (low + high) // 2
        low, high = (half, high) if reads(half) else (low, half)
    return low


def test_puffin_s_terms_add_up() -> None:
    torch.manual_seed(0)
    net = Puffin(small=True).eval()
    X, _ = example("Puffin", net, 2)
    terms = net.effects(X)
    assert list(terms) == ["motif", "start", "three"]
    torch.testing.assert_close(F.softplus(sum(terms.values())), net(X))


def test_puffin_sees_both_strands_alike() -> None:
    torch.manual_seed(0)
    net = Puffin(small=True).eval()
    X, _ = example("Puffin", net)
    maps, turned = net.activations(X)["motif"], net.activations(X.flip([1, 2]))["motif"]
    torch.testing.assert_close(turned.flip(2).roll(3, 1), maps)


def test_c_origami_answers_alike_wherever_in_the_batch() -> None:
    torch.manual_seed(0)
    net = COrigami(small=True).eval()
    X, (signals,) = example("C.Origami", net)
    many = net(X.expand(3, -1, -1), signals.expand(3, -1, -1))
    torch.testing.assert_close(many[2], net(X, signals)[0], rtol=1e-4, atol=1e-5)


def test_bpnet_with_a_control_needs_it() -> None:
    net = BPNet(tracks=2, controls=2, small=True).eval()
    X, _ = example("BPNet", net)
    with pytest.raises(ValueError, match="give the control's profile"):
        net(X)
    made = net(X, torch.zeros(1, 2, 40), torch.zeros(1, 2))
    assert made["profile"].shape == (1, 2, 40)
    with pytest.raises(ValueError, match=r"control: shape \(1, 2, 39\), where \[N, 2, 40\]"):
        net(X, torch.zeros(1, 2, 39), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"log_counts: shape \(1, 3\), where \[N, 2\]"):
        net(X, torch.zeros(1, 2, 40), torch.zeros(1, 3))
    with torch.device("meta"):
        full = BPNet(tracks=2, controls=2)
    assert sum(p.numel() for p in full.parameters()) == 113_936


@pytest.mark.parametrize("bins", [90, 95, 97])
def test_signals_of_another_resolution_are_refused(bins: int) -> None:
    net = COrigami(small=True).eval()
    X, _ = example("C.Origami", net)
    with pytest.raises(ValueError, match=r"signals: .* where \[N, 2, 96\] belongs"):
        net(X, torch.zeros(1, 2, bins))


@pytest.mark.parametrize("name", ["Basset", "Factorized Basset"])
def test_a_length_without_a_cell_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="length=30"):
        CATALOG[name].make(30)


@pytest.mark.parametrize("make", [Enformer, Borzoi])
def test_attention_of_another_length_is_refused(make: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="depend on the length"):
        make(small=True)(torch.zeros(1, 4, 256))
