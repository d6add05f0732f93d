"""What delta_chain is tested at: small networks, random ones, and what each must come to."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nucleoscope import ops
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Kept, Letters, Link, Rows, pack_weight
from tests.ops.rows import before, converted, random_delta, random_original, random_rows

Value = tuple[Tensor, Rows]
FUNCTIONS: list[tuple[Any, ...]] = [
    ("relu",), ("clamp", -1.0, 0.5), ("elu", 1.0, 1.1, 0.5), ("tanh",), ("gelu",), ("abs",),
]  # fmt: skip
Widths = tuple[int, ...]


class Geometry(NamedTuple):
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0


@dataclass
class Chain:
    """A chain in the making, all of it random; each layer's rows are around where edits reach it."""

    sites: int = 5
    edits: int = 3
    dtype: torch.dtype = torch.float32
    device: Any = "cpu"
    length: int = 24  # of the sequence: small, so that many rows lie beyond its ends
    links: list[Link] = field(default_factory=list)
    given: list[Value] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)  # of every value
    lengths: list[int] = field(default_factory=list)
    reached: list[Tensor] = field(default_factory=list)  # a position [S] that an edit reaches

    def __post_init__(self) -> None:
        self.like = torch.empty(0, dtype=self.dtype, device=self.device)
        sequence, old = self._integers(0, 3), self._integers(-1, 4)  # -1: no letter
        new = torch.randint(-1, 4, (self.sites, self.edits), device=self.device)
        site = self._integers(0, self.length)
        self.letters = Letters(sequence.int(), site, old.int(), new.int())

    @property
    def last(self) -> int:
        """The number of the last value."""
        return len(self.channels) - 1

    def bring(self, channels: int, widths: Widths) -> int:
        """A value from outside; these come before all links."""
        rows = random_rows(before(self.letters.site, widths), widths)
        self.given.append((random_delta(rows, self.edits, channels, self.like), rows))
        return self._number(channels, self.length, self.letters.site)

    def look_up(
        self, channels: int, widths: Widths, at: Geometry, *, relu: bool = True, **rest: Any
    ) -> int:
        table = self.like.new_empty(at.taps, 4, channels).normal_()
        return self._link("edit_lookup", -1, channels, widths, at, relu=relu, weight=table, **rest)

    def conv(
        self, given: int, channels: int, widths: Widths, at: Geometry, *, groups: int = 1,
        wide: int = 1, relu: bool = True, **rest: Any,
    ) -> int:  # fmt: skip
        """A convolution; ``wide``: channels of an input that no edit reaches."""
        wide = self.channels[given] // groups if given >= 0 else wide
        plain = self.like.new_empty(at.taps, wide, channels).normal_() / (at.taps * wide) ** 0.5
        weight = pack_weight(plain, groups)
        return self._link(
            "delta_conv", given, channels, widths, at, relu=relu, weight=weight, **rest
        )

    def pool(self, given: int, widths: Widths, at: Geometry, *, behind_relu: bool = False) -> int:
        channels, length_in = self.channels[given], self.lengths[given]
        values = random_original(self.sites, length_in, channels, self.like).values
        entered = values.relu() if behind_relu else values
        pooled = F.max_pool1d(entered.mT, at.taps, at.stride, at.pad, at.dilation).mT.contiguous()
        number = self._link(
            "delta_max_pool", given, channels, widths, at, length_in=length_in,
            original=Kept(values), second=Kept(pooled),
        )  # fmt: skip
        self.links[-1] = replace(self.links[-1], relu=behind_relu)
        return number

    def pointwise(self, given: int, function: str = "relu", *parameters: float) -> int:
        on = (*self.given, *((None, link.rows) for link in self.links))[given][1]
        return self._link(
            "delta_pointwise", given, self.channels[given], (), Geometry(), True, rows=on,
            function=function, parameters=parameters,
        )  # fmt: skip

    def norm(self, given: int, *, wide: int = 1) -> int:
        on = (*self.given, *((None, link.rows) for link in self.links))[given][1]
        weight = self.like.new_empty(wide).normal_()
        return self._link(
            "delta_layer_norm", given, self.channels[given], (), Geometry(), True, rows=on,
            weight=weight, wide=wide, eps=0.1,
        )  # fmt: skip

    def softmax_pool(self, given: int, beside: int, widths: Widths, at: Geometry) -> int:
        """One of the two may be -1, which no edit reaches."""
        one = max(given, beside)
        channels, length_in = self.channels[one], self.lengths[one]
        x, logits = (
            random_original(self.sites, length_in, channels, self.like).values for _ in range(2)
        )
        return self._link(
            "delta_softmax_pool", given, channels, widths, at, beside=beside, length_in=length_in,
            original=Kept(x), second=Kept(logits), length_of=one,
        )  # fmt: skip

    def sum(
        self, given: int, widths: Widths, at: Geometry, *, scaled: bool = False, **rest: Any
    ) -> int:
        channels = self.channels[given]
        scale = self.like.new_empty(channels).normal_() if scaled else None
        return self._link("delta_sum", given, channels, widths, at, weight=scale, **rest)

    def product(self, given: int, beside: int, widths: Widths) -> int:
        """Either factor may be -1: one that no edit reaches."""
        either = given if given >= 0 else beside
        length, channels = self.lengths[either], self.channels[either]
        originals = (random_original(self.sites, length, channels, self.like) for _ in range(2))
        a, b = (Kept(each.values, int(torch.randint(0, 3, ()))) for each in originals)
        return self._link(
            "delta_product",
            given,
            channels,
            widths,
            Geometry(),
            beside=beside,
            original=a,
            second=b,
        )

    def concat(self, given: int, beside: int, widths: Widths, more: int = 0) -> int:
        """Either value may be -1; ``more`` channels between them do not change."""
        channels = more + sum(self.channels[v] for v in (given, beside) if v >= 0)
        return self._link("delta_concat", given, channels, widths, Geometry(), beside=beside)

    def mean(self, given: int) -> int:
        """Over the whole length."""
        length = self.lengths[given]
        none = self.letters.site.new_zeros(1, self.sites)
        return self.sum(given, (), Geometry(length), factors=(1 / length, 1), rows=Rows(none, (1,)))

    def run(self, op: Callable[..., list[Tensor]], asked: list[int], **rest: Any) -> list[Tensor]:
        return op(self.links, self.letters, self.given, asked, **rest)

    def changed(self, change: Callable[[Tensor], Tensor]) -> Chain:
        """The same chain with every floating-point tensor changed."""
        links = [
            replace(link, **{name: converted(getattr(link, name), change)
                             for name in ("weight", "original", "second")})
            for link in self.links
        ]  # fmt: skip
        made = copy(self)
        made.links, made.given = links, [converted(each, change) for each in self.given]
        return made

    def _integers(self, least: int, beyond: int) -> Tensor:
        return torch.randint(least, beyond, (self.sites,), device=self.device)

    def _link(
        self, op: str, given: int, channels: int, widths: Widths, at: Geometry, relu: bool = False,
        rows: Rows | None = None, length_of: int | None = None, **rest: Any,
    ) -> int:  # fmt: skip
        from_, length_in = self.letters.site, self.length
        source = given if length_of is None else length_of
        if source >= 0:
            from_, length_in = self.reached[source], self.lengths[source]
        length = max((length_in + 2 * at.pad - (at.taps - 1) * at.dilation - 1) // at.stride + 1, 1)
        past = from_ + at.pad - self._integers(0, at.taps) * at.dilation
        reached = torch.div(past, at.stride, rounding_mode="floor").clamp(0, length - 1)
        if rows is None:
            rows = random_rows(before(reached, widths), widths)
        if relu:
            first = int(torch.randint(0, 3, ()))  # what lies before it is clamped
            values = random_original(self.sites, length, channels, self.like).values
            rest["original"] = Kept(values, first)
        self.links.append(Link(op, rows, channels, length, given, **at._asdict(), **rest))
        return self._number(channels, length, reached)

    def _number(self, channels: int, length: int, reached: Tensor) -> int:
        self.channels.append(channels)
        self.lengths.append(length)
        self.reached.append(reached)
        return self.last


def basset(chain: Chain) -> list[int]:
    """Pools between convolutions, then a linear layer over what is left of the length."""
    x = chain.look_up(33, (9,), Geometry(9, pad=4), relu=False)
    x = chain.pool(x, (5,), Geometry(3, 3), behind_relu=True)
    x = chain.conv(x, 20, (6,), Geometry(5, pad=2))
    x = chain.pool(x, (3,), Geometry(2, 2))
    return [chain.conv(x, 17, (1,), Geometry(chain.lengths[x]), relu=False)]


def bpnet(chain: Chain) -> list[int]:
    """x + relu(conv(x)), with growing dilations, and the mean: every layer is read twice."""
    x = chain.look_up(16, (7,), Geometry(7, pad=3))
    asked = []
    for dilation in (1, 2, 4):
        x = chain.conv(x, 16, (9, 2), Geometry(3, 1, dilation, dilation), beside=x)
        asked.append(x)
    return [chain.mean(x), *asked]


def counts(chain: Chain) -> list[int]:
    """Sums over parts of the length, which nothing else reads: a layer before one is never stored.

    Their factors are powers of two, so that a factor taken last changes no bit.
    """
    x = chain.look_up(16, (7,), Geometry(7, pad=3))
    sums = []
    for part, wide in ((Geometry(8, pad=-3), (9, 2)), (Geometry(4, pad=1), (40,))):
        y = chain.conv(x, 21, wide, Geometry(3, 1, 2, 2), relu=part.pad < 0)
        none = Rows(chain.letters.site.new_zeros(1, chain.sites), (1,))
        sums.append(chain.sum(y, (), part._replace(stride=99), factors=(0.125, 1), rows=none))
    return sums


def resnet(chain: Chain) -> list[int]:
    """relu(conv(relu(conv(x))) + x); the first layer comes back behind all blocks."""
    first = x = chain.look_up(19, (5, 3), Geometry(4, 1, 2, 3), relu=False)
    for _ in range(3):
        inner = chain.conv(x, 8, (4, 5), Geometry(3, pad=1))
        x = chain.conv(inner, 19, (10,), Geometry(3, pad=1), beside=x, residual_first=True)
    return [chain.sum(x, (4, 4), Geometry(), beside=first, factors=(0.5, -2.0)), inner]


def from_outside(chain: Chain) -> list[int]:
    """Starts behind other layers: two values come from there, one is read late."""
    x, late = chain.bring(24, (7, 4)), chain.bring(24, (0, 5))
    x = chain.conv(chain.pointwise(x), 24, (6, 3), Geometry(3, 2, 1, 2), groups=4)
    x = chain.sum(x, (5,), Geometry(3, 2, pad=1), scaled=True)
    x = chain.conv(x, 24, (4,), Geometry(1), beside=late)
    return [x, chain.mean(x)]


def strided_look_up(chain: Chain) -> list[int]:
    """A first layer with strides, without rows for some; a slice and padding behind it."""
    x = chain.look_up(5, (3, 0, 2), Geometry(6, 2, 3, 7))
    x = chain.sum(x, (4,), Geometry(pad=-2))
    x = chain.sum(x, (6,), Geometry(pad=3))
    return [chain.conv(chain.sum(x, (0,), Geometry()), 7, (4,), Geometry(3, pad=1)), x]


def residual_alone(chain: Chain) -> list[int]:
    """No edit reaches the convolution's input, but what joins it."""
    x = chain.look_up(18, (6,), Geometry(5, pad=2))
    near = chain.conv(-1, 18, (7,), Geometry(3), groups=3, wide=4, beside=x, residual_first=True)
    return [near, chain.conv(-1, 18, (3, 2), Geometry(), relu=False, beside=near)]


def gated(chain: Chain) -> list[int]:
    """A value times its gate, then times a value that no edit reaches; a square."""
    x = chain.look_up(17, (7,), Geometry(5, pad=2))
    value = chain.conv(x, 17, (8,), Geometry(3, pad=1), relu=False)
    gate = chain.conv(x, 17, (4, 2), Geometry(3, pad=1))
    x = chain.product(value, gate, (9,))
    known = chain.product(-1, chain.product(x, -1, (3, 4)), (6,))
    return [chain.conv(chain.product(x, x, (8,)), 5, (7,), Geometry(3, pad=1)), x, known]


def dense_net(chain: Chain) -> list[int]:
    """Each layer reads all before it; and values beside channels that do not change."""
    x = chain.look_up(9, (5,), Geometry(3, pad=1))
    for _ in range(3):
        x = chain.concat(x, chain.conv(x, 7, (6, 1), Geometry(3, pad=1)), (8,))
    late = chain.concat(-1, x, (3, 4), more=5)
    return [chain.conv(x, 4, (5,), Geometry(1)), late, chain.concat(late, -1, (6,), more=2)]


def smooth(chain: Chain) -> list[int]:
    """x + conv(gelu(x)), behind a first layer with its own function; and what softplus makes of it."""
    x = chain.look_up(21, (7,), Geometry(7, pad=3), function="silu")
    for dilation in (1, 2):
        inner = chain.pointwise(x, "gelu")
        at = Geometry(3, 1, dilation, dilation)
        x = chain.conv(inner, 21, (9, 2), at, beside=x, relu=False)
    return [chain.pointwise(x, "softplus", 1.0, 20.0), chain.pointwise(x, "clamp", -0.5, 0.5)]


def enformer(chain: Chain) -> list[int]:
    """Attention pools behind convolutions, logits by a 1x1 one; and norms over groups of channels."""
    x = chain.look_up(18, (8,), Geometry(7, pad=3), relu=False)
    x = chain.conv(chain.norm(x, wide=18), 18, (7,), Geometry(3, pad=1), relu=False, beside=x)
    logits = chain.conv(x, 18, (7,), Geometry(), relu=False)
    x = chain.softmax_pool(x, logits, (4, 1), Geometry(2, 2))
    x = chain.norm(x, wide=6)
    values_alone = chain.softmax_pool(x, -1, (3,), Geometry(3, 3))
    return [chain.softmax_pool(-1, x, (4,), Geometry(3, 2)), values_alone, x]


CHAINS = {
    "basset": basset,
    "bpnet": bpnet,
    "counts": counts,
    "resnet": resnet,
    "from outside": from_outside,
    "strided look-up": strided_look_up,
    "residual alone": residual_alone,
    "gated": gated,
    "dense net": dense_net,
    "smooth": smooth,
    "enformer": enformer,
}


def random_links(chain: Chain, many: int, seed: int, furthest: int = 99) -> None:
    """Links of every op, each on values up to so far before it; up to two come from outside."""
    pick = Random(seed)

    def widths() -> Widths:
        return tuple(pick.choices(range(7), k=pick.randint(1, 3)))

    def geometry(most: int) -> Geometry:
        taps = pick.randint(1, most)
        stride, dilation = pick.choice((1, 1, 1, 2)), pick.choice((1, 1, 3))
        return Geometry(taps, stride, dilation, pick.randint(0, taps // 2))

    kinds = (
        "look-up",
        "conv",
        "conv",
        "residual",
        "alone",
        "pool",
        "pointwise",
        "sum",
        "two",
        "product",
        "concat",
        "norm",
        "softmax pool",
    )
    for _ in range(pick.randint(0, 2)):
        chain.bring(pick.randint(1, 40), widths())
    chain.look_up(pick.randint(1, 40), widths(), geometry(7), relu=pick.random() < 0.5)
    for _ in range(many - 1):
        near = range(max(chain.last - furthest, 0), chain.last + 1)
        x, other = pick.choice(near), pick.choice(near)
        channels = chain.channels[x]
        alike = [v for v in near if chain.channels[v] == channels]
        match pick.choice(kinds):
            case "look-up":
                chain.look_up(pick.randint(1, 40), widths(), geometry(7))
            case "conv":
                groups = pick.choice((1, channels))
                made = groups * pick.randint(1, 3) if groups > 1 else pick.randint(1, 40)
                chain.conv(x, made, widths(), geometry(4), groups=groups, relu=pick.random() < 0.5)
            case "residual" | "alone" as kind:
                chain.conv(
                    x if kind == "residual" else -1, chain.channels[other], widths(), geometry(4),
                    beside=other, relu=pick.random() < 0.5, residual_first=pick.random() < 0.5,
                )  # fmt: skip
            case "pool" if chain.lengths[x] > 9:  # or else a cell may hold padding alone
                chain.pool(x, widths(), geometry(4), behind_relu=pick.random() < 0.5)
            case "pointwise":
                chain.pointwise(x, *pick.choice(FUNCTIONS))
            case "product":
                chain.product(*pick.choice(((x, pick.choice(alike)), (x, -1), (-1, x))), widths())
            case "concat" if channels < 99:
                chain.concat(x, pick.choice((other, -1)), widths(), pick.choice((0, 3)))
            case "norm":
                chain.norm(x, wide=channels if pick.random() < 0.5 else 1)
            case "softmax pool" if chain.lengths[x] > 9:
                other = pick.choice([v for v in alike if chain.lengths[v] == chain.lengths[x]])
                taps = pick.randint(1, 4)
                chain.softmax_pool(x, other, widths(), Geometry(taps, pick.randint(1, taps)))
            case "two":
                factors = (pick.uniform(-1, 1), pick.uniform(-1, 1))
                chain.sum(x, widths(), Geometry(), beside=pick.choice(alike), factors=factors)
            case _:
                chain.sum(x, widths(), geometry(4), scaled=pick.random() < 0.5)


def every_link(chain: Chain) -> list[int]:
    """The numbers of all that can be asked for."""
    return list(range(len(chain.given), chain.last + 1))


def op_by_op(chain: Chain, asked: list[int]) -> list[Tensor]:
    """The same ops, called singly."""
    return chain.run(naive.delta_chain, asked, by=ops)


def assert_close(got: list[Tensor], chain: Chain, asked: list[int]) -> None:
    """Off the definition in float64 by no more than some roundings of the largest value."""
    everything = chain.changed(Tensor.double).run(naive.delta_chain, every_link(chain))
    expected = dict(zip(every_link(chain), everything, strict=True))
    largest = max([value.abs().max().item() for value in everything if value.numel()], default=0.0)
    assert len(got) == len(asked)
    for value, index in zip(got, asked, strict=True):
        assert value.dtype == chain.dtype
        atol = 32 * torch.finfo(chain.dtype).eps * largest
        torch.testing.assert_close(value.double(), expected[index], rtol=0, atol=atol)
