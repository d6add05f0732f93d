"""The benchmarks' count of multiply-adds, one channel wide, against a count over all channels and pairs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.nets import BPNetCounts, OneOutput
from benchmarks.structure import multiply_adds


def pooled(length: int) -> nn.Module:
    """Stride, two pools, unlike widths, a head over flattened channels: Basset's parts."""
    cells = ((length - 6) // 3 + 1 - 2) // 2 // 2
    return nn.Sequential(
        nn.Conv1d(4, 7, 5), nn.BatchNorm1d(7), nn.ReLU(), nn.Conv1d(7, 9, 2, stride=3), nn.ReLU(),
        nn.Conv1d(9, 6, 3), nn.MaxPool1d(2), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(6 * cells, 8), nn.ReLU(), nn.Linear(8, 5), nn.Sigmoid(),
    )  # fmt: skip


class Dilated(nn.Module):
    """A concatenation of two windows and a padded, dilated layer that is cut: [N, 4, L] -> [N, 3, L - 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3, padding=1)
        self.far = nn.Conv1d(6, 5, 3, padding=5, dilation=5)
        self.last = nn.Conv1d(11, 3, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return F.softmax(self.last(torch.cat([x, self.far(x)], 1))[:, :, 4:-5], 1)


def counted(model: nn.Module, length: int, sites: range) -> float:
    """The same over all channels: a weight is 1, a change of it is carried by running the layer on it."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Linear)]
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for layer in layers:
        nn.init.constant_(layer.weight, 1.0)
        nn.init.zeros_(layer.bias)
        layer.register_forward_hook(lambda m, given, made: seen.update({m: (given[0], made)}))
    x = torch.ones(1, 4, length, dtype=torch.float64, requires_grad=True)
    out = model(x).sum()
    grads = torch.autograd.grad(out, [seen[layer][1] for layer in layers])
    read = dict(zip(layers, (g != 0 for g in grads), strict=True))
    total = 0.0
    for site in sites:
        one = torch.zeros(1, 4, length, dtype=torch.float64)
        one[:, :, site] = 1
        with torch.no_grad():
            model(one)
        for layer in layers[1:]:
            given, made = seen[layer]
            changed = (given != 0).double()
            if isinstance(layer, nn.Conv1d):  # a position counts with all of its channels
                changed = changed.amax(1, keepdim=True).expand_as(changed)
            # weights of 1 on what changed (as ones) add up to the pairs that meet at each output
            met = type(layer).forward(layer, changed).detach()
            wanted = (made != 0) & (read[layer].amax(1, keepdim=True))
            total += float(met[wanted.expand_as(met)].sum())
    return 3 * total


@pytest.mark.parametrize("length", [61, 64])
@pytest.mark.parametrize(
    "make",
    [
        pooled,
        lambda _: BPNetCounts(8, 3, trim=11),
        lambda _: Dilated(),
        lambda _: OneOutput(Dilated()),
    ],
    ids=["pooled", "BPNet", "dilated", "one output"],
)
def test_one_channel_counts_what_all_channels_do(
    make: Callable[[int], nn.Module], length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the layers, the thin network's count is that of the network at its full width."""
    model, sites = make(length).double().eval(), range(3, length, 7)
    thin = multiply_adds(model, length, sites, sample=len(sites))
    for name, child in list(model.named_modules()):
        if isinstance(child, nn.MaxPool1d):
            model.set_submodule(name, nn.AvgPool1d(child.kernel_size))
        elif isinstance(child, nn.BatchNorm1d | nn.Sigmoid):
            model.set_submodule(name, nn.Identity())
    monkeypatch.setattr(F, "softmax", lambda x, _dim: x)
    assert thin == counted(model, length, sites)
    assert thin > 0
