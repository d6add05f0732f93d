"""nn.Module + example -> Graph: exported once, its ops lowered to rules or marked as seams."""

from __future__ import annotations

import contextlib
import operator
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind

from nucleoscope.engine.graph import Axes, Graph, Node, NotLocal, Untraceable
from nucleoscope.engine.rules import (
    REWRITES,
    RULES,
    SEAMS,
    Lowering,
    gates,
    log_odds,
    rms_norm,
    spread_out,
    steep,
)
from nucleoscope.engine.rules.registry import value
from nucleoscope.engine.step import Alias
from nucleoscope.engine.tracing.fuse import fuse

_TORCH = str(Path(torch.__file__).parent)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence torch.export's own deprecation warnings: the user can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def trace(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str = "NCL",
    func: Callable[..., Any] | None = None, pick: Callable[[Any], Tensor] = lambda made: made,
) -> Graph:  # fmt: skip
    """The model as a Graph; `example` [N, ...] and `others` [N, ...] give shapes and types only.

    It goes on through `func`, and ends in the tensor that `pick` takes from what it returns. Raises
    Untraceable where torch.export cannot follow the model.
    """
    with uncompiled(model):
        program = _export(_Asked(model, func, pick), example, others)
    return _lower(program, layout)


def _export(model: nn.Module, example: Tensor, others: tuple[Tensor, ...]) -> ExportedProgram:
    batch = [torch.cat([t[:1]] * 2).detach() for t in (example, *others)]
    shapes = tuple({0: Dim.AUTO} for _ in batch)
    try:
        with quiet(), torch.no_grad():
            exported: ExportedProgram = torch.export.export(
                model, (tuple(batch),), dynamic_shapes=((shapes,)), strict=False
            )
            # Makes in-place ops functional, and splits what has a form of its own.
            functional: ExportedProgram = exported.run_decompositions(dict(REWRITES))
            spread_out.spread_before_softmax(functional.graph)
            log_odds.before_saturation(functional.graph)
            rms_norm.pin_eps(functional.graph)
            gates.reduced_ahead(functional.graph)
            return functional
    except Exception as error:  # torch.export raises many kinds; all mean the same to the caller
        raise Untraceable(_first_lines(error).rstrip(".") + _at_line(error)) from error


def refuse_scripted(model: nn.Module) -> None:
    """Raise Untraceable where a part of the model has no Python code any more."""
    for name, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise Untraceable(
                f"{f'module {name!r}' if name else 'the model'} is scripted (torch.jit), of which nothing can "
                "be exported: give the Python module that it was made from, with the same weights"
            )


@contextlib.contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Parts that torch.compile stands in for are themselves meanwhile: what it makes cannot be exported."""
    parts = list(model.modules())
    calls = [(p, p._compiled_call_impl) for p in parts if p._compiled_call_impl is not None]
    inner = [
        (p, n, c)
        for p in parts
        for n, c in p._modules.items()
        if c is not None and "_orig_mod" in c._modules
    ]
    try:
        for part, _ in calls:
            part._compiled_call_impl = None
        for part, name, child in inner:
            part._modules[name] = child._modules["_orig_mod"]
        yield
    finally:
        for part, call in calls:
            part._compiled_call_impl = call
        for part, name, child in inner:
            part._modules[name] = child


class _Asked(nn.Module):
    """The model with its inputs as one tuple, and what is read off it: models of any signature export alike."""

    def __init__(
        self, model: nn.Module, func: Callable[..., Any] | None, pick: Callable[[Any], Tensor]
    ) -> None:
        super().__init__()
        self.model, self.func, self.pick = model, func, pick

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        output = self.model(*inputs)
        return self.pick(output if self.func is None else self.func(output))


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: " + " ".join(lines[:3])[:400]


def _at_line(error: Exception) -> str:
    """The innermost line outside of torch that an error came through, as the end of a message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = (_TORCH, str(Path(__file__).parents[1]), "<")  # code that was made, too, has no file
    theirs = [f for f in frames if not f.filename.startswith(own)]
    return (
        f". It is at {theirs[-1].filename}, line {theirs[-1].lineno}: {theirs[-1].line}"
        if theirs
        else ""
    )


def module_path(node: torch.fx.Node) -> str:
    """The submodule that made this node, as the user would name it: `tower.0`, or "" for the model."""
    return module_name(node).removeprefix("model").removeprefix(".")  # the wrapper's name for it


def module_name(node: torch.fx.Node) -> str:
    """The submodule that made this node, as what was exported names it; "" for itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def source_line(node: torch.fx.Node) -> str:
    """The innermost line of the user's own code that made this node."""
    lines = (node.meta.get("stack_trace") or "").splitlines()
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at].strip()
        torch_own = any(own in line for own in (_TORCH, "torch/fx", "<eval_with_key>"))
        outside = line.startswith("File ") and not torch_own
        if outside and not any(
            own in line for own in ("engine/tracing/trace.py", "engine/answers/read.py")
        ):
            code = lines[at + 1].strip() if at + 1 < len(lines) else ""
            return f"{line[5:]}: {code}"
    path = module_path(node)
    return f"module '{path}'" if path else "the model"


def _lower(program: ExportedProgram, layout: str) -> Graph:
    signature = program.graph_signature
    kinds = {spec.arg.name: spec.kind for spec in signature.input_specs}
    users = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        changed = ", ".join(
            [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
        )
        raise ValueError(
            f"model: its forward changes its own state ({changed.replace('model.', '')}), so its "
            "answer depends on what was asked before. Make forward free of side effects."
        )
    nodes: dict[str, Node] = {}
    low = Lowering(nodes)
    near_poles = steep.seams(program.graph, users[0])
    for node in program.graph.nodes:
        if node.op == "placeholder":
            nodes[node.name] = _placeholder(node, kinds, users, layout)
        elif node.op == "call_function":
            nodes[node.name] = replace(
                _call(low, node, near_poles.get(node, "")), module=module_path(node)
            )
        elif node.op == "get_attr":
            nodes[node.name] = Node(node.name, "static", "")
    outputs = list(next(n for n in program.graph.nodes if n.op == "output").args[0])
    graph = Graph(program, nodes, users[0], tuple(users[1:]), outputs[0].name)
    return fuse(graph)


def _placeholder(
    node: torch.fx.Node, kinds: dict[str, InputKind], users: list[str], layout: str
) -> Node:
    if kinds[node.name] is not InputKind.USER_INPUT:
        return Node(node.name, "static", "")
    if node.name != users[0]:
        return Node(node.name, "original", "")
    shape = tuple(node.meta["val"].shape)
    if isinstance(shape[0], int) or shape[0].node.maybe_as_int() is not None:
        raise Untraceable(
            "torch.export finds the batch size fixed by the model: look for len(x) or x.shape[0] made "
            "an int, e.g. in a reshape; x.flatten(1) leaves it open"
        )
    channels, length = shape[1:] if layout == "NCL" else shape[:0:-1]
    left, right = (channels, 1) if layout == "NCL" else (1, channels)
    return Node(node.name, "ripple", "", axes=Axes(tuple(shape[1:]), left, length, right))


def _call(low: Lowering, node: torch.fx.Node, seam: str) -> Node:
    roles = [low.nodes[a.name].role for a in node.all_input_nodes]
    line = source_line(node)
    if not isinstance(node.meta.get("val"), Tensor | tuple | list):
        return Node(node.name, "size", line)
    if "tail" in roles:
        return Node(node.name, "tail", line)
    if "ripple" not in roles:
        steady = next((r for r in ("original", "size") if r in roles), "static")
        return Node(node.name, steady, line)
    if node.target is operator.getitem and node.args[1] == 0:
        inner = low.nodes[value(node, 0).name]
        return Node(node.name, "ripple", line, inner.axes, alias=inner.name)
    entry = RULES.get(node.target)
    try:
        if seam:
            raise NotLocal(seam)
        if entry is None:
            raise NotLocal(SEAMS.get(node.target, f"{node.target} has no delta rule"))
        made = entry(low, node)
    except NotLocal as why:
        return Node(node.name, "tail", line, reason=str(why))
    if isinstance(made, Alias):
        return Node(node.name, "ripple", line, made.axes, alias=made.of)
    return Node(node.name, "ripple", line, made.axes, made)
