"""MPRA-DragoNN (Movva et al. 2019): regulatory activity of 145 bp in a reporter assay."""

from __future__ import annotations

from torch import Tensor, nn

from nucleoscope.models.layers import KERAS_EPS

TAPS = 5


class MPRADragoNN(nn.Module):
    """Activity in K562 and HepG2, each with a minimal and an SV40 promoter, in three readings: twelve targets.

    Input: one-hot (N, 4, 145), alphabet ACGT. Output: (N, 12), normalised log2(RNA / DNA); the last of each
    three is the average of two replicates.

    Three convolutions of 5 taps without padding, 120 wide, each with ReLU and *then* BatchNorm; the 133 positions
    that are left, flattened, into the output. Receptive field 13, stride 1 before the flatten; 339,012 parameters.

    Source: Movva et al., PLoS ONE 14:e0218073 (2019); weights MIT. BatchNorm's eps is Keras', 1e-3.
    """

    alphabet = "ACGT"

    def __init__(self, targets: int = 12, *, small: bool = False) -> None:
        super().__init__()
        self.length = 40 if small else 145
        width = 6 if small else 120
        layers: list[nn.Module] = []
        for wide in (4, width, width):
            layers += [
                nn.Conv1d(wide, width, TAPS),
                nn.ReLU(),
                nn.BatchNorm1d(width, eps=KERAS_EPS),
            ]
            layers.append(nn.Dropout(0.1))
        self.tower = nn.Sequential(*layers)
        self.head = nn.Linear(width * (self.length - 3 * (TAPS - 1)), targets)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
