"""What tangermeme's callers read off a model's outputs: numbers, or the outputs themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class SaturationMutagenesisRawResult(NamedTuple):
    """Outputs before and after: a tensor each, or a list of one per output of the model."""

    y0: Tensor | list[Tensor]  # [N, *out]
    y_hat: Tensor | list[Tensor]  # [N, 4, end - start, *out]


class PerturbationResult(NamedTuple):
    """Outputs before and after an edit: a tensor each, or a list of one per output of the model."""

    y_before: Tensor | list[Tensor]
    y_after: Tensor | list[Tensor]


class SpaceResult(NamedTuple):
    """Outputs before, and after each arrangement of the motifs (axis 1)."""

    y_before: Tensor | list[Tensor]
    y_afters: Tensor | list[Tensor]


class Reading:
    """What is read off the model's output, as one row of numbers per sequence."""

    def __init__(
        self, func: Callable[..., Any] | None, target: Any, raw_outputs: bool, output: Any
    ) -> None:
        """`output` is the model's for one sequence: it shows which tensors there are."""
        self.func, self.target, self.raw = func, target, raw_outputs
        made = self.post(output)
        self.single = isinstance(made, Tensor)
        if not isinstance(made, Tensor | list | tuple):
            raise ValueError(f"cannot interpret a {type(made).__name__} as the output of a model")
        self.parts: tuple[Tensor, ...] = (made,) if isinstance(made, Tensor) else tuple(made)
        if not all(isinstance(part, Tensor) and part.ndim for part in self.parts):
            raise ValueError("cannot interpret the output: it must hold tensors [N, ...]")
        if not (self.single or raw_outputs):
            raise ValueError(
                f"the model returns {len(self.parts)} tensors: scores are of one. Pass "
                "raw_outputs=True, or a func that picks one."
            )

    def post(self, output: Any) -> Any:
        return output if self.func is None else self.func(output)

    def rows(self, output: Any) -> Tensor:
        """The outputs of the model [B, ...] -> [B, T]: all numbers, or the mean of the target's."""
        made = self.post(output)
        if not self.raw:
            picked: Tensor = made if self.target is None else made[:, self.target]
            return _flat(picked).mean(1, keepdim=True)
        flat = [_flat(part) for part in ((made,) if self.single else made)]
        return torch.cat([part if part.is_floating_point() else part.float() for part in flat], 1)

    def whole(self, changes: Tensor, original: Tensor) -> SaturationMutagenesisRawResult:
        """changes [N, T, A, sites] and original [N, T], in the shapes and types of the outputs."""
        edited = changes.add_(original[:, :, None, None])
        sizes = [part.numel() for part in self.parts]
        y0, y_hat = [], []
        for part, before, after in zip(
            self.parts, original.split(sizes, 1), edited.split(sizes, 1), strict=True
        ):
            shape = part.shape[1:]
            y0.append(before.reshape(len(before), *shape).to(part.dtype))
            after = after.movedim(1, -1).to(part.dtype)
            y_hat.append(after.reshape(*after.shape[:3], *shape))
        if self.single:
            return SaturationMutagenesisRawResult(y0[0], y_hat[0])
        return SaturationMutagenesisRawResult(y0, y_hat)

    def shaped(self, rows: Tensor) -> Tensor | list[Tensor]:
        """Numbers [M, T] in the shapes and types of the outputs."""
        parts = rows.split([part.numel() for part in self.parts], 1)
        made = [
            each.reshape(len(rows), *part.shape[1:]).to(part.dtype)
            for each, part in zip(parts, self.parts, strict=True)
        ]
        return made[0] if self.single else made


def _flat(values: Tensor) -> Tensor:
    return values.flatten(1) if values.ndim > 1 else values[:, None]


class Read(nn.Module):
    """A model and what is read off its outputs, as one module of one tensor."""

    def __init__(self, model: nn.Module, read: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.model, self.read = model, read

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.read(self.model(*inputs))
