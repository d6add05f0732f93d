"""Structural multiply-adds of a scan, counted without the engine's planner.

What an edit can change is found by running a network of the same shape whose weights are all positive on a
sequence that is zero but for the edited site: an activation is in the window where it is not zero. What the
output reads is found by its gradient. A multiply-add counts where a changed input meets an output that is
changed and read.

Where all weights are alike, so are a layer's channels, and one of them tells the window of all. The counting
network is therefore one channel wide, and the widths are those of the network that is counted;
`tests/test_structure.py` holds it to the count over all channels.
"""

from __future__ import annotations

import copy
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 4  # a layer of so many channels keeps them: one of its outputs may be picked by its number


def multiply_adds(model: nn.Module, length: int, sites: range, sample: int = 64) -> float:
    """Multiply-adds of three substitutions at each of the sites, the first layer's look-up left out."""
    thin = _thin(model)
    layers = [m for m in thin.modules() if isinstance(m, _Thin)]
    picked = sites[:: max(1, len(sites) // sample)]
    with mock.patch.object(F, "max_pool1d", F.avg_pool1d), mock.patch.object(F, "softmax", _same):
        x = torch.ones(1, 4, length, dtype=torch.float64, requires_grad=True)
        thin(x).sum().backward()
        read = {layer: layer.made.grad != 0 for layer in layers}
        total = 0.0
        for site in picked:
            x = torch.zeros(1, 4, length, dtype=torch.float64)
            x[:, :, site] = 1
            with torch.no_grad():
                thin(x)
            total += sum(layer.pairs(read[layer]) for layer in layers[1:])
    return 3.0 * total * len(sites) / len(picked)


class _Thin(nn.Module):
    """A layer one channel wide, with positive weights and no constants: a zero stays zero, a change one."""

    def __init__(self, wide: nn.Module, outputs: int) -> None:
        super().__init__()
        self.wide, self.outputs = wide, outputs if outputs <= FEW else 1
        self.given = self.made = torch.empty(0)  # of the latest forward

    def note(self, given: Tensor, made: Tensor) -> Tensor:
        if made.requires_grad:
            made.retain_grad()
        self.given, self.made = given, made
        return made


class _ThinConv(_Thin):
    def forward(self, x: Tensor) -> Tensor:
        x = x.mean(1, keepdim=True)
        mean = x.new_full((1, 1, *self.wide.kernel_size), 1 / self.wide.kernel_size[0])
        return self.note(x, self._conv(x, mean).expand(-1, self.outputs, -1))

    def _conv(self, x: Tensor, weight: Tensor) -> Tensor:
        conv = self.wide
        return F.conv1d(x, weight, None, conv.stride, conv.padding, conv.dilation)

    def pairs(self, read: Tensor) -> float:
        """Multiply-adds of the layer for the edit that went through last."""
        live = ((self.made != 0) & read).amax(1)
        taps = self._conv(
            (self.given != 0).double(), torch.ones(1, 1, *self.wide.kernel_size).double()
        )
        within = self.wide.in_channels // self.wide.groups
        return float((taps[:, 0] * live).sum()) * within * self.wide.out_channels


class _ThinLinear(_Thin):
    def forward(self, x: Tensor) -> Tensor:
        return self.note(x, x.mean(-1, keepdim=True).expand(*x.shape[:-1], self.outputs))

    def pairs(self, read: Tensor) -> float:
        """Multiply-adds of the layer for the edit that went through last."""
        live = ((self.made != 0) & read).any(-1).sum()
        channels, rest = divmod(self.wide.in_features, self.given.shape[-1])
        assert rest == 0, "columns of a linear layer that are not so many channels a position"
        return float((self.given != 0).sum() * channels * live) * self.wide.out_features


def _same(x: Tensor, _dim: int) -> Tensor:
    return x


def _thin(model: nn.Module) -> nn.Module:
    """The network with every layer one channel wide and nothing that could hide a change."""
    made = copy.deepcopy(model)
    for name, child in list(made.named_modules()):
        if isinstance(child, nn.BatchNorm1d | nn.Dropout | nn.Sigmoid):
            made.set_submodule(name, nn.Identity())
        elif isinstance(child, nn.MaxPool1d):
            made.set_submodule(name, nn.AvgPool1d(child.kernel_size))  # type: ignore[arg-type]
        elif isinstance(child, nn.Conv1d):
            made.set_submodule(name, _ThinConv(child, child.out_channels))
        elif isinstance(child, nn.Linear):
            made.set_submodule(name, _ThinLinear(child, child.out_features))
    return made
