"""Rollout against the product of matrices, its controls, its rows and its messages."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import nucleoscope
from nucleoscope import attention_rollout
from nucleoscope.engine.attention.capture.logits import NotCaptured
from nucleoscope.engine.attention.capture.run import Captured
from nucleoscope.engine.attention.conditioning import collinearity, identifiable, kappa, spectrum
from nucleoscope.engine.attention.fold import Rollout
from nucleoscope.methods.attention.rank_controls import spearman
from nucleoscope.methods.attention.token_rows import read_rows, read_tokens
from nucleoscope.naive.methods.attention_rollout import attention_rollout as naive
from tests.attending import OneHot

LENGTH, TOKENS = 92, 23


def letters(count: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    held = F.one_hot(torch.randint(0, 4, (count, length), generator=source), 4)
    return held.transpose(1, 2).double()


@functools.cache
def case(form: str) -> tuple[nn.Module, Tensor, Captured]:
    torch.manual_seed(0)
    model = OneHot(form, LENGTH).eval().double()
    X = letters(2)
    return model, X, Captured(model, (X[:1],))


def matrices(form: str, at: int) -> list[Tensor]:
    _, X, captured = case(form)
    return [layer.weights(0, TOKENS)[0] for layer in captured.layers((X[at : at + 1],))]


@pytest.mark.parametrize("form", ["Borzoi", "causal", "linear behind"])
def test_rollout_is_the_product_of_matrices(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, _ = case(form)
    rows = torch.rand(3, TOKENS, dtype=torch.float64)
    found = attention_rollout(
        model, X, rows=rows, alpha=0.3, controls=0, spectrum=0, precision="fp64"
    )
    assert found.axes == ("sequence", "row", "token")
    for at in range(2):
        expected = naive(matrices(form, at), rows, 0.3)
        torch.testing.assert_close(found.scores[at], expected, rtol=0, atol=1e-12)
    assert found.checks[0].passed
    monkeypatch.setattr("nucleoscope.engine.attention.fold.MANY", 2)  # the form for many rows
    again = attention_rollout(
        model, X, rows=rows, alpha=0.3, controls=0, spectrum=0, precision="fp64"
    )
    torch.testing.assert_close(again.scores, found.scores, rtol=0, atol=1e-13)


def test_float32_is_within_its_rounding_of_the_matrices() -> None:
    model, X, _ = case("Borzoi")
    single = OneHot("Borzoi", LENGTH).eval()
    single.load_state_dict(model.state_dict())
    found = attention_rollout(single, X.float(), controls=0, spectrum=0)
    for at in range(2):
        expected = naive(matrices("Borzoi", at), torch.eye(TOKENS, dtype=torch.float64))
        assert float((found.scores[at] - expected).norm() / expected.norm()) < 1e-5


def test_three_implementations_agree() -> None:
    """The op, the gradient of torch's own attention by its values, and the matrix."""
    model, X, captured = case("causal")
    layers = captured.layers((X[:1],))
    r = torch.rand(2, TOKENS, dtype=torch.float64)
    folded = Rollout(0.5).down(((layer, None) for layer in reversed(layers)), r)
    by_gradient = r
    for layer in reversed(layers):
        value = torch.zeros(1, 4, TOKENS, 2, dtype=torch.float64, requires_grad=True)
        out = F.scaled_dot_product_attention(
            layer.query, layer.key, value, is_causal=True, scale=0.7
        )
        cotangent = by_gradient.T.expand(1, 4, TOKENS, 2)
        (moved,) = torch.autograd.grad(out, value, cotangent)
        by_gradient = 0.5 * by_gradient + 0.5 * moved[0].mean(0).T
    torch.testing.assert_close(folded, by_gradient, rtol=0, atol=1e-13)
    torch.testing.assert_close(folded, naive(matrices("causal", 0), r), rtol=0, atol=1e-13)
    del model


def test_heads_apart_some_heads_and_norms() -> None:
    model, X, captured = case("causal")
    rows = torch.rand(2, TOKENS, dtype=torch.float64)
    same: dict[str, Any] = {"rows": rows, "controls": 0, "spectrum": 0}
    apart = attention_rollout(model, X, heads="each", **same)
    assert apart.axes == ("sequence", "row", "head", "token")
    for head in range(4):
        expected = naive([p[head : head + 1] for p in matrices("causal", 1)], rows)
        torch.testing.assert_close(apart.scores[1, :, head], expected, rtol=0, atol=1e-12)
    some = attention_rollout(model, X, heads=[0, 2], **same)
    expected = naive([p[[0, 2]] for p in matrices("causal", 0)], rows)
    torch.testing.assert_close(some.scores[0], expected, rtol=0, atol=1e-12)
    many: dict[str, Any] = same | {
        "rows": torch.eye(TOKENS, dtype=torch.float64).repeat(1 + 64 // TOKENS, 1)
    }
    twice = attention_rollout(model, X, heads=[0, 0, 2], **many)  # a head twice, of many rows
    torch.testing.assert_close(
        twice.scores.sum(-1), torch.ones(twice.scores.shape[:-1], dtype=torch.float64)
    )
    layers = captured.layers((X[:1],))
    norms = [
        torch.stack([
            (layer.value[0, h] @ out.weight[:, 3 * h : 3 * h + 3].T).norm(dim=1) for h in range(4)
        ]).detach()
        for layer, out in zip(layers, model.out, strict=True)  # type: ignore[arg-type]
    ]  # fmt: skip
    weighed = attention_rollout(model, X, weigh="norms", **same)
    expected = naive(matrices("causal", 0), rows, norms=norms)
    torch.testing.assert_close(weighed.scores[0], expected, rtol=0, atol=1e-12)
    top = attention_rollout(model, X, layers=[-1], **same)
    torch.testing.assert_close(
        top.scores[0], naive(matrices("causal", 0)[1:], rows), rtol=0, atol=1e-12
    )


def test_layers_that_do_not_fit_are_captured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, X, _ = case("causal")
    calls: list[set[int] | None] = []
    layers = Captured.layers
    monkeypatch.setattr(
        Captured,
        "layers",
        lambda self, x, wanted=None: calls.append(wanted) or layers(self, x, wanted),
    )
    whole = attention_rollout(model, X[:1], rows=0, controls=0, spectrum=0)
    assert calls == [{0, 1}]
    one = max(map(Captured(model, (X[:1],)).bytes_of, (0, 1)))
    parts = attention_rollout(model, X[:1], rows=0, controls=0, spectrum=0, memory=one)
    assert calls[1:] == [{1}, {0}]
    assert torch.equal(whole.scores, parts.scores)


@pytest.mark.parametrize(
    ("memory", "error", "message"),
    [(1, ValueError, "alone take"), (-1, ValueError, "alone take"), ("2G", TypeError, "bytes")],
)
def test_memory_that_holds_no_layer_is_refused(memory: Any, error: type, message: str) -> None:
    model, X, _ = case("causal")
    with pytest.raises(error, match=message):
        attention_rollout(model, X[:1], rows=0, controls=0, spectrum=0, memory=memory)


def test_a_stretch_of_overlapping_tokens_weighs_1() -> None:
    spans = torch.arange(8)[:, None] + torch.tensor([0, 3])  # 3-mers, one a base
    row = read_rows([(4, 7)], 8, read_tokens(spans, 8, 10))[0]
    torch.testing.assert_close(row * 9, torch.tensor([0, 0, 1, 2, 3, 2, 1, 0]).double())


def test_a_model_that_changed_is_taken_apart_anew() -> None:
    model = OneHot("causal", LENGTH).eval()
    X = letters(1).float()
    asked: dict[str, Any] = {"rows": 9, "controls": 0, "spectrum": 0}
    before = attention_rollout(model, X, **asked).scores
    with torch.no_grad():
        model.blocks[0].q.weight.mul_(3)  # type: ignore[union-attr, operator]
    assert not torch.equal(attention_rollout(model, X, **asked).scores, before)
    model.blocks[1].given["scale"] = 0.0  # type: ignore[union-attr, index]
    flat = attention_rollout(model, X, rows=-1, alpha=0.0, layers=-1, controls=0, spectrum=0).scores
    torch.testing.assert_close(flat, torch.full_like(flat, 1 / TOKENS))


def test_rows_are_tokens_stretches_or_weights_and_bases_get_their_share() -> None:
    model, X, _ = case("causal")
    found = attention_rollout(model, X, rows=[3, (8, 14)], controls=0, spectrum=0)
    weights = torch.zeros(2, TOKENS, dtype=torch.float64)
    weights[0, 3], weights[1, 2], weights[1, 3] = 1.0, 4 / 6, 2 / 6
    same = attention_rollout(model, X, rows=weights, controls=0, spectrum=0)
    torch.testing.assert_close(found.scores, same.scores)
    bases = attention_rollout(model, X, rows=[3, (8, 14)], controls=1, spectrum=0, per_base=True)
    assert bases.axes == ("sequence", "row", "site")
    torch.testing.assert_close(bases.scores, found.scores.repeat_interleave(4, -1) / 4)
    assert bases.controls is not None
    assert bases.controls.shape == (2, 2, 2, LENGTH)


def test_the_controls_and_the_conditioning_come_with_it(tmp_path: Path) -> None:
    model, X, _ = case("causal")
    found = attention_rollout(model, X, rows=[3, 20], controls=2)
    assert [each.name for each in found.checks] == [
        "rows keep what they sum to", "identifiable fraction", "conditioning", "beyond its controls",
    ]  # fmt: skip
    assert found.controls is not None
    torch.testing.assert_close(found.controls.sum(-1), torch.ones(2, 2, 2, dtype=torch.float64))
    layers = found.facts["conditioning"][0]
    assert [layer["layer"] for layer in layers] == found.facts["layers"]
    p = matrices("causal", 0)[0]
    assert layers[0]["sink"] == pytest.approx((p.sum(1).amax(-1) / TOKENS).tolist())
    assert layers[0]["entropy"] == pytest.approx((-torch.xlogy(p, p).sum(-1).mean(-1)).tolist())
    apart = (p - p.mean(1, keepdim=True)).flatten(1).norm(dim=1) / p.flatten(1).norm(dim=1)
    assert layers[0]["rank_one"] == pytest.approx(apart.tolist())
    sigma = torch.linalg.svdvals(p)
    assert layers[0]["singular"][0] == pytest.approx(sigma[0, :5].tolist(), rel=1e-6)
    again = nucleoscope.Attribution.load(found.save(tmp_path / "rollout.npz"))
    assert torch.equal(again.scores, found.scores)
    assert torch.equal(again.controls, found.controls)  # type: ignore[arg-type]


def test_the_spectrum_needs_no_matrix_and_collapses_with_its_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, X, captured = case("causal")
    layer = captured.layers((X[:1],))[0]
    held, _ = spectrum(layer, TOKENS, 64, 0)
    monkeypatch.setattr("nucleoscope.engine.attention.conditioning.HELD", 0)
    sigma, effective = spectrum(layer, TOKENS, 64, 0)
    torch.testing.assert_close(held, sigma)
    exact = torch.linalg.svdvals(layer.weights(0, TOKENS)[0])
    torch.testing.assert_close(sigma, exact, rtol=0, atol=1e-8)
    shares = exact / exact.sum(-1, keepdim=True)
    rank = (-torch.xlogy(shares, shares).sum(-1)).exp()
    assert effective.tolist() == pytest.approx(rank.tolist(), rel=0.25)  # an estimate, of 64 probes
    same = torch.ones(2, 10, 3, dtype=torch.float64)
    assert kappa(same) == [float("inf")] * 2 or min(kappa(same)) > 1e7
    assert collinearity(same) == pytest.approx(1.0)
    # With as many channels as tokens every weight shows in the output; with none of them, only the sum.
    moved = layer.apply(torch.rand(1, 4, 2, TOKENS, dtype=torch.float64))[0]
    part = identifiable(layer, moved)
    assert bool(((part > 0.05) & (part < 1)).all())


def test_tokens_are_rolled_out_as_numbers(tmp_path: Path) -> None:
    del tmp_path

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.inner = nn.Embedding(9, 4), OneHot("fused", 4 * 15)

        def forward(self, tokens: Tensor) -> Tensor:
            made: Tensor = self.inner(self.embed(tokens).transpose(1, 2).repeat_interleave(4, -1))
            return made

    torch.manual_seed(0)
    tokens = torch.randint(0, 9, (2, 15))
    spans = torch.stack([torch.arange(15) * 6 - 6, torch.arange(15) * 6], 1)
    spans[0], spans[-1] = 0, 0
    found = attention_rollout(
        Embedded().eval(), tokens, rows=[(0, 12)], tokens=spans, per_base=True
    )
    assert found.scores.shape == (2, 1, 13 * 6)
    assert found.sequences is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=9), st.integers(0, 3))
def test_bases_get_back_what_tokens_had(widths: list[int], seed: int) -> None:
    ends = torch.tensor(widths).cumsum(0)
    if int(ends[-1]) == 0:
        return
    places = read_tokens(torch.stack([ends - torch.tensor(widths), ends], 1), len(widths), None)
    assert places is not None
    scores = torch.rand(2, len(widths), generator=torch.Generator().manual_seed(seed)).double()
    spread = places.to_bases(scores)
    kept = scores[:, torch.tensor(widths) > 0].sum(1)
    torch.testing.assert_close(spread.sum(1), kept)
    (row,) = read_rows([(0, places.length)], len(widths), places)
    torch.testing.assert_close(row, torch.tensor(widths).double() / places.length)


def test_spearman_counts_ties_as_their_mean() -> None:
    a, b = torch.tensor([1.0, 2, 2, 4, 5]), torch.tensor([2.0, 1, 3, 3, 9])
    ranks = torch.tensor([[1.0, 2.5, 2.5, 4, 5], [2.0, 1, 3.5, 3.5, 5]])
    expected = torch.corrcoef(ranks)[0, 1]
    assert float(spearman(a, b)) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("given_", "kind", "message"),
    [
        ({"rows": []}, ValueError, "no row is named"),
        ({"rows": 23}, IndexError, "no token 23; there are 23"),
        ({"rows": "class"}, TypeError, "rows='class'"),
        ({"rows": [(0, 93)]}, IndexError, "no stretch of 92 bases"),
        ({"rows": torch.zeros(1, 23)}, ValueError, "no row may sum to 0"),
        ({"rows": torch.ones(1, 22)}, ValueError, r"must be \[rows, 23\]"),
        ({"alpha": 1.5}, ValueError, "alpha=1.5: a number from 0 to 1"),
        ({"alpha": "half"}, TypeError, "alpha='half'"),
        ({"heads": [4]}, ValueError, "numbers from 0 to 3"),
        ({"heads": "mean"}, ValueError, "None for the mean"),
        ({"layers": [2]}, IndexError, "2 attention layers"),
        ({"weigh": "values"}, ValueError, "'weights' or 'norms'"),
        ({"tokens": 3}, ValueError, "base 69 is of no token"),
        ({"tokens": 5}, ValueError, "do not lie in a sequence of 92"),
        ({"tokens": torch.zeros(22, 2)}, ValueError, r"must be whole numbers \[23, 2\]"),
        ({"precision": "bf16"}, ValueError, "'fp32' or 'fp64'"),
        ({"controls": -1}, ValueError, "controls=-1"),
        ({"spectrum": -1}, ValueError, "spectrum=-1"),
    ],
)
def test_bad_arguments_are_named(given_: dict[str, Any], kind: type, message: str) -> None:
    model, X, _ = case("causal")
    with pytest.raises(kind, match=message):
        attention_rollout(model, X, **given_)


def test_bad_models_and_inputs_are_named() -> None:
    model, X, _ = case("causal")
    with pytest.raises(NotCaptured, match="no attention in it"):
        attention_rollout(nn.Conv1d(4, 2, 3).eval(), X.float())
    with pytest.raises(ValueError, match="training mode"):
        attention_rollout(OneHot("causal", LENGTH), X.float())
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        attention_rollout(model, "ACGT")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 or more tokens"):
        attention_rollout(model, torch.zeros(1, 2, dtype=torch.int64))
    broken = OneHot("causal", LENGTH).eval()
    with torch.no_grad():
        broken.blocks[1].q.weight.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(ValueError, match="not finite"):
        attention_rollout(broken, X.float(), rows=0)
