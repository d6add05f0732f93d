"""Kernel scaling and gauge: whether what is looked at is the function, or only how it was written down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.asking import Asking, asking, gradient
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.attention.rank_controls import spearman
from nucleoscope.result import Attribution

OFF_SIMPLEX = 0.5  # a gradient of four independent numbers has 0.25
SPREAD = (
    3.0  # of filters' lengths, nine tenths over one tenth; below it there is nothing to misread
)
AGREEMENT = 0.3  # rank correlation of filters' lengths with what they do
FEWEST = 8  # filters of which a rank correlation says something


def gauge(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    attribution: Attribution | None = None,
    args: tuple[Tensor, ...] | None = None,
    *,
    target: Any = None,
    func: Func | None = None,
) -> Finding:
    """Whether kernels or gradients are read in a form that the model's answers do not determine.

    Two changes of the weights leave every answer to a sequence as it is. **Gauge**: on one-hot letters
    ``sum_a x_a c = c``, so a constant c added to the four weights of a kernel's position is a constant of the
    output, which the bias takes back; the gradient moves by the same number at all four letters of a site.
    What of a gradient is the mean over letters is therefore a matter of how training began, and its share,
    ``sum_l 4 m_l^2 / sum g^2``, is what an uncentred attribution shows of it. **Scale**: ``relu(c z) = c
    relu(z)`` for c > 0, and BatchNorm divides by whatever c was, so the next layer can take back any factor;
    the length of a kernel says nothing of its use. What a filter does, ``sum_p |(z - mean z) df/dz|``, does
    not move with either change; where the order by length is another, heights of kernels mislead.

    Fires where the share exceeds `off_simplex` and the attribution (or, without one, the raw gradient) is not
    centred; or where kernels differ in length by more than `spread` and their order agrees with that of their
    influence less than `agreement`. With zero padding or N the first identity holds away from the ends alone.

    values: off_simplex; off_simplex_positions, the share of sites whose gradient lies more than 30 degrees
    off the simplex; of each layer that reads letters: gauge_share of its weights, spread, agreement, filters.

    Raises TypeError or ValueError for a model, X or target that cannot be meant. Source: Majdandzic et al.
    2023 (Genome Biol. 24, 109) for gradients.

    Equivalent to::

        g = grad(model(X).sum(), X)
        4 * (g.mean(1) ** 2).sum() / (g ** 2).sum()
        spearman(kernel.norm(), ((z - z.mean()) * grad(model(X).sum(), z)).abs().sum())
    """
    asked = asking(model, X, args, target, func)
    reading = _reading(asked)
    _, found = gradient(asked.value, asked.X)
    found = (
        found.double()
    )  # in float32 the least size below is 0, and a gradient of 0 divided by it
    middle, whole = found.mean(1), found.square().sum(1)
    share = float(4 * middle.square().sum() / whole.sum().clamp(min=1e-300))
    sine = (2 * middle.abs() / whole.sqrt().clamp(min=1e-300))[whole > 0]
    off = float((sine > 0.5).double().mean()) if len(sine) else 0.0
    centred = attribution is not None and _centred(attribution)
    layers = [_filters(asked, name, layer) for name, layer in reading]
    misread = [
        each
        for each in layers
        if each["filters"] >= FEWEST and each["spread"] > SPREAD and each["agreement"] < AGREEMENT
    ]
    drifted = share > OFF_SIMPLEX and not centred
    return Finding(
        "kernel scaling and gauge", drifted or bool(misread),
        _sentence(share, centred, attribution is not None, layers, misread),
        {"off_simplex": share, "off_simplex_positions": off, "centred": centred, "layers": layers},
        {"off_simplex": OFF_SIMPLEX, "spread": SPREAD, "agreement": AGREEMENT},
    )  # fmt: skip


def _centred(attribution: Attribution) -> bool:
    """Whether the mean over letters has been taken out of the scores."""
    if attribution.facts.get("center") in ("mean", "alternatives"):
        return True
    if not attribution.facts.get("hypothetical") or "letter" not in attribution.axes:
        return False
    scores = attribution.scores.double()
    middle = scores.mean(attribution.axes.index("letter")).norm()
    return bool(middle <= 1e-5 * scores.norm())


def _reading(asked: Asking) -> list[tuple[str, nn.Conv1d]]:
    """The convolutions that are given the letters themselves."""
    found: dict[str, nn.Conv1d] = {}

    def noting(name: str, layer: nn.Conv1d) -> Any:
        def note(_module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and given[0].shape == one.shape and torch.equal(given[0], one):
                found[name] = layer

        return note

    one = asked.X[:1]
    hooks = [
        layer.register_forward_pre_hook(noting(name, layer))
        for name, layer in asked.model.named_modules()
        if isinstance(layer, nn.Conv1d)
    ]
    try:
        with torch.no_grad():
            asked.value(one, tuple(each[:1] for each in asked.args))
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.items())


def _filters(asked: Asking, name: str, layer: nn.Conv1d) -> dict[str, Any]:
    """How the kernels of a layer are written down, against what they do."""
    weight = layer.weight.detach().double()
    middle = weight.mean(1, keepdim=True)
    length = (weight - middle).flatten(1).norm(dim=1)
    gauge_share = float(middle.square().sum() * 4 / weight.square().sum().clamp(min=1e-300))
    made: list[Tensor] = []

    def keep(_module: nn.Module, _given: Any, out: Tensor) -> Tensor:
        made.append(out.detach().requires_grad_())
        return made[-1].clone()  # a leaf must not be written over, as ReLU in place would

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            value = asked.value(asked.X).sum()
            found = (
                torch.autograd.grad(value, made, allow_unused=True)
                if value.requires_grad
                else [None] * len(made)
            )
    finally:
        hook.remove()
    influence = torch.zeros(len(weight), dtype=torch.float64)
    for z, g in zip(made, found, strict=True):
        if g is None:  # it leads nowhere
            continue
        moved = (z.detach() - z.detach().mean((0, 2), keepdim=True)) * g
        influence += moved.abs().sum((0, 2)).double().cpu()
    low, high = torch.quantile(length.cpu(), torch.tensor([0.1, 0.9], dtype=torch.float64)).tolist()
    agreement = spearman(length.cpu(), influence) if len(length) > 1 else 1.0
    return {
        "layer": name, "filters": len(length), "gauge_share": gauge_share,
        "spread": high / max(low, 1e-300), "agreement": float(agreement),
    }  # fmt: skip


def _sentence(
    share: float, centred: bool, given: bool, layers: list[Any], misread: list[Any]
) -> str:
    said = f"{share:.0%} of the gradient lies in the mean over letters, which no sequence can show"
    if share > OFF_SIMPLEX:
        what = "the attribution" if given else "a gradient as it is"
        said += "; the scores are centred, so none of it is in them" if centred else (
            f"; {what} shows it at every letter alike: center the scores"
        )  # fmt: skip
    if misread:
        worst = min(misread, key=lambda each: each["agreement"])
        said += (
            f". Kernels of {worst['layer']!r} differ in length {worst['spread']:.0f}-fold, and not as "
            "what they do "
            f"(rank correlation {worst['agreement']:.2f}): do not read heights of kernels as importance"
        )
    elif not layers:
        said += ". No nn.Conv1d reads the letters themselves, so nothing is said of kernels"
    return said + "."
