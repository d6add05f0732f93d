"""Vanishing and saturated gradients: whether a gradient still tells what the model answers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.asking import Asking, asking, gradient
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.diagnostics.watching import SETTLING, Activation, Watching
from nucleoscope.engine.answers.read import Func

VANISHED = 1e-4  # first layer's elasticity over the last one's
DEAD = 0.9  # of a layer's units
FLAT = 0.5  # of the gradient along a path
REACHED = 0.9  # of a path's change: what comes behind is the flat end
SATURATED = 1e-3  # what a head lets through
HEADS = ("sigmoid", "softmax", "tanh", "hardsigmoid", "logsigmoid")


def vanishing(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,
    *,
    target: Any = None,
    func: Func | None = None,
    n_steps: int = 32,
) -> Finding:
    """Whether gradients die on their way back, or are taken where the model no longer moves.

    Of every activation h: its elasticity ``|df/dh| |h|``, which no rescaling of neighbouring layers moves (h
    -> c h takes df/dh to df/dh / c), as a share of the largest; what it lets through, ``|df/d in| / |df/d
    out|``; and its dead channels, which are one number for every sequence and every point of the straight path
    from equal letters to it (0 of ReLU, 6 of relu6, or anything else). `vanished` is the first layer's
    elasticity over the last one's.

    Along that path, ``f(x) - f(b) = int <df/dx, x - b> da``. Once the answer has come within a tenth of its
    end and stays there, what gradients still add up to must nearly cancel, and yet counts in any sum of their
    sizes: `flat` is the share of ``int sum |df/dx (x - b)|`` that lies there. A linear model has 0.1,
    whatever its weights. (A saturated part in which gradients are exactly 0 adds nothing, and does no harm.)

    A head that saturates (sigmoid, softmax, tanh) lets ``s'(z)`` through, which is below 1e-3 from a
    probability of 0.999 on; its log-odds keep the gradient.

    Fires where `vanished` is below 1e-4, a layer has more than `dead` of its units dead, `flat` is over 0.5,
    a head lets less than 1e-3 through, or a whole sequence has no gradient at all.

    values: vanished, dead (the worst layer), flat (median over sequences), head, silent (share of sequences
    without a gradient), layers (one row each).

    Raises TypeError or ValueError for a model, X or target that cannot be meant. Source: Miglani et al. 2020
    (arXiv 2010.12697) for the share along a path.

    Equivalent to::

        (grad(f, h).norm() * h.norm())                                      # a layer's elasticity
        steps = [(grad(f, b + a * (x - b)) * (x - b)).abs().sum() for a in nodes]
        sum(steps[k] for k in nodes if all(|f(x) - f(j)| <= 0.1 |f(x) - f(b)| for j >= k)) / sum(steps)
    """
    if not isinstance(n_steps, int) or n_steps < 4:
        raise ValueError(f"n_steps={n_steps!r}: nodes on a path, 4 or more")
    asked = asking(model, X, args, target, func)
    layers, silent = _layers(asked)
    path = _path(asked, n_steps)
    for row in layers:
        row["dead"] = path.dead.get(row["layer"], 0.0)
    named = [row for row in layers if row["elasticity"] > 0]
    vanished = named[0]["elasticity"] / named[-1]["elasticity"] if named else 1.0
    dead = max((row["dead"] for row in layers), default=0.0)
    head = _head(layers)
    values = {
        "vanished": vanished, "dead": dead, "flat": path.flat, "head": head, "silent": silent, "layers": layers,
    }  # fmt: skip
    why = _reasons(values, layers)
    said = "; ".join(why) if why else (
        f"gradients reach the first layer, at most {dead:.0%} of a layer's units are dead, and "
        f"{path.flat:.0%} of a path's gradient lies where the answer no longer moves (a linear model: 10%)"
    )  # fmt: skip
    limits = {"vanished": VANISHED, "dead": DEAD, "flat": FLAT, "head": SATURATED}
    return Finding("vanishing and saturated gradients", bool(why), said + ".", values, limits)


def _reasons(values: dict[str, Any], layers: list[dict[str, Any]]) -> list[str]:
    why = []
    if values["vanished"] < VANISHED:
        why.append(
            f"the first layer has {values['vanished']:.0e} of the last one's influence: gradients "
            "vanish on the way back"
        )
    if values["dead"] > DEAD:
        worst = max(layers, key=lambda row: row["dead"])
        why.append(
            f"{worst['dead']:.0%} of the units of {worst['layer']!r} are dead for all these sequences"
        )
    if values["flat"] > FLAT:
        why.append(
            f"{values['flat']:.0%} of a path's gradient lies where the answer no longer moves: "
            "integrated gradients "
            "are mostly noise of the flat part"
        )
    if values["head"] is not None and values["head"] < SATURATED:
        why.append(
            f"the head is saturated (it lets {values['head']:.0e} through): attribute its log-odds"
        )
    if values["silent"] > 0:
        why.append(
            f"{values['silent']:.0%} of the sequences have no gradient at all: mutagenesis needs none"
        )
    return why


def _layers(asked: Asking) -> tuple[list[dict[str, Any]], float]:
    """A row for each activation at the sequences themselves, and the share of sequences without gradient."""
    with torch.enable_grad(), Watching(asked.model).on() as seen:
        leaf = asked.X.clone().requires_grad_()
        value = asked.value(leaf).sum()
    given = [each.made if each.given is None else each.given for each in seen]
    wanted = (leaf, *(each.made for each in seen), *given)
    if not value.requires_grad:
        raise ValueError("model: what is read off its output has no gradient with respect to X")
    at_X, *found = torch.autograd.grad(value, wanted, allow_unused=True)
    rows = []
    for each, g, g_in in zip(seen, found[: len(seen)], found[len(seen) :], strict=True):
        if g is None:  # it leads nowhere
            continue
        sizes = [t.detach().double().reshape(len(t), -1).norm(dim=1) for t in (g, each.made)]
        through = None
        if each.given is not None and g_in is not None:
            through = float(g_in.double().norm() / g.double().norm().clamp(min=1e-300))
        rows.append(
            {
                "layer": each.layer, "function": each.function, "elasticity": float((sizes[0] * sizes[1]).mean()),
                "through": through, "zero": float((g == 0).double().mean()),
            }
        )  # fmt: skip
    if at_X is None:
        raise ValueError("model: what is read off its output does not depend on X")
    return rows, float((at_X.flatten(1) == 0).all(1).double().mean())


@dataclass(frozen=True)
class _Path:
    flat: float
    dead: dict[str, float]


def _path(asked: Asking, n_steps: int) -> _Path:
    """Values and gradients at midpoints from equal letters to each sequence; units there and at the end."""
    ends = asked.X
    begin = torch.full_like(ends, 0.25) * ends.sum(1, keepdim=True)
    seen_of: dict[str, tuple[Tensor, Tensor]] = {}
    values, sizes = [], []
    for part in (*((step + 0.5) / n_steps for step in range(n_steps)), 1.0):
        with Watching(asked.model).on() as seen:
            made, found = gradient(asked.value, begin + part * (ends - begin))
        for each in seen:
            _note(seen_of, each, len(ends))
        values.append(made.double())
        sizes.append((found * (ends - begin)).abs().flatten(1).double().sum(1))
    last = values.pop()
    with torch.no_grad():
        first = asked.value(begin).double()
    flat = _flat(torch.stack(values, 1), torch.stack(sizes[:-1], 1), first, last)
    widths = {size for each in asked.model.parameters() for size in each.shape[:1]}
    return _Path(flat, {name: _dead(low < high, widths) for name, (low, high) in seen_of.items()})


def _note(seen: dict[str, tuple[Tensor, Tensor]], each: Activation, count: int) -> None:
    """The least and the largest that each of a layer's numbers was, over the batch: both [*unit]."""
    made = each.made.detach()
    if each.function in SETTLING and made.ndim > 1 and len(made) == count:
        low, high = made.amin(0), made.amax(0)
        if (before := seen.get(each.layer)) is not None:
            low, high = torch.minimum(low, before[0]), torch.maximum(high, before[1])
        seen[each.layer] = low, high


def _dead(live: Tensor, widths: set[int]) -> float:
    """The share of dead channels, whichever axis of [C], [C, L] or [L, C] they are on.

    A channel is alive where any position of it is: a detector of a motif is silent at most of them. Channels lie
    on an axis as long as some parameter has outputs; where several axes are, or none is, on the one with most
    dead.
    """
    axes = [axis for axis in range(live.ndim) if live.shape[axis] in widths] or range(live.ndim)
    alive = [live.movedim(axis, 0).flatten(1).any(1) if live.ndim > 1 else live for axis in axes]
    return 1.0 - min(float(each.double().mean()) for each in alive)


def _flat(values: Tensor, sizes: Tensor, first: Tensor, last: Tensor) -> float:
    """The median share of gradient [N, K] that lies where values stay within a tenth of the end."""
    change = (last - first).abs()
    near = (values - last[:, None]).abs() <= (1 - REACHED) * change[:, None]
    stays = near.flip(1).cumprod(1).flip(1).bool()
    share = (sizes * stays).sum(1) / sizes.sum(1)
    counted = (change > 0) & (sizes.sum(1) > 0)
    return float(share[counted].median()) if counted.any() else 0.0


def _head(layers: list[dict[str, Any]]) -> float | None:
    """What the last nonlinear function lets through, where it is one that saturates."""
    if not layers or layers[-1]["function"] not in HEADS:
        return None
    through: float | None = layers[-1]["through"]
    return through
