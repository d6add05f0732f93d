"""Far regions: gradients by block, the strongest shuffled, and the summaries of a rollout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nucleoscope import attention_rollout, distal_scores, distance_profile, far_regions
from tests.methods.test_attention_rollout import LENGTH, TOKENS, case, letters


class Weighed(nn.Module):
    """A weight for every base and letter, so that gradients are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(4, LENGTH, generator=torch.Generator().manual_seed(3))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weight).sum((1, 2))[:, None]


def test_blocks_are_sums_of_centred_gradients_and_far_ones_are_shuffled() -> None:
    model, X = Weighed().eval(), letters(2).float()
    found = distal_scores(model, X, block=8, beyond=20, edits=3, centre=(40, 44))
    centred = model.weight - model.weight.mean(0)
    each = (centred * X).sum(1).abs().detach()
    expected = torch.stack([part.sum(1) for part in each.split(8, 1)], 1)
    torch.testing.assert_close(found.scores, expected)
    assert found.axes == ("sequence", "block")
    assert found.facts["distances"][:2] == [33, 25]
    far = [at for at, d in enumerate(found.facts["distances"]) if d >= 20]
    for at, edited in enumerate(found.facts["edited"]):
        assert len(edited) == 3
        best = sorted(far, key=lambda b: -float(expected[at, b]))[:3]
        assert [e["block"] for e in edited] == best
        assert all(e["change"] != 0 for e in edited)
    assert found.checks[-1].name == "gradients rank as edits do"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"block": 0}, "block=0"), ({"edits": -1}, "edits=-1"), ({"shuffles": 1.5}, "shuffles=1.5"),
        ({"target": [0, 0]}, "one target"), ({"centre": (5, 5)}, "end=5"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distal_scores(Weighed().eval(), letters(1).float(), **given)


def test_a_profile_and_far_regions_of_a_rollout() -> None:
    model, X, _ = case("causal")
    found = attention_rollout(model, X, rows=[11, 22], controls=0, spectrum=0)
    profile = distance_profile(found)
    assert profile[0] == pytest.approx(float(found.scores[:, [0, 1], [11, 22]].mean()))
    one = distance_profile(found, row=1)
    torch.testing.assert_close(one, found.scores[:, 1].mean(0).flip(0))
    regions = far_regions(found, row=1, sequence=1, count=4, beyond=8)
    assert sum(each.score for each in regions) == pytest.approx(
        float(found.scores[1, 1, : TOKENS - 9].topk(4).values.sum())
    )
    assert all(each.end <= 4 * (TOKENS - 9) and each.start % 4 == 0 for each in regions)
    assert regions[0].distance == 90 - regions[0].end
    assert regions[0].bed("chr1", 100).startswith(f"chr1\t{100 + regions[0].start}\t")
    for error, bad in ((IndexError, {"row": 2}), (ValueError, {"count": 0})):
        with pytest.raises(error):
            far_regions(found, **bad)
    with pytest.raises(IndexError, match="row=2"):
        distance_profile(found, row=2)
    with pytest.raises(ValueError, match="by token is needed"):
        far_regions(attention_rollout(model, X, rows=3, heads="each", controls=0, spectrum=0))
