"""DeepSTARR (de Almeida et al. 2022): two enhancer activities of 249 bp."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.models.layers import KERAS_EPS

CONVS = ((256, 7), (60, 3), (60, 5), (120, 3))  # channels, taps
SMALL = ((8, 7), (6, 3), (6, 5), (7, 3))


class DeepSTARR(nn.Module):
    """Enhancer activity in Drosophila S2 cells, towards a developmental and a housekeeping promoter.

    Input: one-hot (N, 4, 249), alphabet ACGT. Output: (N, 2), [developmental, housekeeping], log2 of the
    enrichment over input in STARR-seq.

    Four convolutions that keep the length (256, 60, 60 and 120 wide; 7, 3, 5 and 3 taps), each with BatchNorm,
    ReLU and a max-pool of 2; the 15 positions that are left into two layers of 256 with BatchNorm, ReLU and
    dropout. Receptive field 58, stride 16 before the flatten; 622,722 parameters to train, and 2,016
    statistics of BatchNorm.

    Source: de Almeida et al., Nature Genetics 54:613 (2022). Keras: positions are flattened before channels
    (here after; a loader has to turn the first dense layer), and BatchNorm's eps is 1e-3.
    """

    alphabet = "ACGT"

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        self.length = 97 if small else 249
        hidden = 9 if small else 256
        layers: list[nn.Module] = []
        wide, cells = 4, self.length
        for width, taps in SMALL if small else CONVS:
            layers += [nn.Conv1d(wide, width, taps, padding=taps // 2)]
            layers += [nn.BatchNorm1d(width, eps=KERAS_EPS), nn.ReLU(), nn.MaxPool1d(2)]
            wide, cells = width, cells // 2
        self.tower = nn.Sequential(*layers)
        dense: list[nn.Module] = []
        for width in (wide * cells, hidden):
            dense += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden, eps=KERAS_EPS)]
            dense += [nn.ReLU(), nn.Dropout(0.4)]
        self.dense = nn.Sequential(*dense)
        self.heads = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 2]
        found = self.dense(self.tower(x).flatten(1))
        return torch.cat([head(found) for head in self.heads], 1)
