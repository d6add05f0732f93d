"""captum 0.9's LayerIntegratedGradients: the path is straight in what a layer takes or gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.compat.captum.integrated_gradients import averaged
from nucleoscope.compat.captum.question import (
    Inputs,
    Question,
    as_baselines,
    as_inputs,
    delta,
    exact,
    floating,
    for_each,
)
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.integral import Paths
from nucleoscope.engine.memory import budget


class LayerIntegratedGradients:
    """Integrated gradients of a layer's output (or input), or of several layers that do not feed each other."""

    def __init__(
        self, forward_func: Callable[..., Any], layer: nn.Module | list[nn.Module], device_ids: Any = None,
        multiply_by_inputs: bool = True,
    ) -> None:  # fmt: skip
        """`device_ids` is of DataParallel, which is taken off: one device computes."""
        self.forward_func, self.layer, self.device_ids = forward_func, layer, device_ids
        self._multiply = multiply_by_inputs

    def attribute(
        self, inputs: Tensor | Inputs, baselines: Any = None, target: Any = None,
        additional_forward_args: Any = None, n_steps: int = 50, method: str = "gausslegendre",
        internal_batch_size: int | None = None, return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False, grad_kwargs: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """As captum's: shaped as the layer's output or input, a list for a list of layers.

        Of `grad_kwargs` only what says how unused inputs are taken is known; they always get zeros.
        """
        unknown = set(grad_kwargs or {}) - {"allow_unused", "materialize_grads"}
        if unknown:
            raise ValueError(f"grad_kwargs: {', '.join(sorted(unknown))}: not known here")
        end = as_inputs(inputs)
        start = for_each(as_baselines(baselines, end), len(end[0]))
        question = Question.of(self.forward_func, additional_forward_args, target, len(end[0]))
        taps = Taps(
            self.layer if isinstance(self.layer, list) else [self.layer], attribute_to_layer_input
        )
        with exact(end):
            far, near = (taps.read(question, points) for points in (end, start))
            backward = taps.backward(question, far, end, internal_batch_size)
            paths = Paths(near, floating(far), (*end, *question.rows))
            made = averaged(backward, paths, method, n_steps)
            if self._multiply:
                made = tuple(g * (b - a) for g, a, b in zip(made, near, far, strict=True))
            said = taps.shaped(made, isinstance(self.layer, list))
            if not return_convergence_delta:
                return said
            return said, delta(question, backward.rows, made, start, end)

    def has_convergence_delta(self) -> bool:
        """It has one."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether gradients are multiplied by the way."""
        return self._multiply


class Taps:
    """Where a forward is read and written: what some layers take or give."""

    def __init__(self, layers: list[nn.Module], before: bool) -> None:
        self._layers, self._before = layers, before
        self._widths: list[int | None] = []  # tensors of each layer; None: one, that is no tuple

    def read(self, question: Question, points: Inputs) -> Inputs:
        """What the layers take or give at these inputs, side by side."""
        held: dict[int, Any] = {}
        with torch.no_grad(), self._hooked(lambda i, value: held.setdefault(i, value)):
            question.ask(*points, *question.rows)
        missing = [i for i in range(len(self._layers)) if i not in held]
        if missing:
            raise ValueError(f"layer: number {missing[0]} is not called by forward_func")
        values = [held[i] for i in range(len(self._layers))]
        self._widths = [len(v) if isinstance(v, tuple) else None for v in values]
        flat = tuple(t for v in values for t in (v if isinstance(v, tuple) else (v,)))
        return tuple(t.detach() for t in flat)

    def backward(
        self, question: Question, far: Inputs, inputs: Inputs, size: int | None
    ) -> Backward:
        """Gradients with respect to what was read, put in its place; the inputs go along unmoved."""

        def ask(*given: Tensor) -> Tensor:
            put = self.shaped(given[: len(far)], True)
            with self._hooked(lambda i, _value: put[i]):
                return question.ask(*given[len(far) :])

        rest = (*inputs, *question.rows)
        made = Backward(
            question.model, ask, tuple(t[:1] for t in (*far, *rest)), wanted=len(far),
            memory=budget(None, far[0].device),
        )  # fmt: skip
        if size is not None:
            made.rows = max(1, int(size))
        return made

    def shaped(self, flat: Inputs, several: bool) -> Any:
        """Tensors as the layers have them: a list of layers, tuples where a layer has several."""
        left, made = list(flat), []
        for width in self._widths:
            part = [left.pop(0) for _ in range(width or 1)]
            made.append(part[0] if width is None else tuple(part))
        return made if several else made[0]

    @contextmanager
    def _hooked(self, see: Callable[[int, Any], Any]) -> Iterator[None]:
        """Every call of a layer shows its value to `see`, and goes on with what that returns."""

        def before(i: int) -> Callable[..., Any]:
            return lambda _module, given: see(i, given if len(given) > 1 else given[0])

        def after(i: int) -> Callable[..., Any]:
            return lambda _module, _given, made: see(i, made)

        hooks = [
            layer.register_forward_pre_hook(before(i))
            if self._before
            else layer.register_forward_hook(after(i))
            for i, layer in enumerate(self._layers)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
