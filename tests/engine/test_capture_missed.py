"""Attention beside a plain layer: it is captured as it is, or named with its line, never left out in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

import nucleoscope
from nucleoscope.engine.capture.run import Captured
from tests.attending import heads, together

LENGTH, CHANNELS = 24, 16
How = Callable[["Block", Tensor, Tensor, Tensor], Tensor]


class Block(nn.Module):
    """Four heads; `how` makes what they give of [1, 4, L, 4] each, and may keep its weights."""

    def __init__(self, how: How) -> None:
        super().__init__()
        self.how, self.weights = how, torch.zeros(())
        self.qkv, self.out = nn.Linear(CHANNELS, 3 * CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.each = nn.Parameter(torch.rand(4, 1, 1) + 1)
        self.mix = nn.Parameter(torch.randn(4, 4))

    def kept(self, weights: Tensor) -> Tensor:
        self.weights = weights
        return weights

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (heads(part, 4) for part in (3 * self.qkv(x)).chunk(3, -1))
        made: Tensor = self.out(together(self.how(self, q, k, v)))
        return made


class Net(nn.Module):
    """One-hot DNA, a token a base, blocks with residuals."""

    def __init__(self, *how: How) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Linear(4, CHANNELS), nn.Linear(CHANNELS, 3)
        self.blocks = nn.ModuleList([Block(each) for each in how])
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x.mT)
        for block in self.blocks:
            h = h + block(h)
        made: Tensor = self.head(h.tanh()).mT
        return made


def plain(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return block.kept((q @ k.mT / 2).softmax(-1)) @ v


def sequence(length: int = LENGTH) -> Tensor:
    return F.one_hot(torch.randint(4, (1, length)), 4).mT.float()


def expected(net: Net, x: Tensor) -> Tensor:
    """The rollout by the blocks' own weights, in float64."""
    with torch.no_grad():
        net.double()(x.double())
    joint = torch.eye(x.shape[-1], dtype=torch.float64)
    for block in net.blocks:
        joint = (joint + block.weights[0].mean(0) @ joint) / 2  # type: ignore[union-attr, index, operator]
    return joint


def each_head(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return block.kept((q @ k.mT * block.each).softmax(-1)) @ v


def root_of_tensor(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return block.kept((q @ k.mT / torch.sqrt(torch.tensor(4.0, dtype=q.dtype))).softmax(-1)) @ v


def cosine(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    one, two = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    return block.kept((block.each * (one @ two.mT)).softmax(-1)) @ v


def each_query_with_mask_and_bias(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at = torch.arange(q.shape[2])
    far = (at - at[:, None]).abs()
    logits = (q @ k.mT - far).masked_fill(far > 5, -1e9)
    return block.kept((logits * q.square().sum(-1, keepdim=True)).softmax(-1)) @ v


@pytest.mark.parametrize("how", [each_head, root_of_tensor, cosine, each_query_with_mask_and_bias])
def test_is_captured_as_it_is(how: How) -> None:
    net, x = Net(plain, how), sequence()
    found = nucleoscope.attention_rollout(net, x, controls=0)
    assert found.facts["layers"] == ["blocks.0", "blocks.1"]
    torch.testing.assert_close(found.scores[0].double(), expected(net, x), rtol=0, atol=2e-6)


def mixed_before(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bhij,hg->bgij", q @ k.mT, block.mix).softmax(-1) @ v


def distances(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (-torch.cdist(q, k)).softmax(-1) @ v


def keys_scaled(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.mT) * k.sum(-1)[:, :, None]).softmax(-1) @ v


def flex(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return flex_attention(q, k, v)  # type: ignore[return-value]


NAMED: dict[str, tuple[How, str]] = {
    "heads mixed before softmax": (mixed_before, "no product of queries with keys"),
    "logits of distances": (distances, "no product of queries with keys"),
    "logits scaled by keys": (keys_scaled, "no product of queries with keys"),
    "flex_attention": (flex, "flex_attention makes its logits by a function"),
}


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("form", NAMED)
def test_is_named_with_its_line(form: str) -> None:
    how, why = NAMED[form]
    net, x = Net(plain, how).requires_grad_(False), sequence()
    with pytest.raises(ValueError, match=f"(?s)would skip a layer: .*test_capture_missed.*{why}"):
        nucleoscope.attention_rollout(net, x, controls=0)
    found = nucleoscope.attention_rollout(net, x, controls=0, layers=[0])
    assert len(found.facts["left out"]) == 1
    assert "test_capture_missed" in found.facts["left out"][0]


def test_what_is_found_as_it_runs_is_named_with_its_layer() -> None:
    def weak_mask(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
        return torch.where(seen, q @ k.mT, block.each[0, 0, 0]).softmax(-1) @ v

    with pytest.raises(
        ValueError, match=r"attention in blocks.1 cannot .*test_capture_missed.*has weight"
    ):
        nucleoscope.attention_rollout(Net(plain, weak_mask), sequence(), controls=0)


def test_names_are_whole() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Net(plain)

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x)  # type: ignore[no-any-return]

    assert Captured(Outer().eval(), (sequence(),)).names == ["model.blocks.0"]


def test_a_model_that_keeps_a_cache_is_told_to_leave_it() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    tokens = torch.randint(9, (1, 12))
    with pytest.raises(nucleoscope.Untraceable, match=r"config\.use_cache = False"):
        nucleoscope.attention_rollout(model, tokens, controls=0)
    model.config.use_cache = False
    found = nucleoscope.attention_rollout(model, tokens, controls=0)
    assert found.facts["layers"] == ["model.layers.0.self_attn"]
