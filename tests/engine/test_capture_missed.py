"""Attention beside a plain layer: it is captured as it is, or named with its line, never left out in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

import nucleoscope
from nucleoscope.engine.attention.capture.run import Captured
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


def by_exponentials(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = q @ k.mT / 2
    made = (logits - logits.amax(-1, keepdim=True)).exp()
    return block.kept(made / made.sum(-1, keepdim=True)) @ v


def by_logarithms(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return block.kept((q @ k.mT / 2).log_softmax(-1).exp()) @ v


def values_first(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (v.mT @ block.kept((q @ k.mT / 2).softmax(-1)).mT).mT


CAPTURED = [
    each_head, root_of_tensor, cosine, each_query_with_mask_and_bias, by_exponentials, by_logarithms, values_first,
]  # fmt: skip


@pytest.mark.parametrize("how", CAPTURED)
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


def mixed_behind(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bhij,hg->bgij", (q @ k.mT).softmax(-1), block.mix) @ v


def over_rows(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (k @ q.mT).softmax(-2).mT @ v


def heads_last(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("bhid,bhjd->bijh", q, k).softmax(2)
    return torch.einsum("bijh,bhjd->bhid", weights, v)


def masked_behind(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (q @ k.mT).softmax(-1) * torch.ones(q.shape[2], q.shape[2]).tril()
    return (weights / weights.sum(-1, keepdim=True)) @ v


def differential(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.mT).softmax(-1) - 0.3 * (k @ q.mT).softmax(-1)) @ v


def squares(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).relu().square() @ v / q.shape[2]


def with_a_sink(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    sink = block.each.expand(1, 4, q.shape[2], 1)
    return torch.cat([q @ k.mT, sink], -1).softmax(-1)[..., :-1] @ v


def summed_by_itself(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (q[:, :, :, None] * k[:, :, None]).sum(-1).tanh()
    return (weights[..., None] * v[:, :, None]).sum(-2)


def undivided(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q.relu() @ (k.relu().mT @ v)


def windowed(t: Tensor) -> Tensor:
    return t.unflatten(2, (-1, 8))


def in_windows(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (windowed(t) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).flatten(2, 3)


def by_hand_in_windows(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((windowed(q) @ windowed(k).mT).softmax(-1) @ windowed(v)).flatten(2, 3)


@torch.library.custom_op("nucleoscope_tests::fused_mha", mutates_args=())
def fused_mha(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Stands for somebody else's kernel, whose name says nothing."""
    return F.scaled_dot_product_attention(q, k, v)


@torch.library.custom_op("nucleoscope_tests::swish", mutates_args=())
def swish(x: Tensor, y: Tensor) -> Tensor:
    """Stands for somebody else's kernel that leaves each token where it is."""
    return x * y.sigmoid()


fused_mha.register_fake(lambda *given: torch.empty_like(given[2]))
swish.register_fake(lambda *given: torch.empty_like(given[0]))


def foreign(_: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return fused_mha(q, k, v)


NAMED: dict[str, tuple[How, str]] = {
    "heads mixed before softmax": (mixed_before, "no product of queries with keys"),
    "logits of distances": (distances, "no product of queries with keys"),
    "logits scaled by keys": (keys_scaled, "no product of queries with keys"),
    "heads mixed behind softmax": (mixed_behind, "tokens are weighed"),
    "softmax over rows": (over_rows, "tokens are weighed"),
    "heads last": (heads_last, "tokens are weighed"),
    "masked behind softmax": (masked_behind, "tokens are weighed"),
    "differential": (differential, "tokens are weighed"),
    "squares": (squares, "tokens are weighed"),
    "a sink beside the keys": (with_a_sink, "tokens are weighed"),
    "products summed by themselves": (summed_by_itself, "tokens are weighed"),
    "linear, undivided": (undivided, "summed over all of them, as in linear attention"),
    "windows": (in_windows, "within windows of 8 tokens"),
    "windows by hand": (by_hand_in_windows, "within windows of 8 tokens"),
    "somebody else's op": (foreign, "fused_mha.* is no op that could be taken apart, and it mixes"),
    "flex_attention": (flex, "flex_attention makes its logits by a function"),
}


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("form", NAMED)
def test_is_named_with_its_line(form: str) -> None:
    how, why = NAMED[form]
    net = Net(plain, how).requires_grad_(False)
    with pytest.raises(ValueError, match=f"(?s)would skip a layer: .*test_capture_missed.*{why}"):
        nucleoscope.attention_rollout(net, sequence(), controls=0)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_layers_that_are_captured_can_be_asked_alone() -> None:
    net = Net(plain, flex, mixed_behind).requires_grad_(False)
    found = nucleoscope.attention_rollout(net, sequence(), controls=0, layers=[0])
    assert len(found.facts["left out"]) == 2
    assert all("test_capture_missed" in each for each in found.facts["left out"])


class InBatch(nn.Module):
    """Windows as a batch of nn.MultiheadAttention."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, CHANNELS), nn.Linear(CHANNELS, 3)
        self.attention = nn.MultiheadAttention(CHANNELS, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x.mT).unflatten(1, (-1, 8)).flatten(0, 1)
        h = self.attention(h, h, h, need_weights=False)[0].unflatten(0, (len(x), -1)).flatten(1, 2)
        made: Tensor = self.head(h).mT
        return made


def test_windows_in_the_batch_are_named() -> None:
    with pytest.raises(ValueError, match="within windows of 8 tokens"):
        nucleoscope.attention_rollout(InBatch().eval(), sequence(), controls=0)


def test_branches_beside_each_other_are_not_gone_through_in_turn() -> None:
    def branches(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return plain(block, q, k, v) + plain(block, k, q, v)

    net = Net(plain, branches)
    with pytest.raises(ValueError, match=r"layers 1 \(.*\) and 2 \(.*\) lie beside each other"):
        nucleoscope.attention_rollout(net, sequence(), controls=0)
    found = nucleoscope.attention_rollout(net, sequence(), controls=0, layers=[0, 2])
    assert len(found.facts["layers"]) == 2


class Ordinary(nn.Module):
    """What looks like attention and mixes no tokens by weights of the input, beside one layer of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, CHANNELS, 3, padding=1)
        self.block, self.gate = Block(plain), nn.Linear(CHANNELS, CHANNELS)
        self.squeeze, self.window = nn.Linear(CHANNELS, CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.mixer = nn.Linear(LENGTH, LENGTH)
        self.score, self.last = nn.Linear(CHANNELS, 1), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.stem(x).mT
        h = h + self.block(h)
        h = h * self.gate(h).sigmoid()
        h = h * self.squeeze(h.mean(1)).sigmoid()[:, None]
        h = h + self.mixer(h.mT).relu().mT
        h = swish(h, h)
        pairs = h.unflatten(1, (-1, 2))
        pooled = (pairs * self.window(pairs).softmax(2)).sum(2)
        one = torch.einsum("bnpc,bnpc->bnc", pairs, self.window(pairs).softmax(2))
        contacts = torch.einsum("bic,bjc->bij", self.last(h), h)
        outer = (h[:, :, None] + h[:, None]) * (h[:, :, None] * h[:, None])
        gram = h.mT @ h
        whole = (self.score(h).softmax(1) * h).sum(1)
        at = torch.arange(h.shape[1])
        diagonal = (h @ h.mT)[:, at, at].sigmoid()[..., None] * h
        stacked = torch.stack([-h[..., 1::2], h[..., ::2]], -1).flatten(2)
        across = stacked.mT @ h
        return (
            pooled,
            one,
            contacts,
            outer,
            gram,
            whole,
            self.score(h).mT.tanh() @ h,
            diagonal,
            across,
        )


def test_ordinary_nets_are_not_accused() -> None:
    captured = Captured(Ordinary().eval(), (sequence(),))
    assert (captured.names, captured.refusals) == (["block"], [])


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
