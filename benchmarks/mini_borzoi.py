"""The trained mini-Borzoi in $NUCLEOSCOPE_DATA, for the command line: --model benchmarks.mini_borzoi:human."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor, nn

from nucleoscope.models.borzoi import Borzoi, Geometry
from nucleoscope.models.loading import load_weights

GEOMETRY = Geometry(
    length=131_072, stem=64, taps=7, tower=(80, 88, 96, 104, 120, 128), layers=2, heads=2, key=32, value=64,
    features=32, up=128, taps_up=3, crop=1024, final=0, tracks=(("human", 74),),
)  # fmt: skip


class Human(nn.Module):
    """Its human tracks alone, [N, 4, 131072] -> [N, 74, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        path = Path(os.environ["NUCLEOSCOPE_DATA"]) / "models" / "mini_borzoi" / "model.h5"
        self.net = load_weights(Borzoi(geometry=GEOMETRY), path)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.net(x)["human"]
        return made


def human() -> nn.Module:
    """The trained network, ready to be asked."""
    return Human().eval()
