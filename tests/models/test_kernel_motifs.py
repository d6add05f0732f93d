"""Filters tell their motif by what makes them fire; their own values only up to a gauge."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nucleoscope.models.kernel_motifs import (
    canonical,
    filter_influence,
    kernel_motifs,
    read_meme,
    tomtom,
)
from tests.models.real_data import folder
from tests.parts import sequences

WORD = [2, 0, 3, 0, 1]  # GATAC


def looking_for(word: list[int], filters: int = 3) -> nn.Conv1d:
    """Filter 1 fires on a word, the others on nothing in particular."""
    torch.manual_seed(0)
    conv = nn.Conv1d(4, filters, len(word))
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
    for motif in kernel_motifs(conv, X, share=share, batch=3):
        counts, sites = by_hand(conv, X, motif.filter, share)
        assert motif.sites == sites
        filled = counts.double() + 0.25
        torch.testing.assert_close(motif.probabilities, filled / filled.sum(0))


def test_a_word_is_found_and_its_information() -> None:
    conv, X = looking_for(WORD), sequences(200, 60)
    motif = kernel_motifs(conv, X, share=0.9, pseudocount=1e-9)[1]
    assert motif.probabilities.argmax(0).tolist() == WORD
    assert motif.sites > 5
    torch.testing.assert_close(motif.information, torch.full((5,), 2.0, dtype=torch.float64))


def test_both_strands() -> None:
    conv, X = looking_for(WORD), sequences(20, 60)
    one, two = kernel_motifs(conv, X)[1], kernel_motifs(conv, X, both_strands=True)[1]
    turned = kernel_motifs(conv, X.flip([1, 2]))[1]
    if one.threshold == turned.threshold == two.threshold:
        assert two.sites == one.sites + turned.sites


def test_a_filter_that_never_fires_has_no_sites() -> None:
    conv = looking_for(WORD)
    with torch.no_grad():
        conv.bias[1] = -100.0
    motif = kernel_motifs(conv, sequences(4, 30))[1]
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


def test_what_has_no_influence_to_be_asked() -> None:
    net = nn.Sequential(nn.Conv1d(4, 3, 5))
    X = sequences(2, 20)
    with pytest.raises(ValueError, match="not a part of the model"):
        filter_influence(net, nn.ReLU(), X)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.spare = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.spare(self.relu(self.relu(x)))}

    two = Twice()
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
        kernel_motifs(conv, X, share=share)
    with pytest.raises(TypeError, match=r"first nn\.Conv1d"):
        kernel_motifs(nn.Linear(4, 2), X)  # type: ignore[arg-type]


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
        ("MEME\n\nMOTIF a\n", "has no letter-probability matrix"),
        ("nothing", "is it a MEME file"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_meme(path)


@pytest.mark.slow
def test_tomtom_names_a_planted_motif() -> None:
    known = read_meme(
        folder("NUCLEOSCOPE_DATA", "JASPAR") / "motifs" / "JASPAR2024_CORE_human.meme.gz"
    )
    assert len(known) == 755
    name = next(n for n in known if n.endswith("GATA1") or " GATA1" in n)
    word = known[name].argmax(0).tolist()
    motifs = kernel_motifs(looking_for(word), sequences(3000, 100), share=0.5)
    (match,) = tomtom([motifs[1]], known)
    assert "GATA" in match.name
    assert match.p_value < 1e-3
    with pytest.raises(ValueError, match="none has a site"):
        tomtom([motifs[1]._replace(sites=0)], known)
