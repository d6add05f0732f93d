"""Running the traced program itself: constants once, the original once, the tail per batch of edits."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nucleoscope.engine.graph import Graph, Rule
from nucleoscope.engine.rules.registry import aten
from nucleoscope.engine.values import channels_last
from nucleoscope.engine.values.joined import Joined, Joins
from nucleoscope.engine.values.own_conv import OwnConv, takes
from nucleoscope.engine.values.partial import Partial
from nucleoscope.engine.values.uses import last_uses, size_of
from nucleoscope.engine.values.ways import Run

# What torch.export noted about the traced example's types and sizes; the engine may run another type.
CLAIMS = (
    aten._assert_tensor_metadata.default,
    aten._assert_scalar.default,
    aten.sym_constrain_range_for_size.default,
)

VIEWS = (aten.view.default, aten._unsafe_view.default)

# Constants of a model that are kept in float64 as well, in numbers: 512 MB of them.
HELD_TWICE = 1 << 26


class Forward:
    """A Graph with its weights, in one number type on one device."""

    def __init__(
        self, graph: Graph, dtype: torch.dtype, device: torch.device, pack: bool = True,
        precision: str = "fp32", short_sums: bool = False,
    ) -> None:  # fmt: skip
        self.graph = graph
        self.like = torch.empty(0, dtype=dtype, device=device)
        self.tf32 = precision == "tf32"  # whether products are
        self._last = last_uses(graph)
        self._constants: dict[str, Any] = {}
        self._own_conv = OwnConv()
        self._own = (torch.float32, torch.float64) if short_sums else (torch.float64,)
        self._evaluate_constants()
        self._joins = Joins(graph, self.static)
        self._precision = precision
        self.packed = {
            name: self._pack(node.rule)
            for name, node in graph.nodes.items()
            if node.rule is not None and pack
        }
        self._precise: Forward | None = None
        self._brief: Forward | None = None

    def _pack(self, rule: Rule) -> Any:
        packed = rule.pack(self.static)
        return (
            rule.round(packed, self._precision) if self._precision in ("tf32", "bf16") else packed
        )

    @cached_property
    def packed_for_columns(self) -> dict[str, Any]:
        """The weights where edits are more than one letter: a first layer multiplies then, too."""
        rules = {n: node.rule for n, node in self.graph.nodes.items() if n in self.packed}
        return self.packed | {
            name: self._pack(rule.on_columns())
            for name, rule in rules.items()
            if rule and rule.looks_up
        }

    def precise(self) -> Forward:
        """The same program in float64, for originals: a rounded one hides which side of a kink it is on.

        Itself where its constants are too many to be held twice.
        """
        numbers = sum(v.numel() for v in self._constants.values() if isinstance(v, Tensor))
        if self.like.dtype == torch.float64 or numbers > HELD_TWICE:
            return self
        if self._precise is None:
            self._precise = Forward(self.graph, torch.float64, self.like.device, pack=False)
        return self._precise

    @cached_property
    def still(self) -> bool:
        """Whether no op writes over a value that was made before."""
        schemas = (getattr(n.target, "_schema", None) for n in self.graph.fx)
        return not any(schema is not None and schema.is_mutable for schema in schemas)

    @cached_property
    def work(self) -> float:
        """Multiply-adds of one sequence's forward."""
        return forward_work(self.graph)[0]

    def brief(self) -> Forward:
        """The same program for originals in float32, whose convolutions add short sums up."""
        if self._brief is None:
            kind, place = self.like.dtype, self.like.device
            self._brief = Forward(self.graph, kind, place, pack=False, short_sums=True)
        return self._brief

    def static(self, name: str) -> Tensor:
        """A weight or other constant of the model by node name; "" gives an empty tensor."""
        return self._constants[name] if name else self.like

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        floating = value.is_floating_point()
        return value.detach().to(self.like.device, self.like.dtype if floating else value.dtype)

    def _here(self, arg: Any) -> Any:
        """The engine's number type and device for those of the model."""
        if isinstance(arg, torch.device):
            return self.like.device
        return self.like.dtype if arg is torch.float32 else arg

    def _evaluate_constants(self) -> None:
        program = self.graph.program
        signature = program.graph_signature
        held = {**program.state_dict, **program.constants}
        origin = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        env = self._constants
        with torch.no_grad():
            for node in self.graph.fx:
                if self.graph.nodes.get(node.name) is None or self._role(node.name) != "static":
                    continue
                if node.op == "placeholder":
                    env[node.name] = self._cast(held[origin[node.name]])
                elif node.op == "call_function":
                    env[node.name] = self._cast(self.call(node, env))

    def call(self, node: torch.fx.Node, env: dict[str, Any]) -> Any:
        """One op on values already made; where the model names float32, the engine's own type is meant."""

        def value(arg: torch.fx.Node) -> Any:
            return env[arg.name] if arg.name in env else self._constants[arg.name]

        return self.apply(node.target, *torch.fx.node.map_arg((node.args, node.kwargs), value))

    def apply(self, target: Any, args: Any, kwargs: Any) -> Any:
        """One op on values; where its arguments name float32, the engine's own type is meant."""
        args = tuple(self._here(a) for a in args)
        kwargs = {k: self._here(v) for k, v in kwargs.items()}
        if target in VIEWS:  # a value need not have the strides it was traced with
            target = aten.reshape.default
        if not kwargs and takes(target, args, self._own):
            return self._own_conv(*args)
        if not kwargs and channels_last.reads(target, args):
            return channels_last.OPS[target](*args)
        return target(*args, **kwargs)

    def _with(self, weights: tuple[Tensor, Tensor]) -> Run:
        """`apply` for a convolution, with these weights in the place of its own."""
        return lambda op, args, kwargs: self.apply(op, (args[0], *weights, *args[3:]), kwargs)

    def _role(self, name: str) -> str:
        return self.graph.nodes[name].role

    def original(
        self, inputs: dict[str, Tensor], keep: Callable[[str, Tensor], None],
        partial: Partial | None = None, heard: Container[str] | None = None,
    ) -> Tensor:  # fmt: skip
        """One ordinary forward; `keep` sees every activation [N, ...] as it is made.

        Where it is partial, each activation that is made has those of its positions that are wanted. With `heard`
        only those need be seen: then ops are joined with those beside them (`joined.py`).
        """
        env: dict[str, Any] = dict(inputs)
        if partial is not None and partial.cuts.get(self.graph.edited):
            env[self.graph.edited] = partial.input(inputs[self.graph.edited])
        for name in inputs:
            keep(name, env[name])
        roles = ("size", "original", "ripple", "tail")
        joined = None
        if heard is not None and self.like.dtype in self._own and self.like.device.type == "cpu":
            joined = self._joins.where(heard, partial)
        return self._run(env, roles, len(next(iter(inputs.values()))), keep, partial, None, joined)

    def tail(self, laid: dict[str, Tensor], batch: int) -> Tensor:
        """The model from its seam on: `laid` holds every value [B, ...] that the tail reads."""
        return self._run(dict(laid), ("size", "tail"), batch, _unheard)

    def rest(self, laid: dict[str, Tensor], names: Container[str], batch: int) -> Tensor:
        """These ops alone: `laid` holds every other value [B, ...] that they read."""
        return self._run(dict(laid), ("size", "ripple", "tail"), batch, _unheard, names=names)

    def _run(
        self,
        env: dict[str, Any],
        roles: Iterable[str],
        batch: int,
        keep: Callable[[str, Tensor], None],
        partial: Partial | None = None,
        names: Container[str] | None = None,
        joined: Joined | None = None,
    ) -> Tensor:
        graph, joined = self.graph, joined or Joined()
        names = partial.cuts if names is None and partial is not None else names

        def made(arg: torch.fx.Node) -> Any:
            return env[arg.name] if arg.name in env else self._constants[arg.name]

        for node in graph.fx:
            wanted = node.op == "call_function" and self._role(node.name) in roles
            wanted = wanted and (names is None or node.name in names)
            if wanted and node.name not in env and node.target not in CLAIMS:
                if node.target is aten.sym_size.int:
                    value: Any = size_of(node, batch)
                elif node.name in joined.norms:
                    value = (env[joined.norms[node.name]], self.like, self.like)
                elif node.name in joined.relus:
                    value = env[joined.relus[node.name]]
                else:
                    weights = joined.weights.get(node.name)
                    run = self.apply if weights is None else self._with(weights)
                    if partial is not None and not partial.whole(node):
                        value = partial.make(node, made, run)
                    else:
                        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), made)
                        value = run(node.target, args, kwargs)
                if node.name in joined.pools:
                    value = value.relu_()
                env[node.name] = value
                first = value[0] if isinstance(value, tuple | list) and value else value
                if isinstance(first, Tensor):
                    keep(node.name, first)
            for name in self._last.get(node.name, ()):
                env.pop(name, None)
        output: Tensor = env[graph.output]
        return output


def _unheard(_name: str, _value: Tensor) -> None:
    """Nobody keeps what is made."""


def forward_work(graph: Graph) -> tuple[float, float]:
    """Multiply-adds of one sequence's forward, and of its tail alone, counted on shapes only."""
    work = node_work(graph)
    return sum(work.values()), sum(
        n for name, n in work.items() if graph.nodes[name].role == "tail"
    )


def node_work(graph: Graph) -> dict[str, float]:
    """Multiply-adds of each op of one sequence's forward, counted on shapes only."""
    inputs = {}
    for node in graph.fx:
        if node.name in (graph.edited, *graph.others):
            value = node.meta["val"]
            inputs[node.name] = torch.empty(1, *value.shape[1:], dtype=value.dtype, device="meta")
    meta = Forward(graph, inputs[graph.edited].dtype, torch.device("meta"))
    seen, work = 0, {}
    with FlopCounterMode(display=False) as counter, torch.no_grad():

        def keep(name: str, _value: Tensor) -> None:
            nonlocal seen
            total = counter.get_total_flops()
            work[name] = (total - seen) / 2
            seen = total

        meta.original(inputs, keep)
    return work
