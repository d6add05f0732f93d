"""Whose order the letters of a model's channels have, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import nucleoscope
from nucleoscope.alphabet import alphabet_of, known, with_alphabet
from nucleoscope.models import CATALOG, Basset, COrigami, DeepSEA
from nucleoscope.models.catalog import example
from nucleoscope.models.kernel_motifs import kernel_motifs
from tests.parts import sequences


@pytest.mark.parametrize("name", CATALOG)
def test_models_say_their_own(name: str) -> None:
    net = CATALOG[name].make(small=True)
    assert net.alphabet == CATALOG[name].alphabet
    assert alphabet_of(net, None) == CATALOG[name].alphabet
    assert alphabet_of(nn.DataParallel(net), None) == CATALOG[name].alphabet


def test_what_is_asked_for_and_what_a_model_says() -> None:
    net, none = DeepSEA(small=True), nn.Conv1d(4, 2, 3)
    assert alphabet_of(none, None) == "ACGT"
    assert alphabet_of(none, "AGCT") == "AGCT"
    assert alphabet_of(net, "agct") == "agct"
    assert alphabet_of([net, net], None) == "AGCT"
    assert alphabet_of(net, "abcd") == "abcd"  # columns that are given other names
    assert with_alphabet(none, {"target": 0, "alphabet": None}) == {"target": 0}
    assert with_alphabet(net, {"target": 0}) == {"target": 0, "alphabet": "AGCT"}
    for order in ("ACGT", "ACGU"):
        with pytest.raises(ValueError, match="the model's channels are AGCT; give X in that order"):
            alphabet_of(net, order)
    with pytest.raises(ValueError, match="unlike alphabets, AGCT, ACGT"):
        alphabet_of([net, Basset(small=True)], None)
    none.alphabet = "dna"  # type: ignore[assignment]
    assert alphabet_of(none, None) == "ACGT"


def test_methods_take_the_model_s_own_and_refuse_another_order() -> None:
    torch.manual_seed(0)
    net = DeepSEA(small=True).eval()
    X, _ = example("DeepSEA", net)
    ask: dict[str, Any] = {"target": 0, "verify": 0}
    got = nucleoscope.saturation_mutagenesis(net, X, end=9, **ask)
    assert got.alphabet == "AGCT"
    named = nucleoscope.saturation_mutagenesis(net, X, end=9, alphabet="AGCT", **ask)
    assert torch.equal(got.scores, named.scores)
    assert nucleoscope.saliency(net, X, target=0).alphabet == "AGCT"
    letter = "AGCT"[int(X[0, :, 5].argmax())]
    other = "AGCT"[int(X[0, :, 5].argmax()) - 1]
    found = nucleoscope.variant_effect(net, X, [0], [5], [letter], [other], **ask)
    assert found.changes.isfinite().all()
    for method in (nucleoscope.saturation_mutagenesis, nucleoscope.saliency, nucleoscope.plan):
        with pytest.raises(ValueError, match="alphabet='ACGT': the model's channels are AGCT"):
            method(net, X, alphabet="ACGT")
    folded = COrigami(small=True).eval()
    X, others = example("C.Origami", folded)
    with pytest.raises(ValueError, match="the model's channels are ATCGN"):
        nucleoscope.deletion_screen(folded, X, others, length=80, width=16, alphabet="ACGTN")
    assert nucleoscope.deletion_screen(folded, X, others, length=80, width=16).impact.numel()
    with pytest.raises(ValueError, match="the model's channels are AGCT"):
        kernel_motifs(
            net,
            next(m for m in net.modules() if isinstance(m, nn.Conv1d)),
            X[:, :4],
            alphabet="ACGT",
        )


def test_the_other_strand_of_five_letters() -> None:
    torch.manual_seed(0)
    net = COrigami(small=True).eval()
    X, _ = example("C.Origami", net)

    class Alone(nn.Module):
        alphabet = "ATCGN"

        def __init__(self) -> None:
            super().__init__()
            self.net = net.sequence

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x).mean((1, 2))[:, None]

    alone = Alone().eval()
    got = nucleoscope.saliency(alone, X, target=0, reverse_complement=True, hypothetical=True)
    turned = X.flip(2)[:, [1, 0, 3, 2, 4]]
    ask: dict[str, Any] = {"target": 0, "hypothetical": True}
    one, two = (nucleoscope.saliency(alone, x, **ask).scores for x in (X, turned))
    want = (one + two.flip(2)[:, [1, 0, 3, 2, 4]]) / 2
    torch.testing.assert_close(got.scores, want)


def test_known_letters() -> None:
    X = torch.cat([sequences(1, 6), torch.zeros(1, 1, 6)], 1)
    X[0, :, 1] = 0
    X[0, :, 3] = torch.tensor([0, 0, 0, 0, 1.0])
    X[0, :, 4] = 0.2
    assert known(X, "ATCGN").tolist() == [[True, False, True, False, False, True]]
