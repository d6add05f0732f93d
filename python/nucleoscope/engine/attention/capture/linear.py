"""Linear attention: weights are products of features, so that keys and values are summed over the length first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Graph, Node

from nucleoscope.engine.attention.capture.logits import SAME, NotCaptured
from nucleoscope.engine.attention.capture.products import (
    Product,
    arranged,
    einsum_labels,
    product,
    shape,
)
from nucleoscope.naive.ops._scores import shared
from nucleoscope.ops import Statistics

aten = torch.ops.aten
HELD = 1 << 26  # bytes of weights that are held at once where they are needed one by one


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """P = query key^T / divisor, of rank M at most; never made whole."""

    name: str
    line: str
    query: Tensor  # [1, H, Lq, M] features
    key: Tensor  # [1, H, Lk, M]
    value: Tensor  # [1, G, Lk, E]
    divisor: Tensor  # [1, H, Lq, 1]

    @property
    def heads(self) -> int:
        """How many."""
        return self.query.shape[1]

    @property
    def tokens(self) -> tuple[int, int]:
        """(queries, keys)."""
        return self.query.shape[2], self.key.shape[2]

    def apply(self, r: Tensor) -> Tensor:  # [1, H, M, Lq] -> [1, H, M, Lk]
        """r P, head by head, in the time of the length."""
        return ((r / self.divisor.mT) @ self.query) @ self.key.mT

    def values(self, x: Tensor | None = None) -> Tensor:  # [1, H or G, Lk, M] -> [1, H, Lq, M]
        """P x, head by head; of the layer's own values without x."""
        given = shared(self.value if x is None else x, self.query)
        return self.query @ (self.key.mT @ given) / self.divisor

    def relevance(self, r: Tensor, grad: Tensor) -> Tensor:  # [1, H, M, Lq], [1, H, Lq, E]
        """r (P * max(grad value^T, 0)), head by head: the positive part is of every weight, block by block."""
        made = torch.zeros_like(r[..., :1]).expand(-1, -1, -1, self.tokens[1]).clone()
        value = shared(self.value, self.query)
        for begin, end in self._blocks():
            of = (grad[:, :, begin:end] @ value.mT).relu() * self.weights(begin, end)
            made += r[..., begin:end] @ of
        return made

    def mean(self, share: Tensor) -> Iterator[tuple[int, int, Tensor]]:  # [H] -> [Lq, Lk]
        """Attention summed over heads with what each counts, as (begin, end, weights [end - begin, Lk])."""
        for begin, end in self._blocks():
            yield begin, end, torch.einsum("h,hij->ij", share, self.weights(begin, end)[0])

    def statistics(self) -> Statistics:
        """Entropy, peak and others a query, and what each key gets, block by block."""
        rows, columns = [], torch.zeros_like(self.key[..., 0])
        for begin, end in self._blocks():
            p = self.weights(begin, end)
            entropy = -torch.xlogy(p, p).sum(-1)
            lse = self.divisor[:, :, begin:end, 0].log()
            rows.append((lse, entropy, p.amax(-1), p.square().sum(-1), p.pow(3).sum(-1)))
            columns += p.sum(-2)
        made = [torch.cat(each, 2) for each in zip(*rows, strict=True)]
        return Statistics._make([*made, columns])

    def weights(self, begin: int, end: int) -> Tensor:
        """Attention of the queries [begin, end), [1, H, end - begin, Lk]."""
        return self.query[:, :, begin:end] @ self.key.mT / self.divisor[:, :, begin:end]

    def detached(self) -> LinearLayer:
        """The same out of any graph of gradients, in float32 at least."""
        names = ("query", "key", "value", "divisor")
        held = {name: getattr(self, name).detach() for name in names}
        half = (torch.float16, torch.bfloat16)
        held = {name: t.float() if t.dtype in half else t for name, t in held.items()}
        return dataclasses.replace(self, **held)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        queries, keys = self.tokens
        most = max(HELD // (self.heads * keys * self.query.element_size()), 16)
        return ((b, min(b + most, queries)) for b in range(0, queries, most))


@dataclass(frozen=True)
class LinearSite:
    """Features of keys summed with values, read by features of queries, and divided."""

    node: Node  # what attention gives
    summed: Product  # of keys and values
    read: Product  # of queries and that
    divisor: Node | None
    inverse: bool  # whether it is multiplied by
    divisor_labels: str = ""  # its axes; "": those of the result, in their order

    @property
    def leaves(self) -> list[Node]:
        """The nodes whose tensors make the layer."""
        read = [self.summed.first, self.summed.second, self._query[0]]
        return list(dict.fromkeys([*read, *([self.divisor] if self.divisor else [])]))

    @property
    def _query(self) -> tuple[Node, str]:
        """The features of queries, and their labels."""
        first = self.read.labels[0]
        if self.read.second is self.summed.node or _under(self.read.second) is self.summed.node:
            return self.read.first, first
        return self.read.second, self.read.labels[1]

    @property
    def _labels(self) -> tuple[str, str, str]:
        """Of the result: lead, query, channel."""
        feature, made = self.read.summed, self.read.labels[2]
        query_labels = self._query[1]
        table = self.read.labels[1] if query_labels is self.read.labels[0] else self.read.labels[0]
        channel = [each for each in made if each in table and each not in query_labels]
        query = [each for each in made if each in query_labels and each not in table]
        if len(channel) != 1 or len(query) != 1 or not feature:
            raise NotCaptured("its features are not summed head by head")
        lead = "".join(each for each in made if each not in (*channel, *query))
        return lead, query[0], channel[0]

    @property
    def labels_of_output(self) -> tuple[str, str]:
        """The axes of `node`, and their order as heads, query, channel."""
        return self.read.labels[2], "".join(self._labels)

    @property
    def heads(self) -> int:
        """How many."""
        sizes = dict(zip(self.read.labels[2], shape(self.read.node), strict=True))
        return torch.Size(sizes[each] for each in self._labels[0]).numel()

    @property
    def size(self) -> tuple[int, int]:
        """(queries, keys)."""
        sizes = dict(zip(self.read.labels[2], shape(self.read.node), strict=True))
        return sizes[self._labels[1]], shape(self.summed.first)[
            self.summed.labels[0].index(self.summed.summed)
        ]

    def layer(self, held: dict[Node, Tensor], name: str, line: str) -> LinearLayer:
        """The layer of these tensors. Raises NotCaptured."""
        lead, query, _ = self._labels
        sizes = dict(zip(self.read.labels[2], shape(self.read.node), strict=True))
        heads = tuple(sizes[each] for each in lead)
        node, labels = self._query
        queries = arranged(held[node], labels, lead, query + self.read.summed, heads)
        keys, values = self._keys_and_values(held, heads)
        queries = queries.expand(-1, torch.Size(heads).numel(), -1, -1)
        whole = queries @ shared(keys.sum(2, keepdim=True), queries).mT
        divisor = whole if self.divisor is None else self._divisor(held[self.divisor])
        self._check(divisor, whole)
        return LinearLayer(name, line, queries, shared(keys, queries), values, divisor)

    def _keys_and_values(
        self, held: dict[Node, Tensor], heads: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """As [1, H, Lk, M] and [1, H, Lk, E]; the product of both has features, then channels, last."""
        query_labels = self._query[1]
        table = self.read.labels[1] if query_labels is self.read.labels[0] else self.read.labels[0]
        made, token = self.summed.labels[2], self.summed.summed
        feature = made[table.index(self.read.summed)]
        channel = made[table.index(self._labels[2])]
        lead = "".join(each for each in made if each not in (feature, channel))
        of_key, key_labels, of_value, value_labels = self.summed.with_axis(feature)
        return (
            arranged(held[of_key], key_labels, lead, token + feature, heads),
            arranged(held[of_value], value_labels, lead, token + channel, heads),
        )

    def _divisor(self, tensor: Tensor) -> Tensor:
        lead, query, channel = self._labels
        if self.divisor_labels:
            sizes = dict(zip(self.read.labels[2], shape(self.read.node), strict=True))
            heads = tuple(sizes[each] for each in lead)
            turned = arranged(tensor, self.divisor_labels, lead, query, heads)[..., None]
            return 1.0 / turned if self.inverse else turned
        whole = tensor.expand(shape(self.read.node))
        turned = whole.permute([self.read.labels[2].index(e) for e in lead + query + channel])
        made = turned[..., :1].reshape(1, -1, turned.shape[-2], 1)
        return 1.0 / made if self.inverse else made

    def _check(self, divisor: Tensor, whole: Tensor) -> None:
        off = float(((divisor - whole).abs() / whole.abs()).max())
        if not off < 1e-2:
            raise NotCaptured("it is not divided by the sum of its weights, so they are no shares")

    def shaped(self, made: Tensor) -> Tensor:
        """What attention gives, [1, H, Lq, E], as the model has it there."""
        lead, query, channel = self._labels
        sizes = dict(zip(self.read.labels[2], shape(self.read.node), strict=True))
        whole = made.reshape([sizes[each] for each in lead + query + channel])
        return whole.permute([(lead + query + channel).index(e) for e in self.read.labels[2]])


def linear_sites(graph: Graph) -> Iterator[LinearSite]:
    """Products of features with a product of keys and values that was summed over the tokens."""
    for node in graph.nodes:
        for read, by in _reads(node):
            if not read.summed:
                continue
            for operand in (read.first, read.second):
                summed = product(_under(operand))
                if summed is not None and _is_read(read, operand, summed):
                    site = _divided(read, summed) if by is None else _times(read, summed, *by)
                    if site is not None:
                        yield site


def _reads(node: Node) -> Iterator[tuple[Product, tuple[Node, str] | None]]:
    """What a node is as a product of two; of an einsum of three, two of them and what they are multiplied by."""
    if (two := product(node)) is not None:
        yield two, None
    elif node.target is aten.einsum.default and len(parts := einsum_labels(node)) == 4:
        *operands, made = parts
        for at, by in enumerate(operands):
            first, second = operands[:at] + operands[at + 1 :]
            yield Product(node, first[0], second[0], (first[1], second[1], made[1])), by


def _times(read: Product, summed: Product, by: Node, labels: str) -> LinearSite | None:
    """With a number for each query of a head that it is multiplied by; None where `by` is something else."""
    site = LinearSite(read.node, summed, read, by, inverse=True, divisor_labels=labels)
    try:
        lead, query, _ = site._labels
    except NotCaptured:
        return None
    return site if query in labels and set(labels) <= {*lead, query} else None


def _under(node: Node) -> Node:
    while node.target in SAME and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _is_read(read: Product, operand: Node, summed: Product) -> bool:
    """Whether a product sums over the features of a sum over tokens, head by head."""
    labels = read.labels[0] if operand is read.first else read.labels[1]
    made = summed.labels[2]
    if len(labels) != len(made) or not summed.summed or _softmax_above(summed):
        return False
    feature = made[labels.index(read.summed)]
    return (feature in summed.labels[0]) != (feature in summed.labels[1])


def _softmax_above(summed: Product) -> bool:
    return any("softmax" in str(_under(n).target) for n in (summed.first, summed.second))


def _divided(read: Product, summed: Product) -> LinearSite | None:
    """With what it is divided by, behind the product or before it; None where it is not."""
    for user in read.node.users:
        if user.target not in (aten.div.Tensor, aten.mul.Tensor):
            continue
        quotient = user.target is aten.div.Tensor
        by = user.args[1] if quotient or user.args[0] is read.node else user.args[0]
        if isinstance(by, Node) and by is not read.node:
            return LinearSite(user, summed, read, by, inverse=not quotient)
    site = LinearSite(read.node, summed, read, None, inverse=False)
    before = _under(site._query[0])
    shares = before.target in (aten.div.Tensor, aten.mul.Tensor)
    return site if shares else None
