"""The traced model with its derivative: many sequences, steps and baselines a batch, by the sequence input."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.graph import Graph
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import CLAIMS, Forward
from nucleoscope.engine.values.held import Held
from nucleoscope.engine.values.layers import layers
from nucleoscope.engine.values.partial import Partial
from nucleoscope.engine.values.short import Short, held
from nucleoscope.engine.values.uses import last_uses, size_of
from nucleoscope.engine.workers import in_order, side_by_side

ABREAST = 3  # samples that share a tile of `conv`
MOST = 48  # sequences at once
# Bytes of layers' outputs that a core's sequences keep on their way: more would be no nearer to it, no faster, and
# held. Of few bytes several sequences share the weights of a dense layer.
KEPT = 16 << 20

Read = Callable[[Tensor], Tensor]  # the output [B, ...] -> the numbers that are explained [B, T]


class Program:
    """A Graph that is run as a differentiable function, in one number type on one device.

    Constants are evaluated once, and none of them is given a gradient. On a processor each convolution over
    the length is one op with the BatchNorm, ReLU and residual behind it, and what lies between is kept
    channels last; every other op is the traced one, and its way back is torch's. Layers are made at those of
    their positions alone that the output depends on. With `short` the products of wide convolutions are of
    bfloat16.
    """

    def __init__(
        self, graph: Graph, dtype: torch.dtype, device: torch.device, short: bool = False
    ) -> None:
        self.graph = graph
        self._forward = Forward(graph, dtype, device, pack=False)
        found = layers(graph) if device.type == "cpu" else {}
        self._held = {
            name: held(each, self._forward.static, short=short) for name, each in found.items()
        }
        self._make(None)
        # Behind a ReLU what is zero in a whole tile of samples is skipped, however large the net.
        least = any(each.relu for each in found.values())
        self._abreast = max(int(least), round(min(KEPT / self._kept(), MOST) / ABREAST))

    def reading(self, read: Cut | None) -> Program:
        """The same, weights shared, for what reads its output at these positions alone; elsewhere that is NaN."""
        made = copy.copy(self)
        made._make(read)
        return made

    def _make(self, read: Cut | None) -> None:
        """Settle which positions of each value are made, and which layers are one op there."""
        graph = self.graph
        self._partial = Partial(graph, [(graph.output, read), (graph.edited, None)])
        cuts = self._partial.cuts
        there = {name: each.layer.placed(cuts) for name, each in self._held.items() if name in cuts}
        self._layers = {name: self._held[name].at(here) for name, here in there.items() if here}
        nodes = {name: each.layer.nodes for name, each in self._layers.items()}
        self._within = {n.name for each in nodes.values() for n in each[:-1]}
        ends = {n.name: name for name, each in nodes.items() for n in each}
        self._last = last_uses(graph, ends)  # a layer reads where its last node does
        self.first = self._layers.get(_first(graph, self._layers))

    def _kept(self) -> int:
        """Bytes of what is made of one sequence, a layer counted once."""
        shapes: list[Any] = [getattr(n.meta.get("val"), "shape", ()) for n in self._run_nodes()]
        numbers = (
            prod(int(s) for s in shape[1:] if isinstance(s, int)) for shape in shapes if shape
        )
        return max(1, sum(numbers) * self._forward.like.dtype.itemsize)

    def _run_nodes(self) -> Iterator[torch.fx.Node]:
        """What is run for every batch: layers by their last node, and no constants."""
        for node in self.graph.fx:
            if node.op != "call_function" or node.name in self._within or self._is_constant(node):
                continue
            if node.name in self._partial.cuts:
                yield node

    def __call__(self, X: Tensor, *others: Tensor) -> Tensor:
        """The output of the graph for a batch, which autograd follows back to X where that requires it.

        Equivalent to::

            model(X, *others)

        Args:
            X: a batch of sequences, in the layout of the trace and in the program's number type.
            others: further inputs, one row a sequence.

        Raises:
            ValueError: there are more or fewer further inputs than the traced model takes.
        """
        if len(others) != len(self.graph.others):
            raise ValueError(
                f"args: {len(others)} further inputs are given, the traced model takes "
                f"{len(self.graph.others)} ({', '.join(self.graph.others) or 'none'})"
            )
        return self._run({self.graph.edited: X}, others)

    def behind(self, y: Tensor, *others: Tensor) -> Tensor:
        """The same, of what the layer `first` makes: [B, L, C].

        Equivalent to::

            self.behind(self.first(X, None).mT, *others) == self(X, *others)
        """
        assert self.first is not None
        return self._run({self.first.layer.nodes[-1].name: y.mT}, others)

    def _run(self, made: dict[str, Tensor], others: tuple[Tensor, ...]) -> Tensor:
        """The output of the graph, of a value that is there already."""
        (given,) = made.values()
        env: dict[str, Any] = made | dict(zip(self.graph.others, others, strict=True))
        for node in self._run_nodes():
            if node.name in made:
                continue
            if node.name in self._layers:
                layer = self._layers[node.name]
                joins = layer.layer.residual
                env[node.name] = layer(
                    env[layer.layer.given], None if joins is None else env[joins]
                )
            elif node.target is aten.sym_size.int:
                env[node.name] = size_of(node, len(given))
            elif node.target not in CLAIMS:
                env[node.name] = self._op(node, env)
            for name in self._last.get(node.name, ()):
                env.pop(name, None)
        output: Tensor = env[self.graph.output]
        if self._partial.cuts[self.graph.output] is None:
            return output
        return self._partial.given(self.graph.output, output).whole()

    def _op(self, node: torch.fx.Node, env: dict[str, Any]) -> Any:
        """A traced op at the positions that are made of it."""
        if self._partial.whole(node):
            return self._forward.call(node, env)

        def value(arg: torch.fx.Node) -> Any:
            return env[arg.name] if arg.name in env else self._forward.static(arg.name)

        return self._partial.make(node, value, self._forward.apply)

    def _is_constant(self, node: torch.fx.Node) -> bool:
        return self.graph.nodes[node.name].role == "static"

    def gradient(
        self,
        X: Tensor,  # [B, 4, L], or [B, L, 4]: as traced
        others: tuple[Tensor, ...] = (),
        *,
        read: Read,
        behind: bool = False,
    ) -> tuple[Tensor, Tensor]:  # [B, T], [B, T, 4, L]
        """Values that are read off the output, and what each grows by per unit of each letter of X.

        On a processor each core takes a part of the batch. One forward serves all targets; each goes back
        alone. With `read=lambda y: (y * cotangent).flatten(1).sum(1, keepdim=True)`, a cotangent alike for
        all sequences, it is that times the Jacobian.

        Equivalent to::

            values = read(model(X))
            gradients[:, t] = torch.autograd.grad(values[:, t].sum(), X)[0]

        Args:
            X: sequences, one-hot or on a path between: any numbers.
            others: further inputs, one row a sequence.
            read: the output of the graph -> T numbers a sequence.
            behind: X is what the layer `first` makes, [B, L, C], and so are the gradients.

        Raises:
            ValueError: what is read does not depend on X in a way that has a derivative.
        """
        step = self._at_once(len(X))
        parts = [slice(i, i + step) for i in range(0, len(X), step)]

        def part(rows: slice) -> tuple[Tensor, Tensor]:
            return self._gradient(X[rows], tuple(t[rows] for t in others), read, behind)

        if len(parts) < 2:
            return self._gradient(X, others, read, behind)
        values, gradients = zip(*in_order(part, parts, X.device), strict=True)
        return torch.cat(values), torch.cat(gradients)

    @property
    def short(self) -> bool:
        """Whether any products are of bfloat16."""
        return any(isinstance(layer, Short) for layer in self._layers.values())

    @property
    def batch(self) -> int:
        """How many sequences keep all cores busy."""
        return ABREAST * self._abreast * side_by_side(self._forward.like.device)

    def _at_once(self, many: int) -> int:
        """How many sequences a core takes: whole tiles of samples, and an even share for each core."""
        device = self._forward.like.device
        if device.type != "cpu":
            return many
        share = -(-many // side_by_side(device))
        return ABREAST * max(1, min(self._abreast, -(-share // ABREAST)))

    def _gradient(
        self, X: Tensor, others: tuple[Tensor, ...], read: Read, behind: bool
    ) -> tuple[Tensor, Tensor]:
        run = self.behind if behind else self
        with torch.enable_grad():
            leaf = (X.clone() if X.is_inference() else X.detach()).requires_grad_()
            values = read(run(leaf, *others))
            if values.grad_fn is None:
                raise ValueError(
                    "target: nothing that it reads depends on the sequence in a way that has a derivative"
                )
            last = values.shape[1] - 1
            each = [
                torch.autograd.grad(values[:, t].sum(), leaf, retain_graph=t < last)[0]
                for t in range(last + 1)
            ]
        return values.detach(), torch.stack(each, 1) if last else each[0].unsqueeze(1)


def _first(graph: Graph, found: dict[str, Held]) -> str:
    """The layer that alone reads the sequence, and nothing else; none: an empty name."""
    reads = [
        n for n in graph.fx
        if n.target is not aten.sym_size.int and graph.edited in (a.name for a in n.all_input_nodes)
    ]  # fmt: skip
    layers = ((name, each.layer) for name, each in found.items())
    own = (name for name, each in layers if [each.conv] == reads and each.residual is None)
    return next(own, "")
