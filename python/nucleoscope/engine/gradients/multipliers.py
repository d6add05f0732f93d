"""DeepLIFT on a traced model: baselines go forward, multipliers come back, the sequence is run once.

Autograd carries multipliers through what adds up. Where an op does not, a rule of `secants/` stands for its
derivative, which knows the op's inputs at the sequence as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.gradients.secants import Call
from nucleoscope.engine.gradients.secants.choose import (
    IDENTITIES,
    UNREACHED,
    Chosen,
    NoRule,
    chosen,
)
from nucleoscope.engine.gradients.secants.pointwise import relu
from nucleoscope.engine.graph import NotLocal, batch_dim
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.values.forward import CLAIMS, Forward
from nucleoscope.engine.values.held import Held
from nucleoscope.engine.values.layers import Layer, begun, layers
from nucleoscope.engine.values.uses import size_of

Read = Callable[[Tensor], Tensor]  # the output [B, ...] -> the numbers that are explained [B, T]


@dataclass(frozen=True)
class Originals:
    """What of a forward at the sequences the rules will read, a row a sequence."""

    values: dict[str, Tensor]
    output: Tensor  # [B, T]


class Multipliers:
    """A Graph's multipliers between sequences and baselines, in one number type on one device.

    Raises NoRule for a graph with an op that has none; with `integrate` such an op's derivative is averaged
    along the straight line between the two, at 32 points.
    """

    def __init__(self, forward: Forward, read: Read, integrate: bool = False) -> None:
        self.graph, self._forward, self._read = forward.graph, forward, read
        self._chosen: Chosen = chosen(self.graph, integrate)
        self.integrated = self._chosen.integrated
        found = self._found() if forward.like.device.type == "cpu" else {}
        self._layers = {name: Held(each, forward.static) for name, each in found.items()}
        self._within = {n.name: name for name, each in found.items() for n in each.nodes}
        self._wanted = {
            n.name
            for call in self._chosen.rules
            if call not in self._within
            for n in self._chosen.given[call]
        }
        self._static = {n for n, node in self.graph.nodes.items() if node.role == "static"}
        self._last = self._last_uses()

    def _found(self) -> dict[str, Layer]:
        """The layers that are one op, by the node that each makes: whole ones, and convolutions by themselves."""
        live, rules = self._chosen.live, self._chosen.rules
        whole = {
            name: each
            for name, each in layers(self.graph).items()
            if all(n.name in live and rules.get(n.name, relu) is relu for n in each.nodes)
        }
        taken = {n.name for each in whole.values() for n in each.nodes}
        alone = {n.name: begun(self.graph, n) for n in self.graph.fx if n.name in live - taken}
        return whole | {n: each for n, each in alone.items() if each and n not in rules}

    @property
    def one_serves_all(self) -> bool:
        """Whether one sequence's values go with many baselines': no op mixes the batch with another axis."""
        try:
            return all(batch_dim(n) is not None for n in self.graph.fx if n.name in self._wanted)
        except NotLocal:
            return False

    def originals(self, X: Tensor, others: tuple[Tensor, ...]) -> Originals:
        """One ordinary forward of sequences, in the layout of the trace."""
        kept: dict[str, Tensor] = {}

        def keep(node: torch.fx.Node, env: dict[str, Any]) -> Any:
            if self._has_relu(node):
                return self._original(node, env, kept)
            made = self._plain(node, env)
            if node.name in self._wanted:
                kept[node.name] = made
            return made

        if self.graph.edited in self._wanted:
            kept[self.graph.edited] = X
        with torch.no_grad():
            output = self._run(X, others, keep)
            return Originals(kept, self._read(output))

    def __call__(
        self, originals: Originals, baselines: Tensor, others: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:  # [B, T], [B, T, *shape of a sequence]
        """Values at a batch of baselines, and multipliers between each and its sequence.

        `originals` have a row for each baseline, or one for all. With ``m`` the multipliers of target t,
        ``originals.output - values`` is ``(m * (X - baselines)).sum()``.
        """

        def through(node: torch.fx.Node, env: dict[str, Any]) -> Any:
            if self._has_relu(node):
                held, entered, joined = self._layer(node, env)
                return held(entered, joined, originals.values[_entering(node)])
            if node.name not in self._chosen.rules:
                return self._plain(node, env)
            given = self._chosen.given[node.name]
            at_sequence = tuple(originals.values[n.name] for n in given)
            call = self._call(node, given, env)
            rule = self._chosen.rules[node.name]
            return _Secant.apply(  # type: ignore[no-untyped-call]
                call, rule, at_sequence, *(env[n.name] for n in given)
            )

        with torch.enable_grad():
            own = baselines.clone() if baselines.is_inference() else baselines.detach()
            leaf = own.requires_grad_()
            values = self._read(self._run(leaf, others, through))
            if values.grad_fn is None:
                raise NoRule(UNREACHED)
            last = values.shape[1] - 1
            made = [
                torch.autograd.grad(values[:, t].sum(), leaf, retain_graph=t < last)[0]
                for t in range(last + 1)
            ]
        return values.detach(), torch.stack(made, 1)

    def _layer(
        self, node: torch.fx.Node, env: dict[str, Any]
    ) -> tuple[Held, Tensor, Tensor | None]:
        """The layer that makes a node, and what it is given."""
        held = self._layers[node.name]
        joins = held.layer.residual
        return held, env[held.layer.given], None if joins is None else env[joins]

    def _has_relu(self, node: torch.fx.Node) -> bool:
        return node.name in self._layers and self._layers[node.name].layer.relu

    def _original(
        self, node: torch.fx.Node, env: dict[str, Any], kept: dict[str, Tensor]
    ) -> Tensor:
        """A layer at the sequences: what enters its ReLU is kept, and what it makes where a rule reads it."""
        held, given, joined = self._layer(node, env)
        entering = kept[_entering(node)] = held.before_relu(given, joined)
        made = entering.clamp_min(0.0)
        if joined is not None and not held.layer.residual_first:
            made += joined
        if node.name in self._wanted:
            kept[node.name] = made
        return made

    def _plain(self, node: torch.fx.Node, env: dict[str, Any]) -> Any:
        if node.name in self._chosen.inner:
            given = self._chosen.given[node.name]
            return self._call(node, given, env).run(*(env[n.name] for n in given))
        return self._op(node, env)

    def _op(self, node: torch.fx.Node, env: dict[str, Any]) -> Any:
        if node.target in IDENTITIES:  # autograd would stop at a detached value
            return env[node.all_input_nodes[0].name]
        if node.name in self._layers:
            held, given, joined = self._layer(node, env)
            return held(given, joined)
        return self._forward.call(node, env)

    def _call(
        self, node: torch.fx.Node, given: tuple[torch.fx.Node, ...], env: dict[str, Any]
    ) -> Call:
        inner = self._chosen.inner.get(node.name, (node,))
        held = {
            a.name: env[a.name]
            for each in inner
            for a in each.all_input_nodes
            if a.name in env and a not in given
        }

        def run(*values: Tensor) -> Any:
            here = held | {n.name: v for n, v in zip(given, values, strict=True)}
            for each in inner:
                here[each.name] = self._op(each, here)
            return here[node.name]

        def settled(other: torch.fx.Node) -> Any:
            return held[other.name] if other.name in held else self._forward.static(other.name)

        return Call(node, given, run, settled)

    def _run(
        self, X: Tensor, others: tuple[Tensor, ...], make: Callable[[torch.fx.Node, dict[str, Any]], Any]
    ) -> Tensor:  # fmt: skip
        inputs = zip((self.graph.edited, *self.graph.others), (X, *others), strict=True)
        env: dict[str, Any] = dict(inputs)
        for node in self.graph.fx:
            if node.op != "call_function" or node.name not in self._chosen.live:
                continue
            if node.target in CLAIMS or node.name in self._static:
                continue
            if self._within.get(node.name, node.name) != node.name:
                continue  # the layer that it is part of makes it
            if node.target is aten.sym_size.int:
                env[node.name] = size_of(node, len(X))
            else:
                env[node.name] = _laid(make(node, env))
            for name in self._last.get(node.name, ()):
                env.pop(name, None)
        output: Tensor = env[self.graph.output]
        return output

    def _last_uses(self) -> dict[str, list[str]]:
        """Node -> the values that nothing reads after it."""
        last: dict[str, str] = {}
        turn = {node.name: i for i, node in enumerate(self.graph.fx)}
        for node in self.graph.fx:
            if node.name in self._chosen.live:
                inner = self._chosen.inner.get(node.name, (node,))
                for each in (
                    *self._chosen.given.get(node.name, ()),
                    *(a for n in inner for a in n.all_input_nodes),
                ):
                    at = self._within.get(node.name, node.name)  # a layer reads where it ends
                    last[each.name] = max(at, last.get(each.name, at), key=turn.__getitem__)
        uses: dict[str, list[str]] = {}
        for name, at in last.items():
            if name != self.graph.output:
                uses.setdefault(at, []).append(name)
        return uses


def _entering(node: torch.fx.Node) -> str:
    """What a layer's original before its ReLU is kept as; beside what it makes, which rules may read."""
    return f"{node.name}, before its ReLU"


def _laid(made: Any) -> Any:
    """A value whose multipliers come back channels last, where it lies so: what meets them lies as they do."""
    if not isinstance(made, Tensor) or made.ndim != 3 or not made.requires_grad:
        return made
    last = made.mT.is_contiguous() and not made.is_contiguous()
    return _ChannelsLast.apply(made) if last else made  # type: ignore[no-untyped-call]


class _ChannelsLast(torch.autograd.Function):
    """The value as it is; what comes back is laid out anew where it lies otherwise."""

    @staticmethod
    def forward(_ctx: Any, made: Tensor) -> Tensor:
        return made.view_as(made)

    @staticmethod
    def backward(_ctx: Any, m: Tensor) -> Tensor:
        return m.mT.contiguous().mT


class _Secant(torch.autograd.Function):
    """An op whose multipliers are its rule's."""

    @staticmethod
    def forward(ctx: Any, call: Call, rule: Any, at_sequence: Any, *at_baseline: Tensor) -> Any:
        ctx.call, ctx.rule, ctx.at_sequence = call, rule, at_sequence
        ctx.save_for_backward(*at_baseline)
        made = call.run(*at_baseline)
        if isinstance(made, Tensor):
            return made
        whole = [t for t in made if not t.is_floating_point()]
        ctx.mark_non_differentiable(*whole)
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *made: Tensor) -> Any:
        b = ctx.saved_tensors
        x = tuple(v.expand_as(w) for v, w in zip(ctx.at_sequence, b, strict=True))
        back = ctx.rule(ctx.call, made[0] if len(made) == 1 else made, x, b)
        return None, None, None, *back
