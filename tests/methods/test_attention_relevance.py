"""Relevance against matrices whose gradients autograd takes, and maps against the matrix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nucleoscope import attention_maps, attention_relevance, attention_rollout
from nucleoscope.engine.attention.capture.run import Captured
from nucleoscope.methods.attention.attention_maps import Largest
from nucleoscope.naive.methods.attention_relevance import attention_relevance as naive
from tests.attending import OneHot, Projected, together
from tests.methods.test_attention_rollout import LENGTH, TOKENS, case, letters, matrices


class Kept(Projected):
    """Attention by hand that keeps its matrix, so that autograd can be asked for its gradient."""

    kept: Tensor

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        self.kept = (q @ k.mT / 2).softmax(-1)
        if self.kept.requires_grad:
            self.kept.retain_grad()
        return together(self.kept @ v)


def keeping() -> tuple[OneHot, Tensor]:
    torch.manual_seed(1)
    model = OneHot("fused", LENGTH)
    model.blocks = nn.ModuleList([Kept(8), Kept(8)])
    return model.eval().double(), letters(2)


def explicit(model: OneHot, x: Tensor, channel: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Every layer's matrix and its gradient, and the value, by hooks that keep both."""
    value = model(x)[0, channel].mean()
    value.backward()
    blocks: list[Any] = list(model.blocks)
    made = [b.kept[0].detach() for b in blocks], [b.kept.grad[0] for b in blocks], value.detach()
    for block in blocks:
        del block.kept
    model.zero_grad()
    return made


def test_relevance_is_that_of_the_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X = keeping()
    rows = torch.rand(3, TOKENS, dtype=torch.float64)
    expected = [explicit(model, X[at : at + 1], 1) for at in range(2)]
    asked: dict[str, Any] = {"target": 1, "rows": rows, "controls": 0, "precision": "fp64"}
    found = attention_relevance(model, X, **asked)
    for at, (p, grad, value) in enumerate(expected):
        scale = naive(p, grad, rows)
        torch.testing.assert_close(found.scores[at], scale, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.original[at, 0], value)
    monkeypatch.setattr("nucleoscope.engine.attention.fold.MANY", 2)
    again = attention_relevance(model, X, **asked)
    torch.testing.assert_close(again.scores, found.scores, rtol=0, atol=1e-13)


def test_layers_that_do_not_fit_go_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, _ = case("causal")
    calls: list[set[int] | None] = []
    run = Captured.layers_and_gradients

    def counted(self: Captured, inputs: Any, read: Any, wanted: set[int] | None = None) -> Any:
        calls.append(wanted)
        return run(self, inputs, read, wanted)

    monkeypatch.setattr(Captured, "layers_and_gradients", counted)
    asked: dict[str, Any] = {"target": 1, "rows": [0, 20], "controls": 0}
    whole = attention_relevance(model, X[:1], **asked)
    assert calls == [{0, 1}]
    one = max(map(Captured(model, (X[:1],)).bytes_of, (0, 1)))
    parts = attention_relevance(model, X[:1], memory=one, **asked)
    assert calls[1:] == [{1}, {0}]
    torch.testing.assert_close(parts.scores, whole.scores, rtol=0, atol=1e-14)
    assert parts.facts["gained"][0] == pytest.approx(whole.facts["gained"][0])
    assert [each["layer"] for each in parts.facts["conditioning"][0]] == whole.facts["layers"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (-float("inf"), "hides every key from query 3"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda model, X: attention_rollout(model, X, controls=0),
        lambda model, X: attention_relevance(model, X, target=0, controls=0),
        lambda model, X: attention_maps(model, X, layer=0),
        lambda model, X: attention_maps(model, X, layer=0, top=2),
    ],
    ids=["rollout", "relevance", "maps", "largest"],
)
def test_logits_that_are_not_finite_are_named(ask: Any, number: float, message: str) -> None:
    torch.manual_seed(0)
    model = OneHot("by hand", LENGTH).eval()
    with torch.no_grad():
        model.blocks[0].places[1, 3] = number  # type: ignore[union-attr, operator, index]
    with pytest.raises(ValueError, match=message):
        ask(model, letters(1).float())


def test_float32_some_heads_and_the_mean_row() -> None:
    model, X = keeping()
    p, grad, _ = explicit(model, X[:1], 0)
    mean = torch.full((1, TOKENS), 1 / TOKENS, dtype=torch.float64)
    some = attention_relevance(model, X[:1], target=0, heads=[1, 3], controls=0)
    expected = naive([w[[1, 3]] for w in p], [g[[1, 3]] for g in grad], mean)
    torch.testing.assert_close(some.scores[0], expected, rtol=1e-12, atol=0)
    whole = attention_relevance(model.float(), X[:1].float(), target=0, controls=0)
    expected = naive(p, grad, mean)
    assert float((whole.scores[0] - expected).norm() / expected.norm()) < 1e-5


def test_controls_and_checks_come_with_it() -> None:
    model, X, _ = case("Borzoi")
    found = attention_relevance(model, X, target=0, rows=[3], per_base=True)
    assert found.axes == ("sequence", "row", "site")
    assert [each.name for each in found.checks][:2] == [
        "attention raises the target",
        "identifiable fraction",
    ]
    assert found.controls is not None
    assert found.controls.shape == (2, 2, 1, LENGTH)
    assert len(found.facts["gained"][0]) == 2


def test_bad_targets_are_named() -> None:
    model, X, _ = case("causal")
    with pytest.raises(IndexError, match="target=7"):
        attention_relevance(model, X, target=7)
    with pytest.raises(ValueError, match="one target a call"):
        attention_relevance(model, X, target=[0, 1])
    with pytest.raises(TypeError, match="func=3"):
        attention_relevance(model, X, func=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="None for the mean of all, or numbers"):
        attention_relevance(model, X, heads="each")


def test_maps_are_rows_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, _ = case("causal")
    p = torch.stack([matrices("causal", at)[0] for at in range(2)])
    whole = attention_maps(model, X, layer=0)
    assert not isinstance(whole, Largest)
    assert whole.axes == ("sequence", "head", "row", "token")
    torch.testing.assert_close(whole.scores, p)
    some = attention_maps(model, X, layer=0, rows=[1, 19, (40, 44)])
    torch.testing.assert_close(some.scores, p[:, :, [1, 19, 10]])  # type: ignore[union-attr]
    last = attention_maps(model, X, rows=0)
    torch.testing.assert_close(last.scores[0], matrices("causal", 0)[1][:, :1])  # type: ignore[union-attr]
    del monkeypatch


def test_the_largest_weights_and_their_keys() -> None:
    model, X, _ = case("Borzoi")
    p = matrices("Borzoi", 0)[1]
    found = attention_maps(model, X, top=4)
    assert isinstance(found, Largest)
    assert found.keys.shape == (2, 4, TOKENS, 4)
    torch.testing.assert_close(found.weights[0], p.topk(4, -1).values)
    torch.testing.assert_close(p.gather(-1, found.keys[0]), found.weights[0])
    with pytest.raises(ValueError, match="top=24: a number of keys from 1 to 23"):
        attention_maps(model, X, top=24)
    with pytest.raises(IndexError, match="2 attention layers"):
        attention_maps(model, X, layer=5)


def test_inference_mode_changes_nothing() -> None:
    model, X, _ = case("causal")
    asked: dict[str, Any] = {"target": 1, "rows": [0], "controls": 0}
    expected = attention_relevance(model, X, **asked).scores
    with torch.inference_mode():
        assert torch.equal(attention_relevance(model, X * 1, **asked).scores, expected)
