"""What a model takes at its full size, counted on shapes alone: nothing is allocated, nothing is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Footprint:
    """Bytes of a model and one sequence."""

    weights: int
    forward: int  # the most that an ordinary forward holds at one time, beside the weights
    graph: int  # the most where it is kept for a gradient


class _Live(TorchDispatchMode):
    """The bytes of all values that are alive, and the most of them at one time."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known = WeakIdKeyDictionary()
        for weight in weights:
            self._known[weight.untyped_storage()] = True

    def _free(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # fmt: skip
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                held = value.untyped_storage()
                if held not in self._known:
                    self._known[held] = True
                    self.now += held.nbytes()
                    weakref.finalize(held, self._free, held.nbytes())
        self.most = max(self.most, self.now)
        return made


def footprint(make: Callable[[], nn.Module], inputs: list[tuple[int, ...]]) -> Footprint:
    """Of the model that `make` gives, on one sequence with inputs of these shapes (without the batch)."""
    with torch.device("meta"):
        net = make().eval()
        given = [torch.empty(1, *shape) for shape in inputs]
    held = [*net.parameters(), *net.buffers()]
    weights = sum(t.numel() * t.element_size() for t in held)
    peaks = []
    for differentiable in (False, True):
        with torch.set_grad_enabled(differentiable), _Live(held) as live:
            made = net(*(t.detach().clone().requires_grad_(differentiable) for t in given))
        peaks.append(live.most)
        del made
    return Footprint(weights, *peaks)
