"""How targets are read off what a model returns: through `func`, from the tensors they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.outputs import Leaf, Path
from nucleoscope.engine.answers.saturation import Unsaturated
from nucleoscope.engine.answers.target import Index, Target, described

Func = Callable[[Any], Any]


@dataclass(frozen=True)
class Read:
    """How targets are read off whole outputs of the model: [B, *out], or a structure of such -> [B, T]."""

    target: Index | list[Index]
    func: Func | None = None

    def __call__(self, output: Any) -> Tensor:
        made = self.made(output)
        where = self.leaves(made)
        return where.read(where.joined(made))

    def made(self, output: Any) -> Any:
        """What targets are read off: the output, or what `func` makes of it (of a copy of one tensor)."""
        if self.func is None:
            return output
        made = self.func(output.clone() if isinstance(output, Tensor) else output)
        if isinstance(made, Tensor) and (made.ndim == 0 or len(made) != outputs.rows(output)):
            raise ValueError("func: must return one tensor with a row for every row of the output")
        return made

    def ask(self, model: Callable[..., Any], *inputs: Tensor) -> Any:
        """The model's answer as `func` gives it; of saturated heads, log-odds are read before they saturate."""
        if self.func is None:
            return model(*inputs)
        with Unsaturated():
            return self.made(model(*inputs))

    def leaves(self, made: Any) -> Leaves:
        """Where in it the targets lie. Raises IndexError for one that names nothing there."""
        asked = self.target if isinstance(self.target, list) else [self.target]
        if not asked:
            raise IndexError(
                "target=[]: name at least one target, or None for the mean of all outputs"
            )
        if not isinstance(made, Tensor):
            self._check_structure(made, asked)
        found = tuple(outputs.find(made, target) for target in asked)
        paths = tuple(dict.fromkeys(leaf.path for leaf in found))
        shapes = tuple(tuple(self._checked(outputs.at(made, p)).shape[1:]) for p in paths)
        return Leaves(found, paths, shapes)

    def _check_structure(self, made: Any, asked: list[Index]) -> None:
        who = "func" if self.func else "model"
        if outputs.rows(made) == 0:
            raise ValueError(f"{who}: it returns {outputs.described(made)}, which holds no tensor")
        if any(target is None for target in asked):
            raise ValueError(
                f"{who}: it returns {outputs.described(made)}: name one by target, e.g. "
                f"target={outputs.example(made)}"
            )

    def _checked(self, tensor: Tensor) -> Tensor:
        if self.func is not None and not tensor.is_floating_point():
            raise TypeError(
                f"func: it returns {tensor.dtype}, of which a change is no measure. Return floating-point "
                "numbers: values or probabilities, not their argmax."
            )
        if not tensor.is_floating_point():
            raise ValueError(
                f"model: its output has type {tensor.dtype}; it must be floating point."
            )
        if tensor.ndim == 0:
            raise ValueError(
                f"model: its output has shape {tuple(tensor.shape)}; the first dimension must be the batch."
            )
        return tensor

    def __str__(self) -> str:
        return "mean over all outputs" if self.target is None else described(self.target)


@dataclass(frozen=True)
class Leaves:
    """Where the targets of a request lie: the tensors, each once, and which of them each target reads."""

    found: tuple[Leaf, ...]
    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, ...], ...]  # of one sequence

    @property
    def key(self) -> tuple[Any, ...]:
        """What a trace that ends here depends on."""
        if len(self.paths) == 1:
            return self.paths
        return (*((leaf.path, described(leaf.index), _numbers(leaf)) for leaf in self.found),)

    def joined(self, made: Any) -> Tensor:
        """The one tensor that is read [B, *shape], or the numbers of all side by side [B, K]."""
        parts = [outputs.at(made, path) for path in self.paths]
        return parts[0] if len(parts) == 1 else torch.cat([p.reshape(len(p), -1) for p in parts], 1)

    def read(self, joined: Tensor) -> Tensor:
        """What `joined` gave, or absolute numbers in its place -> [B, T]."""
        if len(self.paths) == 1:
            return self._targets(0, tuple(joined.shape[1:])).of_values(joined)
        begins = [sum(map(prod, self.shapes[:i])) for i in range(len(self.paths))]
        each = [(begins[i], self._single(leaf)) for leaf, i in self._places()]
        return Target.side_by_side(each).of_values(joined)

    def ending(self) -> Callable[[Any], Tensor]:
        """The same in ops that a trace follows: one tensor, or of several the targets [B, T]."""
        if len(self.paths) == 1:
            return self.joined
        means = [_mean(leaf.index, self.shapes[i]) for leaf, i in self._places()]

        def end(made: Any) -> Tensor:
            parts = (
                mean(outputs.at(made, leaf.path))
                for leaf, mean in zip(self.found, means, strict=True)
            )
            return torch.stack(list(parts), 1)

        return end

    def target(self) -> Target:
        """What is read off that."""
        if len(self.paths) == 1:
            return self._targets(0, self.shapes[0])
        return Target(list(range(len(self.found))), (len(self.found),))

    def check(self) -> None:
        """Raise IndexError where a target does not index its tensor."""
        for leaf, _ in self._places():
            self._single(leaf)

    def sizes(self) -> list[tuple[int, tuple[int, ...]]]:
        """Of each target, how many numbers it is the mean of, and the shape of one sequence's that they are of."""
        return [(len(self._single(leaf).picks[0]), self.shapes[i]) for leaf, i in self._places()]

    def _targets(self, at: int, shape: tuple[int, ...]) -> Target:
        return Target([leaf.index for leaf in self.found if leaf.path == self.paths[at]], shape)

    def _single(self, leaf: Leaf) -> Target:
        return Target(leaf.index, self.shapes[self.paths.index(leaf.path)])

    def _places(self) -> list[tuple[Leaf, int]]:
        return [(leaf, self.paths.index(leaf.path)) for leaf in self.found]


def _numbers(leaf: Leaf) -> bytes:
    """What a mask or a list of positions holds."""
    held = leaf.index if isinstance(leaf.index, tuple) else (leaf.index,)
    return b"".join(t.cpu().numpy().tobytes() for t in held if isinstance(t, Tensor))


def _mean(index: Index, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """[B, *shape] -> [B]: the mean of what one target selects, in ops that have a delta."""
    at = () if index is None else index if isinstance(index, tuple) else (index,)
    where = (slice(None), *at)
    if all(isinstance(each, int | slice) for each in at):

        def of_part(output: Tensor) -> Tensor:
            picked = output[where]
            return picked.mean(list(range(1, picked.ndim))) if picked.ndim > 1 else picked

        return of_part
    chosen = Target(index, shape).picks[0]
    share = torch.zeros(prod(shape), dtype=torch.float64)
    share[chosen] = 1.0 / len(chosen)
    dims = list(range(1, 1 + len(shape)))
    return lambda output: (output * share.view(shape).to(output)).sum(dims)
