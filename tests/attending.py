"""Small models with attention of every form that is captured: [1, L, C] in, [1, L, C'] out."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def heads(x: Tensor, count: int) -> Tensor:
    """[B, L, C] -> [B, H, L, C / H]."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def together(x: Tensor) -> Tensor:
    """The other way."""
    return x.transpose(1, 2).flatten(2)


class Projected(nn.Module):
    """Queries, keys and values of some heads each."""

    def __init__(self, channels: int, query: int = 4, key: int = 4, wide: int = 3) -> None:
        super().__init__()
        self.h, self.g = query, key
        self.q, self.k = nn.Linear(channels, query * 4), nn.Linear(channels, key * 4)
        self.v = nn.Linear(channels, key * wide)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return heads(self.q(x), self.h), heads(self.k(x), self.g), heads(self.v(x), self.g)


class Fused(Projected):
    """scaled_dot_product_attention, with further arguments."""

    def __init__(self, channels: int, key: int = 4, **given: object) -> None:
        super().__init__(channels, 4, key)
        self.given = given

    def forward(self, x: Tensor) -> Tensor:
        return together(F.scaled_dot_product_attention(*self.parts(x), **self.given))  # type: ignore[arg-type]


class WithMask(Projected):
    """The same with a mask or a bias of [L, L] or more axes."""

    def __init__(self, channels: int, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__(channels)
        self.make = make

    def forward(self, x: Tensor) -> Tensor:
        at = torch.arange(x.shape[1], device=x.device)
        made = self.make(at - at[:, None])
        made = made if made.dtype == torch.bool else made.to(x)
        return together(F.scaled_dot_product_attention(*self.parts(x), attn_mask=made))


class Rotary(Projected):
    """Queries and keys turned by their position, pairs of channels half a head apart or beside each other."""

    def __init__(self, channels: int, beside: bool = False) -> None:
        super().__init__(channels)
        self.beside = beside

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        at = torch.arange(x.shape[1]).to(x)[:, None] * torch.tensor([1.0, 0.1]).to(x)
        cos, sin = at.cos(), at.sin()

        def turned(t: Tensor) -> Tensor:
            if self.beside:
                across = torch.stack([-t[..., 1::2], t[..., ::2]], -1).reshape_as(t)
                return t * cos.repeat_interleave(2, -1) + across * sin.repeat_interleave(2, -1)
            one, two = t.chunk(2, -1)
            return torch.cat([one * cos - two * sin, one * sin + two * cos], -1)

        return together(F.scaled_dot_product_attention(turned(q), turned(k), v))


class ByHand(Projected):
    """softmax(q k^T) v in matmuls, with a learned bias of every pair."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__(channels)
        self.places = nn.Parameter(torch.randn(4, length, length))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        return together((q @ k.mT / 2 + self.places).softmax(-1) @ v)


class Folded(Projected):
    """Heads folded into the batch until the softmax, as BLOOM and DeBERTa have them."""

    def __init__(self, channels: int, length: int, disentangled: bool = False) -> None:
        super().__init__(channels)
        self.disentangled = disentangled
        self.of_pairs = nn.Parameter(torch.randn(4, length, length))
        self.kinds = nn.Parameter(torch.randn(2, 4, 9, 4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each.flatten(0, 1) for each in self.parts(x))
        if not self.disentangled:
            logits = torch.baddbmm(self.of_pairs, q, k.mT, beta=0.5, alpha=0.3)
        else:
            at = torch.arange(x.shape[1])
            kind = (at[:, None] - at).clamp(-4, 4) + 4
            kind = kind.expand(len(q), -1, -1)
            to_place = torch.gather(q @ self.kinds[0].mT, -1, kind)
            of_place = torch.gather(k @ self.kinds[1].mT, -1, kind).mT
            logits = q @ k.mT + to_place + of_place
        unfolded = logits.view(len(x), 4, *logits.shape[1:])
        return together((unfolded.softmax(-1).flatten(0, 1) @ v).unflatten(0, (len(x), 4)))


class SharedKeys(Projected):
    """One head of keys for all queries, a soft cap, a window, values in another order: einsum."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = heads(self.q(x), 4), self.k(x), self.v(x)
        logits = 5 * torch.tanh(torch.einsum("bhid,bjd->bhij", q, k) * 0.5 / 5)
        at = torch.arange(x.shape[1])
        logits = logits.masked_fill((at - at[:, None]).abs() > 3, -1e9)
        return torch.einsum("bhij,bjd->bihd", logits.softmax(-1), v).flatten(2)


class Relative(Projected):
    """Transformer-XL's relative positions as Enformer's (all rows differ) or Borzoi's (few do)."""

    def __init__(self, channels: int, few: bool, gathered: bool = False) -> None:
        super().__init__(channels)
        self.few, self.gathered = few, gathered
        self.rows = nn.Linear(6, 16, bias=False)
        self.content = nn.Parameter(torch.randn(1, 4, 1, 4))
        self.place = nn.Parameter(torch.randn(1, 4, 1, 4))

    def features(self, length: int) -> Tensor:
        """[2 L - 1, 6]."""
        distance = torch.arange(1 - length, length).to(self.content)[:, None]
        far = torch.arange(1, 4).to(distance)
        made = distance.abs() < 2**far if self.few else torch.exp(-distance.abs() / 2**far)
        return torch.cat([made, made * distance.sign()], -1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        rows = self.rows(self.features(x.shape[1])).unflatten(-1, (4, -1)).transpose(0, 1)
        content = torch.einsum("bhid,bhjd->bhij", (q * 0.5) + self.content, k)
        moved = torch.einsum("bhid,hrd->bhir", (q * 0.5) + self.place, rows)
        return together((content + self.shifted(moved)).softmax(-1) @ v)

    def shifted(self, table: Tensor) -> Tensor:
        """[B, H, L, 2 L - 1] -> [B, H, L, L], the entry of each distance."""
        batch, count, length, wide = table.shape
        if self.gathered:
            at = torch.arange(length)
            return table.gather(3, (at - at[:, None] + length - 1).expand(batch, count, -1, -1))
        padded = torch.cat([torch.zeros_like(table[..., :1]), table], -1)
        turned = padded.reshape(batch, count, wide + 1, length)[:, :, 1:]
        return turned.reshape(batch, count, length, wide)[..., :length]


class Linear(Projected):
    """Features that are ReLUs: divided behind (a quotient, or a product with 1 / x), before, or in one einsum."""

    def __init__(self, channels: int, divide: str) -> None:
        super().__init__(channels)
        self.divide = divide

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        q, k = q.relu() + 1e-3, k.relu() + 1e-3
        whole = torch.einsum("bhnd,bhd->bhn", q, k.sum(2))[..., None]
        table = torch.einsum("bhnd,bhne->bhde", k, v)
        if self.divide == "before":
            return together((q / whole) @ table)
        if self.divide == "together":  # as Performer's authors write it
            inverse = 1.0 / whole[..., 0]
            return together(torch.einsum("...de,...nd,...n->...ne", table, q, inverse))
        made = torch.einsum("bhde,bhnd->bhne", table, q)
        return together(made / whole if self.divide == "behind" else made * (1.0 / whole))


class Multihead(nn.Module):
    """nn.MultiheadAttention, its weights asked for or not."""

    def __init__(self, channels: int, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return made


def encoder(channels: int, layers: int = 2) -> nn.Module:
    """nn.TransformerEncoder, whose fast path keeps its attention to itself."""
    layer = nn.TransformerEncoderLayer(channels, 4, 16, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


SLOPES = torch.tensor([0.5, 0.25, 0.125, 0.0625])[:, None, None]

FORMS: dict[str, Callable[[int, int], nn.Module]] = {  # of channels and length
    "fused": lambda c, _: Fused(c),
    "causal": lambda c, _: Fused(c, is_causal=True, scale=0.7),
    "grouped": lambda c, _: Fused(c, 2, is_causal=True, enable_gqa=True),
    "one key head": lambda c, _: Fused(c, 1, enable_gqa=True),
    "window": lambda c, _: WithMask(c, lambda d: (d <= 0) & (d >= -4)),
    "no band": lambda c, _: WithMask(c, lambda d: d % 3 != 1),
    "ALiBi": lambda c, _: WithMask(c, lambda d: -d.abs() * SLOPES),
    "causal ALiBi": lambda c, _: WithMask(
        c, lambda d: (-d.abs() * SLOPES).masked_fill(d > 0, -torch.inf)
    ),
    "of distance": lambda c, _: WithMask(c, lambda d: torch.sin(d.float() * (1 + SLOPES))),
    "rotary": lambda c, _: Rotary(c),
    "rotary, beside": lambda c, _: Rotary(c, beside=True),
    "by hand": ByHand,
    "folded": Folded,
    "disentangled": lambda c, length: Folded(c, length, disentangled=True),
    "shared keys": lambda c, _: SharedKeys(c),
    "Enformer": lambda c, _: Relative(c, few=False),
    "Borzoi": lambda c, _: Relative(c, few=True),
    "gathered": lambda c, _: Relative(c, few=True, gathered=True),
    "linear behind": lambda c, _: Linear(c, "behind"),
    "linear times": lambda c, _: Linear(c, "times"),
    "linear before": lambda c, _: Linear(c, "before"),
    "Performer": lambda c, _: Linear(c, "together"),
    "multihead": lambda c, _: Multihead(c, need_weights=False),
    "multihead, weights": lambda c, _: Multihead(c, need_weights=True),
    "encoder": lambda c, _: encoder(c),
}


class OneHot(nn.Module):
    """One-hot DNA to tokens of 4 bases, blocks of attention of one form with residuals, an output a token."""

    def __init__(self, form: str, length: int, layers: int = 2, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, channels, 5, padding=2)
        self.blocks = nn.ModuleList([FORMS[form](channels, length // 4) for _ in range(layers)])
        wide = channels if form.startswith(("multihead", "encoder")) else 4 * 3
        self.out = nn.ModuleList([nn.Linear(wide, channels) for _ in range(layers)])
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.avg_pool1d(torch.tanh(self.stem(x)), 4).transpose(1, 2)
        for block, out in zip(self.blocks, self.out, strict=True):
            h = h + out(block(h))
        made: Tensor = self.head(torch.tanh(h)).transpose(1, 2)
        return made
