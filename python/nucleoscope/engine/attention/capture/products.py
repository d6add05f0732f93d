"""Products of two tensors in a traced graph, whatever op wrote them, as labels: ``bhid,bhjd->bhij``."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_letters

import torch
from torch import Tensor
from torch.fx import Node

aten = torch.ops.aten


@dataclass(frozen=True)
class Product:
    """A sum over one axis of the products of two tensors: a letter an axis, as einsum writes them."""

    node: Node
    first: Node
    second: Node
    labels: tuple[str, str, str]  # of the first, the second and the result

    @property
    def summed(self) -> str:
        """The axis that is summed over, or "" where it is not one."""
        first, second, made = self.labels
        gone = [each for each in first if each in second and each not in made]
        return gone[0] if len(gone) == 1 else ""

    def with_axis(self, label: str) -> tuple[Node, str, Node, str]:
        """(the operand that alone has this axis, its labels, the other one, its labels)."""
        (first, second, _), inside = self.labels, label in self.labels[0]
        pair = (self.first, first, self.second, second)
        return pair if inside else (*pair[2:], *pair[:2])


def product(node: Node) -> Product | None:
    """What a node is as a product; None where it is none."""
    if node.op != "call_function":
        return None
    if node.target is aten.einsum.default:
        return _einsum(node)
    if node.target in (aten.matmul.default, aten.bmm.default, aten.mm.default):
        first, second = node.args
    elif node.target is aten.baddbmm.default:
        first, second = node.args[1:]
    else:
        return None
    if not (isinstance(first, Node) and isinstance(second, Node)):
        return None
    ranks = rank(first), rank(second)
    if min(ranks) < 2:
        return None
    lead = ascii_letters[: max(ranks) - 2]
    of_first, of_second = (lead[len(lead) - r + 2 :] for r in ranks)
    return Product(node, first, second, (f"{of_first}xz", f"{of_second}zy", f"{lead}xy"))


def _einsum(node: Node) -> Product | None:
    match einsum_labels(node):
        case [(first, left), (second, right), (_, made)]:
            return Product(node, first, second, (left, right, made))
    return None


def einsum_labels(node: Node) -> list[tuple[Node, str]]:
    """The operands of an einsum, each with its labels, and itself with those of the result; [] of others."""
    equation, operands = str(node.args[0]).replace(" ", ""), node.args[1]
    if not isinstance(operands, list | tuple) or "->" not in equation:
        return []
    if not all(isinstance(each, Node) for each in operands):
        return []
    sides, made = equation.split("->")
    read = list(zip(operands, sides.split(","), strict=True))
    wide = [rank(n) - len(t) + 3 if "..." in t else 0 for n, t in read]
    dots = [c for c in ascii_letters if c not in equation][: max(wide)]

    def written(text: str, count: int) -> str:
        return text.replace("...", "".join(dots[len(dots) - count :]))

    labelled = [(n, written(t, count)) for (n, t), count in zip(read, wide, strict=True)]
    return [*labelled, (node, written(made, len(dots)))]


def rank(node: Node) -> int:
    """How many axes a node's tensor has."""
    return len(shape(node))


def shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's tensor; () where it holds none."""
    held = node.meta.get("val")
    return tuple(held.shape) if isinstance(held, Tensor) else ()


def arranged(tensor: Tensor, labels: str, lead: str, last: str, sizes: tuple[int, ...]) -> Tensor:
    """A tensor as [1, heads, *last]: its axes in the order ``lead + last``, those of `lead` as heads.

    `sizes` are those of `lead`. Where its last axes are absent or 1, neighbouring heads share an entry, and
    so they do here; an absent axis before one that counts is written out.
    """
    turned = tensor.permute([labels.index(each) for each in (*lead, *last) if each in labels])
    for at, each in enumerate(lead):
        if each not in labels:
            turned = turned.unsqueeze(at)
    own = list(turned.shape[: len(lead)])
    count = next((at + 1 for at in reversed(range(len(own))) if own[at] > 1), 0)
    whole = (*sizes[:count], *own[count:], *turned.shape[len(lead) :])
    return turned.expand(whole).reshape(1, -1, *turned.shape[len(lead) :])
