"""What each term of a network in the shape of an ontology adds to its answer: DeepLIFT and IG at its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nucleoscope.models.dcell import DCell, DrugCell
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.subsystems import Subsystems
from nucleoscope.models.term_networks import finite, net_of_terms

Norms = list[nn.Module]  # what the states come out of
RULES = ("deep_lift", "integrated_gradients")
# Functions that bend, and their slopes by their value: what a secant of no length becomes.
BENT: dict[Any, Callable[[Tensor], Tensor]] = {
    torch.tanh: lambda y: 1 - y * y,
    torch.sigmoid: lambda y: y * (1 - y),
    torch.relu: lambda y: (y > 0).to(y),
}


class Contributions(NamedTuple):
    """Of the answer's difference from the baseline's, in its units; what is 0 at a term passes through others."""

    terms: dict[str, Tensor]  # [N] each; a layer's nodes [N, nodes] where terms have no names
    inputs: Tensor  # [N, inputs], which add up to `difference`
    difference: Tensor  # [N]


def term_contributions(
    model: DCell | DrugCell | GenNet,
    x: Tensor,  # [N, inputs]
    baseline: Tensor
    | None = None,  # [inputs] or [N, inputs]; zeros by default: nothing deleted, no allele
    *others: Tensor,
    rule: str = "deep_lift",
    steps: int = 64,
) -> Contributions:
    """The share of the answer's difference from a baseline's that goes through each term's state.

    ``deep_lift``: every bent function passes on by its secant between baseline and input (Shrikumar et al.
    2017, rescale), so that what enters a term is what leaves it. ``integrated_gradients``: the conductance along
    the straight path, by midpoints (Dhamdhere et al. 2018). The root's contribution is the whole difference, a
    complete layer's nodes add up to it, and a term's is what its children and its own genes send through it.
    BatchNorm counts as it is in the network, with its scale. `others` are further inputs, which stay.

    Raises TypeError for another network, ValueError for a rule that there is not, for training mode, shapes that
    do not fit and numbers that are not finite, and under ``deep_lift`` for a GenNet that bends in another way.

    Equivalent to (``integrated_gradients``)::

        sum(d answer / d state at midpoint k * (state at k + 1 - state at k) for k in range(steps)).sum(units)
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: use one of {', '.join(map(repr, RULES))}")
    net = net_of_terms(model, x, others)
    start = torch.zeros_like(x) if baseline is None else _start(baseline, x)
    if steps < 1:
        raise ValueError(f"steps={steps}: points of the path, 1 or more")
    if rule == "deep_lift" and isinstance(net, GenNet) and not {net.bend, net.end} <= set(BENT):
        raise ValueError(
            "model: a bend or end that is not torch's tanh, relu or sigmoid has no secant here, and what leaves a "
            "node would not add up; ask rule='integrated_gradients', which needs slopes alone"
        )
    norms = list(net.norms)
    own = _deep_lift(model, norms, x, start, others) if rule == "deep_lift" else None
    found = own or _conductance(model, norms, x, start, others, steps)
    with torch.no_grad():
        difference = (model(x, *others) - model(start, *others))[:, 0]
    *levels, inputs = found
    return Contributions(_named(net, levels), inputs, difference)


def _start(baseline: Tensor, x: Tensor) -> Tensor:  # [N, inputs]
    if baseline.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"baseline: shape {tuple(baseline.shape)}, where one for all, [{x.shape[1]}], or one for each "
            f"example, {list(x.shape)}, is needed"
        )
    finite("baseline", baseline)
    return baseline.expand_as(x).to(x)


def _deep_lift(
    model: nn.Module, norms: Norms, x: Tensor, start: Tensor, others: tuple[Tensor, ...]
) -> list[Tensor]:
    """Of each level's units and of the inputs: multiplier times difference."""
    with torch.no_grad(), _watched(norms) as before, _Noted() as noted:
        model(start, *others)
    given = x.detach().clone().requires_grad_()
    with _watched(norms) as after, _Secants(noted.values):
        answer = model(given, *others)
    leaves = [*after, given]
    slopes = torch.autograd.grad(answer.sum(), leaves, materialize_grads=True)
    values = zip(slopes, leaves, [*before, start], strict=True)
    return [(g * (a - b)).detach().flatten(1) for g, a, b in values]


def _conductance(
    model: nn.Module, norms: Norms, x: Tensor, start: Tensor, others: tuple[Tensor, ...], steps: int
) -> list[Tensor]:
    """Of each level's units and of the inputs: the path's integral of slope times change."""

    def at(share: float) -> tuple[list[Tensor], Tensor]:
        given = (start + share * (x - start)).requires_grad_()
        with _watched(norms) as states:
            answer = model(given, *others)
        return [*states, given], answer

    total: list[Tensor] = []
    below = [t.detach() for t in at(0.0)[0]]
    for k in range(steps):
        leaves, answer = at((k + 0.5) / steps)
        slopes = torch.autograd.grad(answer.sum(), leaves, materialize_grads=True)
        above = [t.detach() for t in at((k + 1.0) / steps)[0]]
        parts = [(g * (a - b)).flatten(1) for g, a, b in zip(slopes, above, below, strict=True)]
        total = [t + p for t, p in zip(total, parts, strict=True)] if total else parts
        below = above
    return total


def _named(model: Subsystems | GenNet, levels: list[Tensor]) -> dict[str, Tensor]:
    """Units summed by term, in the ontology's order; or a layer's nodes."""
    if isinstance(model, GenNet):
        return {f"layer {i}": level for i, level in enumerate(levels)}
    laid = torch.cat([x.new_zeros(len(x), model.length) for x in levels[:1]] + levels, 1)
    return {t: laid[:, slice(*model.place[t])].sum(1) for t in model.ontology.terms}


@contextmanager
def _watched(norms: Norms) -> Iterator[list[Tensor]]:
    """The states [N, units] as they are made, level by level."""
    states: list[Tensor] = []
    hooks = [norm.register_forward_hook(lambda _m, _i, made: states.append(made)) for norm in norms]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


class _Noted(TorchFunctionMode):
    """What enters and leaves each bent function, in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in BENT:
            self.values.append((args[0], made))
        return made


class _Secants(TorchFunctionMode):
    """Bent functions whose slope is that of the secant from the baseline, call by call."""

    def __init__(self, noted: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._left = iter(noted)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in BENT:
            return func(*args, **(kwargs or {}))
        (x,) = args
        x0, y0 = next(self._left)
        with torch._C.DisableTorchFunction():
            y = func(x.detach())
            run, rise = x.detach() - x0, y - y0
            flat = run.abs() <= 1e-6 * (1 + x0.abs())
            slope = torch.where(flat, BENT[func](y), rise / torch.where(flat, 1.0, run))
            return y + slope * (x - x.detach())
