"""Structural multiply-adds of a scan, counted without the engine's planner.

What an edit can change is found by running a network of the same shape whose weights are all positive on a
sequence that is zero but for the edited site: an activation is in the window where it is not zero. What the
output reads is found by its gradient. A multiply-add counts where a changed input meets an output that is
changed and read.
"""

from __future__ import annotations

import copy
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def multiply_adds(model: nn.Module, length: int, sites: range, sample: int = 64) -> float:
    """Multiply-adds of three substitutions at each of the sites, the first layer's look-up left out."""
    positive = _positive(model)
    layers = [m for m in positive.modules() if isinstance(m, nn.Conv1d | nn.Linear)]
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        if made.requires_grad:
            made.retain_grad()
        seen[layer] = (given[0], made)

    for layer in layers:
        layer.register_forward_hook(note)
    with mock.patch.object(F, "max_pool1d", F.avg_pool1d), mock.patch.object(F, "softmax", _same):
        x = torch.ones(1, 4, length, dtype=torch.float64, requires_grad=True)
        positive(x).sum().backward()
        read = {layer: made.grad != 0 for layer, (_, made) in seen.items()}  # type: ignore[attr-defined]
        first = layers[0]
        picked = sites[:: max(1, len(sites) // sample)]
        total = 0.0
        for site in picked:
            x = torch.zeros(1, 4, length, dtype=torch.float64)
            x[:, :, site] = 1
            with torch.no_grad():
                positive(x)
            total += sum(_pairs(n, *seen[n], read[n]) for n in layers if n is not first)
    return 3.0 * total * len(sites) / len(picked)


def _pairs(layer: nn.Module, given: Tensor, made: Tensor, read: Tensor) -> float:
    """Multiply-adds of one layer for one edit."""
    live = (made != 0) & read
    changed = (given != 0).double()
    if isinstance(layer, nn.Linear):
        return float(changed.sum() * live.sum())
    assert isinstance(layer, nn.Conv1d)
    ones = torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64)
    taps = F.conv1d(
        changed.amax(1, keepdim=True), ones, None, layer.stride,
        layer.padding, layer.dilation,
    )  # fmt: skip
    wide = layer.in_channels // layer.groups
    return float((taps * live.amax(1, keepdim=True)).sum() * wide * layer.out_channels)


def _same(x: Tensor, _dim: int) -> Tensor:
    return x


def _positive(model: nn.Module) -> nn.Module:
    """The same network with positive weights and no constants: a zero stays zero, a change stays one."""
    made = copy.deepcopy(model).double()
    for name, child in list(made.named_modules()):
        if isinstance(child, nn.BatchNorm1d | nn.Dropout | nn.Sigmoid):
            made.set_submodule(name, nn.Identity())
        elif isinstance(child, nn.MaxPool1d):
            made.set_submodule(name, nn.AvgPool1d(child.kernel_size))  # type: ignore[arg-type]
        elif isinstance(child, nn.Conv1d | nn.Linear):
            child.weight.data.fill_(1.0 / child.weight[0].numel())
            if child.bias is not None:
                child.bias.data.zero_()
    return made
