"""How many edited sequences the plain loop gives to a model at once, counted on one forward."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from nucleoscope.engine.answers.steady import answer

MOST = 64  # larger batches are no faster


class Alive(TorchDispatchMode):
    """The bytes of all values that are alive, and the most of them at one time; of `known` tensors none."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.most: int = 0
        self._known = WeakIdKeyDictionary()
        for tensor in known:
            self._known[tensor.untyped_storage()] = True

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


def loop_batch(model: nn.Module, example: Tensor, others: tuple[Tensor, ...], memory: int) -> int:
    """As many sequences as `memory` has room for what the model holds at one time of each, 64 at most.

    Raises what `answer` raises, for a model that does not take the first of them.
    """
    alive = Alive([*model.parameters(), *model.buffers()])
    with alive:
        answer(model, example, others)
    return max(1, min(MOST, memory // max(alive.most, 1)))
