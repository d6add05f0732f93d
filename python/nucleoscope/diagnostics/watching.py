"""Activations of a model while it runs, modules' and functions' alike, with what went in and what came out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ACTIVATIONS = frozenset(
    """
    celu cos elu exp gelu hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish prelu relu relu6 selu
    sigmoid silu sin softmax softplus tanh threshold clamp clamp_min clip
    """.split()  # noqa: SIM905 (it reads as prose)
)
# Functions that come to rest at a number, so that a unit that never moves is dead.
SETTLING = ACTIVATIONS - {"cos", "exp", "sin", "softmax"}


@dataclass(frozen=True)
class Activation:
    """One call of a nonlinear function."""

    layer: str  # the module that called it, with a number where it calls several
    function: str
    given: Tensor | None  # None where the function wrote over it
    made: Tensor


class Watching(TorchFunctionMode):
    """While it is on, it keeps every activation that has a gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model
        self._inside: list[str] = []
        self.seen: list[Activation] = []

    @contextlib.contextmanager
    def on(self) -> Iterator[list[Activation]]:
        """Note modules as they are entered, and activations as they are made."""
        hooks = []
        for name, module in self._model.named_modules():
            hooks.append(module.register_forward_pre_hook(self._entering(name or "the model")))
            hooks.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            with self:
                yield self.seen
        finally:
            for hook in hooks:
                hook.remove()

    def _entering(self, name: str) -> Any:
        return lambda _module, _given: self._inside.append(name)

    def _leaving(self, _module: nn.Module, _given: Any, _made: Any) -> None:
        self._inside.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function as it is, and keep it if it is an activation of what has a gradient."""
        name = getattr(func, "__name__", "")
        made = func(*args, **(kwargs or {}))
        plain = name.rstrip("_")
        if plain in ACTIVATIONS and isinstance(made, Tensor) and made.requires_grad:
            self._keep(plain, args[0] if args else (kwargs or {}).get("input"), made)
        return made

    def _keep(self, function: str, given: Any, made: Tensor) -> None:
        kept = given if isinstance(given, Tensor) and given is not made else None
        layer = self._inside[-1] if self._inside else "func"
        same = sum(each.layer.partition(" #")[0] == layer for each in self.seen)
        self.seen.append(
            Activation(f"{layer} #{same + 1}" if same else layer, function, kept, made)
        )
