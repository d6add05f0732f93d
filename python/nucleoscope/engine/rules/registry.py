"""Where ops are entered: aten op -> the function that makes its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from nucleoscope.engine.graph import Axes, Node, NotLocal, Rule
from nucleoscope.engine.step import Alias

aten = torch.ops.aten


class Lowering:
    """What an op's entry may ask about its arguments while the graph is being made."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes

    def is_ripple(self, arg: Any) -> bool:
        """Whether an edit reaches this argument."""
        return self._role(arg) == "ripple"

    def is_static(self, arg: Any) -> bool:
        """Whether this argument is a number or a tensor that no input reaches."""
        return isinstance(arg, int | float) or self._role(arg) == "static"

    def _role(self, arg: Any) -> str | None:
        return self.nodes[arg.name].role if isinstance(arg, torch.fx.Node) else None

    def ripple(self, arg: Any) -> str:
        """The node whose rows this argument shares."""
        if not self.is_ripple(arg):
            raise NotLocal("an edit reaches this op through an argument the engine does not follow")
        name = arg.name
        while (alias := self.nodes[name].alias) is not None:
            name = alias
        return str(name)

    def is_edited(self, name: str) -> bool:
        """Whether this rippling node is the edited sequence itself."""
        return self.nodes[name].rule is None

    def axes(self, arg: torch.fx.Node) -> Axes:
        """Axes of an edited argument."""
        axes = self.nodes[arg.name].axes
        assert axes is not None
        return axes


def sample_shape(node: torch.fx.Node) -> tuple[int, ...]:
    """One sample's shape of a tensor node."""
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor) or value.ndim == 0 or isinstance(value.shape[0], int):
        raise NotLocal("the batch is not its first dimension")
    if not all(isinstance(size, int) for size in value.shape[1:]):
        raise NotLocal("its shape mixes the batch with another dimension")
    return tuple(int(size) for size in value.shape[1:])


Entry = Callable[[Lowering, torch.fx.Node], Rule | Alias]
RULES: dict[Any, Entry] = {}


def rule(*targets: Any) -> Callable[[Entry], Entry]:
    """Enter a function as the way to lower these ops."""

    def enter(entry: Entry) -> Entry:
        for target in targets:
            RULES[target] = entry
        return entry

    return enter


def value(node: torch.fx.Node, index: int) -> torch.fx.Node:
    """A positional argument that must be a traced value."""
    given = node.args[index]
    if not isinstance(given, torch.fx.Node):
        raise NotLocal(f"argument {index} is not a tensor")
    return given


def argument(node: torch.fx.Node, index: int, name: str, default: Any) -> Any:
    """A positional-or-keyword argument of an aten call."""
    if len(node.args) > index:
        return node.args[index]
    return node.kwargs.get(name, default)
