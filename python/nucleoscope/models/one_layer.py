"""What one layer of a model gives, while the model is run."""

from __future__ import annotations

from contextlib import suppress

from torch import Tensor, nn


class _Seen(Exception):
    """Ends a forward behind the layer that was asked about."""


def check_layer(model: nn.Module, layer: nn.Module) -> None:
    """Raise ValueError where the layer is not a part of the model, or any of it is in training mode."""
    if all(layer is not module for module in model.modules()):
        raise ValueError("layer: it is not a part of the model")
    if any(module.training for module in model.modules()):
        raise ValueError(
            "model: it is in training mode, where dropout draws and BatchNorm's statistics move with every "
            "forward: call model.eval() first"
        )


def watched(model: nn.Module, layer: nn.Module, *inputs: Tensor) -> tuple[object, Tensor]:
    """What the model answers and what the layer gave, as it was before layers behind it that work in place.

    Raises ValueError where the layer is not run once, or gives anything else than a tensor.
    """
    held: list[Tensor] = []

    def keep(_m: nn.Module, _i: object, made: object) -> None:
        if not isinstance(made, Tensor):
            raise ValueError(f"layer: it gives a {type(made).__name__}, and must give one tensor")
        held.append(made.clone())

    hook = layer.register_forward_hook(keep)
    try:
        answer = model(*inputs)
    finally:
        hook.remove()
    if len(held) != 1:
        raise ValueError(f"layer: it was run {len(held)} times in a forward, and must be run once")
    return answer, held[0]


def up_to(model: nn.Module, layer: nn.Module, *inputs: Tensor) -> Tensor:
    """What a layer that is run once gives; the forward ends there."""
    held: list[Tensor] = []

    def end(_m: nn.Module, _i: object, made: Tensor) -> None:
        held.append(made)
        raise _Seen

    hook = layer.register_forward_hook(end)
    try:
        with suppress(_Seen):
            model(*inputs)
    finally:
        hook.remove()
    return held[0]
