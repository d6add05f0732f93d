"""Attention in a traced graph: which nodes are queries, keys, values, masks and biases of which layer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from nucleoscope.engine.attention.capture.axes import TOKENS, Along, along
from nucleoscope.engine.attention.capture.foreign import foreign
from nucleoscope.engine.attention.capture.layer import Layer
from nucleoscope.engine.attention.capture.linear import LinearSite, linear_sites
from nucleoscope.engine.attention.capture.logits import Logits, NotCaptured
from nucleoscope.engine.attention.capture.products import arranged, rank, shape
from nucleoscope.engine.attention.capture.softmax import (
    Form,
    Held,
    content_of,
    fused_layer,
    read_layer,
)
from nucleoscope.engine.attention.capture.unseen import unseen
from nucleoscope.engine.attention.capture.weighted import Weighted, logits_of, weighted_by

aten = torch.ops.aten
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


def find(graph: Graph, inputs: Collection[str]) -> tuple[list[Site], list[Refused]]:
    """Every layer of attention in a graph, in its order, and what could not be taken apart.

    `inputs` are the names of what the model is given.
    """
    found = along(graph, inputs)
    sites: list[Site] = []
    refused: list[Refused] = []
    known: set[Node] = set()

    def enter(site: Site) -> None:
        if (why := _windows(site, found)) is None:
            sites.append(site)
        else:
            refused.append(Refused(site.node, why, True))

    for linear in linear_sites(graph):
        known |= {linear.summed.node, linear.read.node}
        enter(linear)
    for node in graph.nodes:
        if node.target is SDPA:
            enter(FusedSite(node))
        elif (why := foreign(node, found)) is not None:
            refused.append(Refused(node, why, True))
        elif (logits := logits_of(node)) is not None:
            weighted = list(weighted_by(node))
            known |= {each.product.node for each in weighted}
            for each in weighted:
                try:
                    enter(_site(logits, each))
                except NotCaptured as why_not:
                    size = shape(node)
                    refused.append(Refused(node, str(why_not), size[-1] == size[-2]))
    refused += [Refused(node, why, True) for node, why in unseen(graph, found, known)]
    order = {node: at for at, node in enumerate(graph.nodes)}
    return (
        sorted(sites, key=lambda each: order[each.node]),
        sorted(refused, key=lambda each: order[each.node]),
    )


def beside(graph: Graph, sites: list[Site]) -> list[set[int]]:
    """For each layer, those before it in order of which nothing reaches it."""
    above: dict[Node, set[int]] = {}
    made = {site.node: at for at, site in enumerate(sites)}
    reached: list[set[int]] = []
    for node in graph.nodes:
        above[node] = set().union(*(above[each] for each in node.all_input_nodes))
        if node in made:
            reached.append(set(range(len(reached))) - above[node])
            above[node] = above[node] | {made[node]}
    return reached


def _windows(site: Site, found: dict[Node, Along]) -> str | None:
    """Why a layer is none over all tokens: some of them lie side by side as its heads or its batch."""
    made, order = site.labels_of_output
    axes = zip(made, shape(site.node), found[site.node].axes, strict=True)
    if not any(label in order[:-2] and size > 1 and bits & TOKENS for label, size, bits in axes):
        return None
    return (
        f"attention within windows of {site.size[1]} tokens, which are folded into its heads or its batch, is not "
        "captured: its rows would be tokens of a window, not of the sequence"
    )


def _site(logits_at: Node, weighted: Weighted) -> SoftmaxSite:
    made = weighted.product
    lead, query, key = weighted.lead, weighted.query, weighted.key
    values, labels = weighted.values
    own = {*lead, query, key}
    channel = [each for each in labels if each not in own]
    if len(channel) != 1 or query in labels or set(made.labels[2]) != {*lead, query, *channel}:
        raise NotCaptured("its values are not summed head by head")
    logits = Logits()
    logits.read(logits_at)
    content_of(logits)
    return SoftmaxSite(
        made.node,
        logits,
        weighted.heads,
        (values, labels),
        (lead, query, key, channel[0]),
        made.labels[2],
    )


def tensors_of(site: Site, values: tuple[Any, ...]) -> Held:
    """The tensors of a site's leaves, as they were passed."""
    return dict(zip(site.leaves, values, strict=True))
