"""Attention of an unmodified model: every form is found, and its weights times its values are its output."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from nucleoscope.engine.attention.capture.layer import Layer
from nucleoscope.engine.attention.capture.linear import LinearLayer
from nucleoscope.engine.attention.capture.logits import NotCaptured
from nucleoscope.engine.attention.capture.run import Captured
from nucleoscope.naive.ops._scores import shared
from tests.attending import FORMS, ByHand, Linear, Projected, WithMask, encoder, together

CHANNELS, LENGTH = 8, 19


@functools.cache  # exporting takes a second
def made(form: str) -> tuple[nn.Module, Tensor, Captured]:
    torch.manual_seed(0)
    model = FORMS[form](CHANNELS, LENGTH).eval().double()
    x = torch.randn(1, LENGTH, CHANNELS, dtype=torch.float64)
    return model, x, Captured(model, (x,))


@pytest.mark.parametrize("form", FORMS)
def test_weights_times_values_are_the_output(form: str) -> None:
    model, x, captured = made(form)
    given: list[Tensor] = []

    def keep(_at: int, _layer: object, out: Tensor) -> Tensor:
        given.append(out)
        return out

    with torch.no_grad():
        again = captured.forward((x,), keep)
        expected = model(x)
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-13)
    layers = captured.layers((x,))
    assert captured.refusals == []
    assert len(layers) == len(given) == (2 if form == "encoder" else 1)
    for layer, out in zip(layers, given, strict=True):
        p = layer.weights(0, LENGTH)
        torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]), rtol=0, atol=1e-13)
        torch.testing.assert_close(p @ shared(layer.value, layer.query), out, rtol=0, atol=1e-13)
        torch.testing.assert_close(layer.weights(3, 8), p[:, :, 3:8], rtol=0, atol=1e-15)
        x_of_keys = torch.randn(1, layer.heads, LENGTH, 2, dtype=torch.float64)
        torch.testing.assert_close(layer.values(x_of_keys), p @ x_of_keys, rtol=0, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_rows_relevance_and_statistics_are_those_of_the_matrix(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nucleoscope.engine.attention.capture.layer.KINDS", 8
    )  # so that tables go by blocks
    monkeypatch.setattr("nucleoscope.engine.attention.capture.layer.HELD", 1)
    _, x, captured = made(form)
    for layer in captured.layers((x,)):
        p, value = layer.weights(0, LENGTH), shared(layer.value, layer.query)
        r = torch.rand(1, layer.heads, 3, LENGTH, dtype=torch.float64)
        grad = torch.randn(1, layer.heads, LENGTH, value.shape[-1], dtype=torch.float64)
        torch.testing.assert_close(layer.apply(r), r @ p, rtol=0, atol=1e-12)
        expected = r @ (p * (grad @ value.mT).relu())
        torch.testing.assert_close(layer.relevance(r, grad), expected, rtol=0, atol=1e-12)
        found = layer.statistics()
        torch.testing.assert_close(found.entropy, -torch.xlogy(p, p).sum(-1), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.peak, p.amax(-1), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.columns, p.sum(-2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_forward_is_differentiable_and_keeps_no_matrix(form: str) -> None:
    model, x, captured = made(form)
    if not form.startswith(("by hand", "window", "no band")):  # where the model itself holds one
        products = ("matmul", "bmm", "einsum", "softmax")
        for node in captured.module.graph.nodes:
            assert not (
                str(node.target).split(".")[0].removeprefix("aten::") in products
                and tuple(node.meta["val"].shape[-2:]) == (LENGTH, LENGTH)
            )
    layers, grads, number = captured.layers_and_gradients((x,), lambda out: out.square().sum())
    torch.testing.assert_close(number, model(x).square().sum().detach())
    assert len(layers) == len(grads)
    for layer, grad in zip(layers, grads, strict=True):
        assert grad.shape == (1, layer.heads, LENGTH, layer.value.shape[-1])
    # Moving the last layer's output along its gradient moves the number by as much.
    step = 1e-6

    def moved(sign: float) -> float:
        def move(at: int, _layer: object, out: Tensor) -> Tensor:
            return out + sign * step * grads[at] if at == len(layers) - 1 else out

        with torch.no_grad():
            return float(captured.forward((x,), move).square().sum())

    found = (moved(1.0) - moved(-1.0)) / (2 * step)
    assert found == pytest.approx(float(grads[-1].square().sum()), rel=1e-6)


def test_masks_and_biases_are_kept_in_their_smallest_form() -> None:
    kept = {}
    for form in FORMS:
        _, x, captured = made(form)
        (layer, *_) = captured.layers((x,))
        kept[form] = layer
    scores = {form: layer.scores for form, layer in kept.items() if isinstance(layer, Layer)}
    assert (scores["window"].behind, scores["window"].ahead, scores["window"].mask) == (4, 0, None)
    assert (scores["shared keys"].behind, scores["shared keys"].softcap) == (3, 5.0)
    assert scores["no band"].mask is not None
    for form in ("ALiBi", "causal ALiBi"):
        assert scores[form].slopes is not None
        assert scores[form].bias is None
        torch.testing.assert_close(
            scores[form].slopes, torch.tensor([0.5, 0.25, 0.125, 0.0625]).double()
        )
    assert scores["of distance"].table.shape == (1, 4, 1, 2 * LENGTH - 1)  # type: ignore[union-attr]
    assert scores["by hand"].bias.shape == (1, 4, LENGTH, LENGTH)  # type: ignore[union-attr]
    assert kept["grouped"].key.shape[1] == 2
    assert kept["shared keys"].key.shape[1] == kept["one key head"].key.shape[1] == 1
    for form in ("Borzoi", "gathered"):
        relative = kept[form].relative  # type: ignore[union-attr]
        assert relative.rows.shape[2] <= 12  # type: ignore[union-attr]
        assert scores[form].bias is None
    assert kept["Enformer"].relative.rows.shape[2] == 2 * LENGTH - 1  # type: ignore[union-attr]
    assert isinstance(kept["linear behind"], LinearLayer)


def test_layers_are_named_with_their_lines() -> None:
    assert made("encoder")[2].names == ["layers.0.self_attn", "layers.1.self_attn"]
    (line,) = made("by hand")[2].lines
    assert "tests/attending.py" in line.replace("\\", "/")
    assert "softmax(-1) @ v" in line


def test_weights_edited_in_place_count_at_once() -> None:
    model, x, captured = made("fused")
    with torch.no_grad():
        model.q.weight.mul_(1.1)  # type: ignore[union-attr, operator]
        again = captured.forward((x,), lambda _at, _layer, out: out)
        torch.testing.assert_close(again, model(x))


class TalkingHeads(ByHand):
    """Weights are mixed between heads before they are used."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        weights = (q @ k.mT).softmax(-1)
        mixed = torch.einsum("bhij,hg->bgij", weights, self.places[:, :4, 0])
        return together(mixed @ v)


class Doubled(Projected):
    """Logits of two products with keys."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        return together((q @ k.mT + k @ q.mT).softmax(-1) @ v)


class Flex(Projected):
    """Logits by a function that the op is given."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        return together(flex_attention(q, k, v, score_mod=lambda s, _b, _h, i, j: s - (i - j)))  # type: ignore[arg-type]


@torch.library.custom_op("nucleoscope_tests::flash_attention", mutates_args=())
def flash_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Stands for a kernel of somebody else."""
    return F.scaled_dot_product_attention(q, k, v)


@flash_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    del k, v
    return torch.empty_like(q)


class Custom(Projected):
    """Attention behind an op that torch does not know."""

    def forward(self, x: Tensor) -> Tensor:
        return together(flash_attention(*self.parts(x)))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Flex(8), r"attending|test_capture.*: flex_attention makes its logits by a function"),
        (Custom(8, wide=4), "test_capture.*flash_attention.* is no op that could be taken apart"),
        (nn.Linear(8, 8), "no attention in it"),
        (TalkingHeads(8, LENGTH), "test_capture.*mixed @ v.*tokens are weighed by numbers"),
        (Doubled(8), "2 products of queries with keys"),
    ],
)
def test_what_cannot_be_captured_is_named(model: nn.Module, message: str) -> None:
    x = torch.randn(1, LENGTH, CHANNELS)
    with pytest.raises(NotCaptured, match=message):
        Captured(model.eval(), (x,)).layers((x,))


def test_a_mask_that_empties_a_row_is_named() -> None:
    x = torch.randn(1, LENGTH, CHANNELS)
    captured = Captured(WithMask(8, lambda d: d < 0).eval(), (x,))
    with pytest.raises(ValueError, match="hides every key from query 0"):
        captured.layers((x,))


def test_a_divisor_that_is_no_sum_of_weights_is_named() -> None:
    class Halved(Linear):
        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.parts(x)
            return together(q.exp() @ (k.exp().mT @ v) / q.exp().sum(-1, keepdim=True))

    x = torch.randn(1, LENGTH, CHANNELS)
    with pytest.raises(NotCaptured, match="not divided by the sum of its weights"):
        Captured(Halved(8, "behind").eval(), (x,)).layers((x,))


def test_what_forward_writes_on_itself_holds_numbers_or_is_not_there() -> None:
    class Keeps(ByHand):
        def forward(self, x: Tensor) -> Tensor:
            self.attention = super().forward(x)
            return self.attention

    model, x = Keeps(8, LENGTH).eval(), torch.randn(1, LENGTH, CHANNELS)
    Captured(model, (x,)).layers((x,))
    assert not hasattr(model, "attention")
    before = model(x)
    Captured(model, (x,))
    assert model.attention is before


def test_compiled_models_are_captured_and_left_compiled() -> None:
    model = encoder(8, 1).eval()
    x = torch.randn(1, LENGTH, CHANNELS)
    compiled = nn.Sequential(torch.compile(model, backend="eager"))  # type: ignore[arg-type]
    assert len(Captured(compiled, (x,)).layers((x,))) == 1
    assert "_orig_mod" in dict(compiled[0].named_children())


@pytest.mark.parametrize("way", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["Esm", "Bert"])
def test_hugging_face_models(name: str, way: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    rotary = {"position_embedding_type": "rotary", "pad_token_id": 1, "mask_token_id": 2}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        attn_implementation=way, **(rotary if name == "Esm" else {}),
    )  # fmt: skip
    model = getattr(transformers, f"{name}ForMaskedLM")(config).eval().double()
    tokens = torch.randint(4, 9, (1, 11))
    captured = Captured(model, (tokens,))
    assert len(captured.layers((tokens,))) == 2
    with torch.no_grad():
        again = captured.forward((tokens,), lambda _at, _layer, out: out)
        torch.testing.assert_close(again.logits, model(tokens).logits, rtol=0, atol=1e-12)
    _, grads, _ = captured.layers_and_gradients((tokens,), lambda out: out.logits[0, 3, 5])
    assert all(bool(g.abs().max() > 0) for g in grads)
