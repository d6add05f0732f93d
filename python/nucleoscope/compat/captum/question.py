"""What captum's callers ask: a forward function, inputs, further arguments and targets, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.memory import budget
from nucleoscope.naive.methods.full_float32 import full_float32
from nucleoscope.wrapped import unwrapped

Inputs = tuple[Tensor, ...]
NOISY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def as_inputs(inputs: Tensor | Inputs, name: str = "inputs") -> Inputs:
    """One tensor or a tuple of them, with a row an example, as a tuple."""
    made = inputs if isinstance(inputs, tuple) else (inputs,)
    for each in made:
        if not isinstance(each, Tensor):
            raise TypeError(f"{name}: a tensor or a tuple of tensors, got {type(each).__name__}")
        if each.ndim == 0 or len(each) != len(made[0]) or not len(each):
            raise ValueError(
                f"{name}: every tensor needs one row an example, got shapes {[tuple(t.shape) for t in made]}"
            )
    return tuple(t.detach() for t in made)


def floating(inputs: Inputs) -> Inputs:
    """The same, refused where it has no gradient."""
    for each in inputs:
        if not each.is_floating_point():
            raise TypeError(
                f"inputs: of {each.dtype} there is no gradient; pass floating-point numbers, or attribute to a "
                "layer that makes some (LayerIntegratedGradients)"
            )
    return inputs


def as_baselines(baselines: Any, inputs: Inputs) -> Inputs:
    """captum's ways of giving baselines (None, numbers, tensors, tuples) as tensors of one row, or of all."""
    given = (
        baselines
        if isinstance(baselines, tuple)
        else (baselines,) * (len(inputs) if baselines is None else 1)
    )
    if len(given) != len(inputs):
        raise ValueError(f"baselines: {len(given)} for {len(inputs)} inputs; give one for each")
    made = []
    for each, x in zip(given, inputs, strict=True):
        if each is None or isinstance(each, int | float):
            made.append(torch.full_like(x[:1], 0 if each is None else each))
        elif not isinstance(each, Tensor):
            raise TypeError(f"baselines: tensors or numbers, got {type(each).__name__}")
        elif each.shape[1:] != x.shape[1:] or len(each) not in (1, len(x)):
            raise ValueError(
                f"baselines: shape {tuple(each.shape)} beside an input of {tuple(x.shape)}; the same is "
                "needed, or 1 row for all"
            )
        else:
            made.append(each.detach().to(x))
    return tuple(made)


def like_given(given: Any, made: Inputs) -> Any:
    """A tuple where a tuple was given, else the tensor."""
    return made if isinstance(given, tuple) else made[0]


@dataclass
class Question:
    """One call: `ask(*moved, *rows)` gives the chosen number of each row, [B, 1]."""

    model: nn.Module
    extra: tuple[Any, ...]  # further arguments; None stands where a tensor of `rows` goes
    target: Any  # of all rows; or None
    rows: Inputs  # tensors that go along row by row: further arguments, then each row's target

    @classmethod
    def of(
        cls, forward_func: Callable[..., Any], additional: Any, target: Any, count: int
    ) -> Question:
        """Raises ValueError or TypeError for a model in training mode, or targets that fit no row."""
        model, _ = unwrapped(forward_func)
        noisy = [name for name, m in model.named_modules() if isinstance(m, NOISY) and m.training]
        if noisy:
            raise ValueError(
                f"forward_func: {noisy[0]!r} is in training mode, so that answers are random or depend on the "
                "batch. Call model.eval() first."
            )
        given = () if additional is None else additional
        given = given if isinstance(given, tuple) else (given,)
        by_row = [isinstance(a, Tensor) and a.ndim > 0 and len(a) == count for a in given]
        rows = tuple(a.detach() for a, row in zip(given, by_row, strict=True) if row)
        extra = tuple(None if row else a for a, row in zip(given, by_row, strict=True))
        whole, each = _targets(target, count)
        return cls(model, extra, whole, rows if each is None else (*rows, each))

    def ask(self, *inputs: Tensor) -> Tensor:
        """The chosen number of each row."""
        own = len(inputs) - len(self.rows)
        moved, rest = inputs[:own], list(inputs[own:])
        further = [rest.pop(0) if a is None and rest else a for a in self.extra]
        output = self.model(*moved, *further)
        if not isinstance(output, Tensor) or output.ndim == 0:
            raise TypeError("forward_func: must return one tensor with a row an example")
        chosen = self.chosen(output, rest[0] if rest else None)
        if chosen[0].numel() != 1:
            raise ValueError(
                f"target: what is chosen of an output of shape {tuple(output.shape)} has "
                f"{chosen[0].numel()} numbers an example, and a gradient is of one: name it by target"
            )
        return chosen.reshape(len(chosen), 1)

    def chosen(self, output: Tensor, each: Tensor | None) -> Tensor:
        """What targets choose of outputs, `each` a target a row."""
        places = () if self.target is None else self.target
        many = each.shape[1] if each is not None else len(places)
        if many > output.ndim - 1:
            raise IndexError(
                f"target: {many} indices into an output of shape {tuple(output.shape)}"
            )
        at: tuple[Any, ...] = (slice(None), *places)
        if each is not None:
            rows = torch.arange(len(output), device=output.device)
            at = (rows, *each.to(output.device).unbind(1))
        try:
            return output[at]
        except IndexError as error:
            raise IndexError(
                f"target: it is not in an output of shape {tuple(output.shape)}: {error}"
            ) from error

    def values(self, inputs: Inputs, size: int) -> Tensor:
        """The chosen number of each row alone, [N], in batches of a size."""
        given = (*inputs, *self.rows)
        parts = range(0, len(inputs[0]), size)
        with torch.no_grad():
            made = [self.ask(*(t[i : i + size] for t in given)) for i in parts]
        return torch.cat(made)[:, 0]

    def backward(self, example: Inputs, size: int | None = None) -> Backward:
        """What answers it with gradients, in batches of a size, or as memory allows."""
        rows = tuple(t[:1] for t in self.rows)
        made = Backward(
            self.model, self.ask, (*(t[:1] for t in example), *rows), wanted=len(example),
            memory=budget(None, example[0].device),
        )  # fmt: skip
        if size is not None:
            made.rows = max(1, int(size))
        return made


def _targets(target: Any, count: int) -> tuple[tuple[Any, ...] | None, Tensor | None]:
    """One choice for all rows, or a choice for each [N, indices]."""
    if target is None:
        return None, None
    if isinstance(target, Tensor):
        if target.numel() == 1:
            return (int(target),), None
        target = target.tolist()
    if isinstance(target, int):
        return (target,), None
    if isinstance(target, tuple):
        return target, None
    if not isinstance(target, list):
        raise TypeError(
            f"target={target!r}: an int, a tuple, or a list or tensor of one for each example"
        )
    if len(target) != count:
        raise ValueError(f"target: {len(target)} of them for {count} examples")
    made = torch.tensor(target)
    if made.is_floating_point():
        raise TypeError(f"target: indices are whole numbers, got {made.dtype}")
    return None, made.view(count, -1)


@contextmanager
def exact(inputs: Inputs) -> Iterator[None]:
    """Products in full float32 while gradients are computed."""
    with full_float32({t.device for t in inputs}):
        yield


def delta(
    question: Question, size: int, attributions: Inputs, start: Inputs, end: Inputs
) -> Tensor:
    """What each row's attributions miss of the change: captum's convergence delta, [N]."""
    total = torch.stack([a.flatten(1).sum(1) for a in attributions]).sum(0)
    far, near = (question.values(points, size) for points in (end, for_each(start, len(end[0]))))
    return total - (far - near).to(total)


def for_each(start: Inputs, count: int) -> Inputs:
    """Baselines with a row an example."""
    return tuple(t.expand(count, *t.shape[1:]) for t in start)
