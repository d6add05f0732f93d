"""Filters tell their motif by what makes them fire; their own values only up to a gauge."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.models import Basset
from nucleoscope.models.catalog import example
from nucleoscope.models.kernel_motifs import canonical, filter_influence, kernel_motifs
from nucleoscope.models.known_motifs import read_meme, tomtom
from tests.models.real_data import folder
from tests.parts import sequences

WORD = [2, 0, 3, 0, 1]  # GATAC


def looking_for(word: list[int], filters: int = 3) -> nn.Conv1d:
    """Filter 1 fires on a word, the others on nothing in particular."""
    torch.manual_seed(0)
    conv = nn.Conv1d(4, filters, len(word)).eval()
    with torch.no_grad():
        conv.weight[1] = -1.0
        for k, letter in enumerate(word):
            conv.weight[1, letter, k] = 1.0
        conv.bias[1] = 0.0
    return conv


@torch.no_grad()
def by_hand(conv: nn.Conv1d, X: Tensor, f: int, share: float) -> tuple[Tensor, int]:
    """The definition, a subsequence at a time: counts and sites."""
    taps = conv.kernel_size[0]
    values = {
        (n, i): float((conv.weight[f] * x[:, i : i + taps]).sum() + conv.bias[f])
        for n, x in enumerate(X)
        for i in range(x.shape[1] - taps + 1)
        if (x[:, i : i + taps].amax(0) == 1).all()
    }
    above = [at for at, value in values.items() if value > share * max(values.values())]
    return sum(X[n][:, i : i + taps] for n, i in above), len(above)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_motifs_are_their_definition(share: float) -> None:
    conv, X = looking_for(WORD), sequences(7, 53)
    X[2, :, 11] = 0
    X[3, :, 5] = 0.25
    for motif in kernel_motifs(conv, conv, X, share=share, batch=3):
        counts, sites = by_hand(conv, X, motif.filter, share)
        assert motif.sites == sites
        filled = counts.double() + 0.25
        torch.testing.assert_close(motif.probabilities, filled / filled.sum(0))


def test_a_word_is_found_and_its_information() -> None:
    conv, X = looking_for(WORD), sequences(200, 60)
    motif = kernel_motifs(conv, conv, X, share=0.9, pseudocount=1e-9)[1]
    assert motif.probabilities.argmax(0).tolist() == WORD
    assert motif.sites > 5
    torch.testing.assert_close(motif.information, torch.full((5,), 2.0, dtype=torch.float64))


def test_both_strands() -> None:
    conv, X = looking_for(WORD), sequences(20, 60)
    one, two = kernel_motifs(conv, conv, X)[1], kernel_motifs(conv, conv, X, both_strands=True)[1]
    turned = kernel_motifs(conv, conv, X.flip([1, 2]))[1]
    if one.threshold == turned.threshold == two.threshold:
        assert two.sites == one.sites + turned.sites


def test_five_letters_turn_by_their_pairs_and_have_more_bits() -> None:
    torch.manual_seed(0)
    conv = nn.Conv1d(5, 2, 3).eval()
    four = sequences(9, 40)[:, [0, 3, 1, 2]]  # ATCG
    four[2, :, 7] = 0
    X = torch.cat([four, 1 - four.sum(1, keepdim=True)], 1)  # and N
    made = kernel_motifs(conv, conv, X, both_strands=True, alphabet="ATCGN")
    both = torch.cat([X, X.flip(2)[:, [1, 0, 3, 2, 4]]])
    want = kernel_motifs(conv, conv, both, alphabet="ATCGN")
    for a, b in zip(made, want, strict=True):
        assert a.sites == b.sites > 0
        torch.testing.assert_close(a.probabilities, b.probabilities)
        assert (a.probabilities[4] < 0.05).all()  # stretches that hold an N are left out
        assert (a.information >= 0).all()
    even = made[0]._replace(probabilities=torch.full((5, 3), 0.2, dtype=torch.float64))
    torch.testing.assert_close(even.information, torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"both_strands=True: .*do not pair"):
        kernel_motifs(conv, conv, X, both_strands=True, alphabet="ACGTX")
    with pytest.raises(ValueError, match="alphabet='ACGT': the layer reads 5 letters"):
        kernel_motifs(conv, conv, X)


def normed(scale: list[float]) -> nn.Sequential:
    """Basset's first unit: convolution, BatchNorm, ReLU."""
    net = nn.Sequential(looking_for(WORD), nn.BatchNorm1d(3), nn.ReLU()).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(scale))
        net[1].running_mean.copy_(torch.tensor([0.5, -50.0, 1.0]))
        net[1].running_var.copy_(torch.tensor([4.0, 0.25, 1.0]))
        net[1].bias.copy_(torch.tensor([0.1, -104.0, 0.3]))
    return net


@pytest.mark.parametrize("scale", [[1.0, 1.0, 1.0], [-1.0, 1.0, -0.5]])
def test_a_unit_s_output_is_what_fires(scale: list[float]) -> None:
    """The threshold is of what goes into ReLU: the shift counts, and a negative scale turns it round."""
    net, X = normed(scale), sequences(30, 50)
    conv = net[0]
    folded = nn.Conv1d(4, 3, len(WORD)).eval()
    with torch.no_grad():
        factor = net[1].weight / (net[1].running_var + net[1].eps).sqrt()
        folded.weight.copy_(conv.weight * factor[:, None, None])
        folded.bias.copy_((conv.bias - net[1].running_mean) * factor + net[1].bias)
        fired = net(X).amax((0, 2)) > 0
    found = kernel_motifs(net, conv, X)
    for f, (a, b) in enumerate(zip(found, kernel_motifs(folded, folded, X), strict=True)):
        assert (a.unit, b.unit) == ("BatchNorm", "convolution")
        assert a.sites == b.sites
        assert (a.sites > 0) == bool(fired[f])
        assert a.threshold == pytest.approx(b.threshold, abs=1e-4)
        torch.testing.assert_close(a.probabilities, b.probabilities)
    assert kernel_motifs(conv, conv, X)[1].sites > found[1].sites  # by itself, without its shift


def test_a_shift_that_batch_norm_takes_back() -> None:
    torch.manual_seed(0)
    net = Basset(small=True).eval()
    X, _ = example("Basset", net, 8)
    before = kernel_motifs(net, net.tower[0], X)
    with torch.no_grad():
        net.tower[0].bias -= 50
        net.tower[1].running_mean -= 50
    for a, b in zip(before, kernel_motifs(net, net.tower[0], X), strict=True):
        assert a.sites == b.sites > 0


def test_units_that_have_no_one_output() -> None:
    net, X = normed([1.0, 1.0, 1.0]), sequences(3, 20)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.a, self.b = net[0], net[1], nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.conv(x)
            return torch.cat([self.a(h), self.b(h)], 1)

    with pytest.raises(ValueError, match="several BatchNorms"):
        kernel_motifs(Two().eval(), net[0], X)
    with pytest.raises(ValueError, match="training mode"):
        kernel_motifs(net.train(), net[0], X)
    bare = nn.Sequential(net[0], nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ValueError, match="keeps no statistics"):
        kernel_motifs(bare, net[0], X)
    with pytest.raises(ValueError, match="batch=0"):
        kernel_motifs(net[0], net[0], X, batch=0)
    with pytest.raises(ValueError, match="with a sequence in it"):
        kernel_motifs(net[0], net[0], X[:0])


def test_a_filter_that_never_fires_has_no_sites() -> None:
    conv = looking_for(WORD)
    with torch.no_grad():
        conv.bias[1] = -100.0
    motif = kernel_motifs(conv, conv, sequences(4, 30))[1]
    assert motif.sites == 0
    assert (motif.probabilities == 0.25).all()


def test_the_gauge_is_free_and_canonical_fixes_it() -> None:
    """Other weights, the same net: only the canonical form is the same for both."""
    torch.manual_seed(0)
    conv, norm = nn.Conv1d(4, 3, 5).double(), nn.BatchNorm1d(3, affine=False, eps=1e-12).double()
    other = nn.Conv1d(4, 3, 5).double()
    factor, shift = torch.tensor([2.0, 0.5, 7.0]).double(), torch.randn(3, 1, 5).double()
    with torch.no_grad():
        other.weight.copy_(conv.weight * factor[:, None, None] + shift)
        other.bias.copy_(torch.randn(3))
    X = sequences(9, 40).double()
    torch.testing.assert_close(norm(other(X)), norm(conv(X)))
    a, b = canonical(conv), canonical(other)
    torch.testing.assert_close(a.kernels, b.kernels)
    torch.testing.assert_close(b.scale / a.scale, factor)
    rebuilt = (
        torch.nn.functional.conv1d(X, a.kernels) * a.scale[:, None]
        + (a.offset + conv.bias)[:, None]
    )
    torch.testing.assert_close(conv(X), rebuilt)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    assert canonical(conv).kernels.isfinite().all()


def test_influence_is_its_definition_and_a_copy_hides_it() -> None:
    torch.manual_seed(0)
    net = (
        nn.Sequential(nn.Conv1d(4, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26, 2))
        .eval()
        .double()
    )
    X = sequences(6, 30).double()
    made = filter_influence(net, net[1], X)
    assert made.shape == (4, 2)
    maps = net[1](net[0](X))
    maps[:, 2] = maps[:, 2].mean()
    torch.testing.assert_close(made[2], (net[3](net[2](maps)) - net(X)).abs().mean(0).detach())
    with torch.no_grad():
        net[3].weight.view(2, 4, 26)[:, 3] = 0
    assert (filter_influence(net, net[1], X)[3] == 0).all()
    assert not net[1]._forward_hooks


def test_influence_in_front_of_a_layer_that_works_in_place() -> None:
    made = []
    for inplace in (False, True):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv1d(4, 5, 7), nn.ReLU(inplace), nn.Conv1d(5, 3, 5), nn.AdaptiveAvgPool1d(1)
        ).eval()
        made.append(filter_influence(net, net[0], sequences(6, 60)))
    assert torch.equal(*made)


def test_influence_leaves_statistics_alone() -> None:
    net = nn.Sequential(nn.Conv1d(4, 3, 5), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="training mode"):
        filter_influence(net, net[0], sequences(2, 20))
    assert net[1].num_batches_tracked == 0


def test_what_has_no_influence_to_be_asked() -> None:
    net = nn.Sequential(nn.Conv1d(4, 3, 5)).eval()
    X = sequences(2, 20)
    with pytest.raises(ValueError, match="not a part of the model"):
        filter_influence(net, nn.ReLU(), X)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.spare = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.spare(self.relu(self.relu(x)))}

    two = Twice().eval()
    with pytest.raises(ValueError, match="run 2 times"):
        filter_influence(two, two.relu, X)
    with pytest.raises(ValueError, match="gives a dict"):
        filter_influence(two, two.spare, X)


@pytest.mark.parametrize(
    ("conv", "X", "share", "message"),
    [
        (nn.Conv1d(4, 2, 3, stride=2), sequences(1, 9), 0.5, "must be 1"),
        (nn.Conv1d(4, 2, 3), sequences(1, 9)[0], 0.5, "at least 3"),
        (nn.Conv1d(4, 2, 3), sequences(1, 2), 0.5, "at least 3"),
        (nn.Conv1d(4, 2, 3), sequences(1, 9), 1.5, "not between 0 and 1"),
    ],
)
def test_other_input_is_refused(conv: nn.Conv1d, X: Tensor, share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_motifs(conv, conv, X, share=share)
    with pytest.raises(TypeError, match=r"first nn\.Conv1d"):
        kernel_motifs(conv, nn.Linear(4, 2), X)  # type: ignore[arg-type]


MEME = "MEME version 4\n\nMOTIF MA1 one\nletter-probability matrix: alength= 4 w= 2\n{}\n\nURL x\n"


def test_meme_files(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    path.write_text(MEME.format(" 0.1 0.2 0.3 0.4\n 1.0 0 0 0"))
    (held,) = read_meme(path).items()
    assert held[0] == "MA1 one"
    assert held[1].T.tolist() == [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]]
    for text, message in [
        (MEME.format("0.1 0.2 0.3 0.4"), "has 1 rows, where w= 2"),
        (MEME.format("0.1 0.2 0.7\n1 0 0"), "rows of four"),
        (MEME.format("0.1 0.2 0.3 0.4\n7 0 2 1"), "do not sum to 1: are they counts"),
        (2 * MEME.format("0.1 0.2 0.3 0.4\n1 0 0 0"), "MA1 one is in it twice"),
        ("MEME\n\nMOTIF a\n", "has no letter-probability matrix"),
        ("nothing", "is it a MEME file"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_meme(path)


def test_tomtom_needs_motifs_to_compare_with() -> None:
    conv = looking_for(WORD)
    motifs = kernel_motifs(conv, conv, sequences(20, 60))
    with pytest.raises(ValueError, match="known: it holds no motif"):
        tomtom(motifs, {})
    with pytest.raises(ValueError, match="nearest=0"):
        tomtom(motifs, {"a": torch.full((4, 5), 0.25)}, nearest=0)


@pytest.mark.slow
def test_tomtom_names_a_planted_motif() -> None:
    known = read_meme(
        folder("NUCLEOSCOPE_DATA", "JASPAR") / "motifs" / "JASPAR2024_CORE_human.meme.gz"
    )
    assert len(known) == 755
    name = next(n for n in known if n.endswith("GATA1") or " GATA1" in n)
    word = known[name].argmax(0).tolist()
    conv = looking_for(word)
    motifs = kernel_motifs(conv, conv, sequences(3000, 100), share=0.5)
    (match,) = tomtom([motifs[1]], known)
    assert "GATA" in match.name
    assert match.p_value < 1e-3
    with pytest.raises(ValueError, match="none has a site"):
        tomtom([motifs[1]._replace(sites=0)], known)
