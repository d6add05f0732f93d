"""The layer that the tensors of a softmax attention make: what is a mask, a bias, a table of distances."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import Node

from nucleoscope.engine.attention.capture.layer import Layer, Relative
from nucleoscope.engine.attention.capture.logits import HIDDEN, Logits, NotCaptured, Scales, Term
from nucleoscope.engine.attention.capture.products import arranged, shape
from nucleoscope.engine.attention.capture.shifts import axes_of, column_of_distance, laid_out
from nucleoscope.engine.attention.capture.simple import simplest
from nucleoscope.naive.ops._scores import Scores

Held = dict[Node, Any]


class Form(NamedTuple):
    """What a layer is called, where it stands, and how its heads are laid out."""

    name: str
    line: str
    heads: tuple[int, ...]  # the axes before queries and keys


def fused_layer(given: dict[str, Any], scale: float | None, form: Form) -> Layer:
    """The layer of a call of scaled_dot_product_attention."""
    query, key, value = (_as_heads(given[each]) for each in ("query", "key", "value"))
    added = _Added(form)
    if (mask := given["mask"]) is not None:
        if mask.dtype == torch.bool:
            added.hide(mask, seen=True)
        else:
            added.add(mask, 1.0, capped=True)
    ahead = 0 if given["causal"] else None
    scores = Scores(scale=scale, mask=added.mask, bias=added.bias, ahead=ahead)
    return simplest(Layer(form.name, form.line, query, key, value, scores))


def _as_heads(tensor: Tensor, heads: tuple[int, ...] | None = None) -> Tensor:
    """[.., L, C] -> [1, H, L, C]; with `heads`, axes before the last two may be absent, 1, or split otherwise."""
    lead = tuple(tensor.shape[:-2])
    if heads is not None and torch.Size(lead).numel() not in (1, torch.Size(heads).numel()):
        while len(lead) > len(heads) and lead[0] == 1:
            lead = lead[1:]
        beside = (1,) * (len(heads) - len(lead)) + lead
        if any(n not in (1, m) for n, m in zip(beside, heads, strict=False)) or len(lead) > len(
            heads
        ):
            raise NotCaptured(
                f"what is added to its logits has other heads, {lead}, than they, {heads}"
            )
        tensor = tensor.reshape(*lead, *tensor.shape[-2:]).expand(*heads, -1, -1)
    return tensor.reshape(1, -1, *tensor.shape[-2:])


def read_layer(logits: Logits, held: Held, value: Tensor, form: Form) -> Layer:
    """The layer that logits read off a graph make with its tensors. Raises NotCaptured."""
    content = content_of(logits)
    query, key = _operands(content, axes_of(content) or "", held)
    added, relative = _Added(form), None
    query = query * added.scale(content.scales, held)
    for term in logits.terms:
        if term is not content:
            found, scale = _moved(term, held), added.scale(term.scales, held)
            if isinstance(found, Relative) and relative is None:
                relative = dataclasses.replace(found, query=found.query * scale)
            else:
                dense = found if isinstance(found, Tensor) else _written_out(found)
                added.add(dense * scale, 1.0, term.capped or logits.softcap is None)
    for bias in logits.biases:
        factor = bias.factor * added.scale(bias.scales, held)
        added.add(held[bias.node], factor, bias.capped or logits.softcap is None)
    for mask in logits.masks:
        number = held[mask.value] if isinstance(mask.value, Node) else mask.value
        most = float(torch.as_tensor(number * added.scale(mask.scales, held)).max())
        if most > HIDDEN:
            raise NotCaptured(f"masked logits become {most}, which still has weight")
        added.hide(held[mask.node], mask.seen)
    scores = Scores(scale=content.factor, mask=added.mask, bias=added.bias, softcap=logits.softcap)
    return simplest(Layer(form.name, form.line, query, key, value, scores, relative))


def content_of(logits: Logits) -> Term:
    """The one product of queries with keys. Raises NotCaptured where there is another number of them."""
    content = [each for each in logits.terms if axes_of(each) is not None]
    if len(content) != 1:
        what = "no product" if not content else f"{len(content)} products"
        raise NotCaptured(f"its logits hold {what} of queries with keys")
    _check_operands(content[0], axes_of(content[0]) or "")
    return content[0]


class _Added:
    """What is added to the products, and what hides keys, as [1, H or 1, Lq or 1, Lk or 1]."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.bias: Tensor | None = None
        self.mask: Tensor | None = None

    def scale(self, scales: Scales, held: Held) -> float | Tensor:
        """What tensors multiply logits by, all together: [1, H or 1, Lq or 1, 1]."""
        made: float | Tensor = 1.0
        for each in scales:
            by = self._placed(held[each.node])
            made = made / by if each.divides else made * by
        return made

    def add(self, tensor: Tensor, factor: float | Tensor, capped: bool) -> None:
        """A bias; numbers so low that they hide a key are taken as that."""
        whole = self._placed(tensor) * factor
        low = whole <= HIDDEN
        if bool(low.any()):
            self.hide(low, False)
            whole = whole.masked_fill(low, 0.0)
        if not bool((whole == 0).all()):
            if not capped:
                raise NotCaptured("a bias is added behind the soft cap")
            self.bias = whole if self.bias is None else self.bias + whole

    def hide(self, mask: Tensor, seen: bool) -> None:
        """A mask of what is seen, or of what is not."""
        whole = self._placed(mask.bool())
        whole = whole if seen else ~whole
        self.mask = whole if self.mask is None else self.mask & whole

    def _placed(self, tensor: Tensor) -> Tensor:
        if tensor.ndim < 2:
            tensor = tensor.reshape((1, -1) if tensor.ndim else (1, 1))
        return _as_heads(tensor, self.form.heads)


def _operands(term: Term, made: str, held: Held) -> tuple[Tensor, Tensor]:
    """Queries and keys of a product whose result's axes are `made`: heads, queries, keys."""
    _check_operands(term, made)
    lead, query, key = made[:-2], made[-2], made[-1]
    of_key, key_labels, of_query, query_labels = term.product.with_axis(key)
    sizes = dict(zip(term.product.labels[2], shape(term.product.node), strict=True))
    heads = tuple(sizes[each] for each in lead)
    summed = term.product.summed
    queries = arranged(held[of_query], query_labels, lead, query + summed, heads)
    keys = arranged(held[of_key], key_labels, lead, key + summed, heads)
    count = torch.Size(heads).numel()
    return queries.expand(-1, count, -1, -1), keys


def _check_operands(term: Term, made: str) -> None:
    if len(made) < 2:
        raise NotCaptured("its logits are no product of queries with keys, summed over one axis")
    query, key = made[-2], made[-1]
    _, key_labels, _, query_labels = term.product.with_axis(key)
    if key in query_labels or query in key_labels or not term.product.summed:
        raise NotCaptured("its logits are no product of queries with keys, summed over one axis")


def _moved(term: Term, held: Held) -> Relative | Tensor:
    """A product whose numbers are moved: a table of distances, or where that does not do all of it."""
    query, rows = _operands(term, term.product.labels[2], held)
    query = query * term.factor
    found = column_of_distance(term, held, query.device)
    if found is None:
        return laid_out(query @ rows.mT, term, held)
    if not rows.requires_grad:
        rows, kind = torch.unique(rows, dim=2, return_inverse=True)
        found = kind[found]
    return Relative(query, rows, found.to(torch.int32))


def _written_out(relative: Relative) -> Tensor:
    table, keys = relative.query @ relative.rows.mT, relative.query.shape[2]
    at = torch.arange(keys, device=table.device)
    kind = relative.index.long()[at - at[:, None] + keys - 1]
    return table.gather(3, kind.expand(*table.shape[:2], -1, -1))
