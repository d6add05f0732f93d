"""The context of a base: a tile that holds it gives the scores of the whole sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.engine.planning.context import NoTiles

X = nn.functional.one_hot(torch.randint(0, 4, (1, 401)), 4).mT.float()


class UpAndDown(nn.Module):
    """Pools, goes on, and comes back to every base beside a skip, as U-Nets do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(4, 5, 3, padding=1), nn.Conv1d(5, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.a(x).relu()
        coarse = self.b(nn.functional.max_pool1d(fine, 4)).relu()
        up: Tensor = nn.functional.interpolate(coarse, scale_factor=4)
        return fine[..., : up.shape[-1]] + up


def nets() -> dict[str, tuple[nn.Module, int]]:
    """Name: (net, stride)."""
    torch.manual_seed(3)
    return {
        "valid": (nn.Sequential(nn.Conv1d(4, 6, 7), nn.GELU(), nn.Conv1d(6, 2, 4, dilation=3)), 1),
        "lopsided": (nn.Sequential(nn.ConstantPad1d((6, 0), 0.0), nn.Conv1d(4, 2, 7), nn.ReLU()), 1),
        "pooled": (nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.MaxPool1d(3, 2), nn.ReLU(),
                                 nn.Conv1d(6, 2, 4, stride=3)), 6),
        "up and down": (UpAndDown(), 4),
    }  # fmt: skip


@pytest.mark.parametrize("name", nets())
def test_tiles_with_context_give_the_scores_of_the_whole(name: str) -> None:
    net, stride = nets()[name]
    net.eval()
    plan = nucleoscope.plan(net, X, target=1)
    found = plan.context
    assert found.stride == stride

    def summed(x: Tensor, start: int, end: int) -> Tensor:
        done = nucleoscope.saturation_mutagenesis(net, x, target=1, start=start, end=end, verify=0)
        return done.scores * net(x).shape[-1]

    whole = summed(X, 0, 401)
    for start, end in [(0, 50), (50, 201), (97, 98), (300, 401)]:
        lo = max(start - found.left, 0) // stride * stride
        hi = min(end + found.right, 401)
        tile = summed(X[..., lo:hi], start - lo, end - lo)
        error = (tile - whole[..., start:end]).abs().max() / whole.abs().max()
        assert error < 1e-6, (start, end)


def test_less_context_is_not_enough() -> None:
    """The halo is no wider than it must be by more than a stride."""
    net = nn.Sequential(nn.Conv1d(4, 6, 7, padding=3), nn.ReLU(), nn.Conv1d(6, 2, 5, padding=2))
    found = nucleoscope.plan(net.eval(), X, target=1).context
    assert (found.left, found.right) == (10, 10)  # a reach of 5 forward, and of 5 back again


@pytest.mark.parametrize(
    ("net", "target", "message"),
    [
        (nn.Sequential(nn.Conv1d(4, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten()), 0, "no positions"),
        (nn.Conv1d(4, 2, 3), (0, 5), "some of the output's positions only"),
        (nn.Sequential(nn.Conv1d(4, 2, 3), nn.Softmax(-1)), 0, "locality ends before the output"),
    ],
)  # fmt: skip
def test_what_has_no_tiles_says_why(net: nn.Module, target: object, message: str) -> None:
    with pytest.raises(NoTiles, match=message):
        _ = nucleoscope.plan(net.eval(), X, target=target).context
