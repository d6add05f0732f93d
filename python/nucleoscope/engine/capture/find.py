"""Attention in a traced graph: which nodes are queries, keys, values, masks and biases of which layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from nucleoscope.engine.capture.layer import Layer
from nucleoscope.engine.capture.linear import LinearSite, linear_sites
from nucleoscope.engine.capture.logits import SAME, Logits, NotCaptured, moves_heads_only, source
from nucleoscope.engine.capture.products import Product, arranged, product, rank, shape
from nucleoscope.engine.capture.softmax import Form, Held, content_of, fused_layer, read_layer

aten = torch.ops.aten
SOFTMAX = (aten.softmax.int, aten._softmax.default, aten._safe_softmax.default)
SDPA = aten.scaled_dot_product_attention.default


@dataclass(frozen=True)
class Refused:
    """What looks like attention and was not captured."""

    node: Node
    why: str
    square: bool  # queries are as many as keys: a rollout would pass through it


@dataclass(frozen=True)
class SoftmaxSite:
    """A softmax over products of queries and keys, and the product with the values."""

    node: Node  # what attention gives
    logits: Logits
    head_shape: tuple[int, ...]  # of the axes before queries and keys, where values are weighted
    values: tuple[Node, str]
    labels: tuple[str, str, str, str]  # lead, query, key, channel
    made: str  # of the axes of `node`

    @property
    def leaves(self) -> list[Node]:
        """The nodes whose tensors make the layer."""
        read = [self.values[0]]
        for term in self.logits.terms:
            read += [term.product.first, term.product.second]
            for step in term.path:
                read += [n for n in step.all_input_nodes if _places(n)]
        read += [bias.node for bias in self.logits.biases]
        for mask in self.logits.masks:
            read += [n for n in (mask.node, mask.value) if isinstance(n, Node)]
        read += [scale.node for scale in self.logits.all_scales]
        return list(dict.fromkeys(read))

    def layer(self, held: Held, name: str, line: str) -> Layer:
        """The layer of these tensors. Raises NotCaptured."""
        lead, _, key, channel = self.labels
        value = arranged(held[self.values[0]], self.values[1], lead, key + channel, self.head_shape)
        return read_layer(self.logits, held, value, Form(name, line, self.head_shape))

    @property
    def labels_of_output(self) -> tuple[str, str]:
        """The axes of `node`, and their order as heads, query, channel."""
        return self.made, self.labels[0] + self.labels[1] + self.labels[3]

    @property
    def heads(self) -> int:
        """How many."""
        return torch.Size(self.head_shape).numel()

    @property
    def size(self) -> tuple[int, int]:
        """(queries, keys)."""
        value, labels = self.values
        sizes = dict(zip(self.made, shape(self.node), strict=True))
        return sizes[self.labels[1]], shape(value)[labels.index(self.labels[2])]

    def shaped(self, made: Tensor) -> Tensor:
        """What attention gives, [1, H, Lq, E], as the model has it there."""
        lead, query, _, channel = self.labels
        whole = made.reshape(*self.head_shape, *made.shape[2:])
        own = lead + query + channel
        return whole.permute([own.index(each) for each in self.made])


def _places(node: Node) -> bool:
    """Whether a node's numbers say where others are read."""
    held = node.meta.get("val")
    return isinstance(held, Tensor) and held.dtype in (torch.int32, torch.int64, torch.bool)


@dataclass(frozen=True)
class FusedSite:
    """A call of scaled_dot_product_attention."""

    node: Node

    @property
    def leaves(self) -> list[Node]:
        """The nodes whose tensors make the layer."""
        return list(dict.fromkeys(self.node.all_input_nodes))

    def layer(self, held: Held, name: str, line: str) -> Layer:
        """The layer of these tensors."""
        given = dict(
            zip(
                ("query", "key", "value", "mask", "dropout", "causal"), self.node.args, strict=False
            )
        )
        given |= {"mask": given.get("mask", self.node.kwargs.get("attn_mask"))}
        given["causal"] = given.get("causal", self.node.kwargs.get("is_causal", False))
        tensors = {k: held[v] if isinstance(v, Node) else v for k, v in given.items()}
        lead = tuple(shape(self.node)[:-2])
        scale: Any = self.node.kwargs.get("scale")
        return fused_layer(tensors, scale, Form(name, line, lead))

    @property
    def labels_of_output(self) -> tuple[str, str]:
        """The axes of `node`, and their order as heads, query, channel."""
        own = ascii_letters[: rank(self.node)]
        return own, own

    @property
    def heads(self) -> int:
        """How many."""
        return torch.Size(shape(self.node)[:-2]).numel()

    @property
    def size(self) -> tuple[int, int]:
        """(queries, keys)."""
        return shape(self.node)[-2], shape(self.node.args[1])[-2]  # type: ignore[arg-type]

    def shaped(self, made: Tensor) -> Tensor:
        """What attention gives, [1, H, Lq, E], as the model has it there."""
        return made.reshape(shape(self.node))


Site = SoftmaxSite | FusedSite | LinearSite


def find(graph: Graph) -> tuple[list[Site], list[Refused]]:
    """Every layer of attention in a graph, in its order, and what could not be taken apart."""
    sites: list[Site] = list(linear_sites(graph))
    refused: list[Refused] = []
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is SDPA:
            sites.append(FusedSite(node))
        elif node.target in SOFTMAX:
            for weighted, labels in _weighted(node):
                try:
                    sites.append(_site(node, weighted, labels))
                except NotCaptured as why:
                    size = shape(node)
                    refused.append(Refused(node, str(why), size[-1] == size[-2]))
        elif "attention" in str(node.target) or "attn" in str(node.target):
            refused.append(Refused(node, _foreign(node), True))
    order = {node: at for at, node in enumerate(graph.nodes)}
    return sorted(sites, key=lambda each: order[each.node]), refused


def _foreign(node: Node) -> str:
    name = str(node.target)
    if name.startswith("flex_attention"):
        return (
            "flex_attention makes its logits by a function of its own; with the same as attn_mask of "
            "scaled_dot_product_attention it could be taken apart"
        )
    return f"{name} is no op that could be taken apart"


def _weighted(softmax: Node) -> Iterator[tuple[Product, str]]:
    """The products that sum values with these weights, and the label of the keys in each."""
    axis = softmax.args[1]
    if rank(softmax) < 2 or axis not in (-1, rank(softmax) - 1):
        return
    waiting = [softmax]
    while waiting:
        at = waiting.pop()
        for user in at.users:
            if user.target in SAME or moves_heads_only(user):
                waiting.append(user)
            elif (made := product(user)) is not None:
                of = made.labels[0] if made.first is at else made.labels[1]
                if made.summed and made.summed == of[-1]:
                    yield made, of


def _site(softmax: Node, weighted: Product, of: str) -> SoftmaxSite:
    weights_first = weighted.labels[0] is of
    values, labels = (
        (weighted.second, weighted.labels[1])
        if weights_first
        else (weighted.first, weighted.labels[0])
    )
    weights = weighted.first if weights_first else weighted.second
    lead, query, key = of[:-2], of[-2], of[-1]
    channel = [each for each in labels if each not in of]
    if len(channel) != 1 or query in labels or set(weighted.labels[2]) != {*lead, query, *channel}:
        raise NotCaptured("its values are not summed head by head")
    logits = Logits()
    logits.read(source(softmax))
    content_of(logits)
    heads = tuple(shape(weights)[: len(lead)])
    return SoftmaxSite(
        weighted.node,
        logits,
        heads,
        (values, labels),
        (lead, query, key, channel[0]),
        weighted.labels[2],
    )


def tensors_of(site: Site, values: tuple[Any, ...]) -> Held:
    """The tensors of a site's leaves, as they were passed."""
    return dict(zip(site.leaves, values, strict=True))
