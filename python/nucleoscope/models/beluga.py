"""Beluga (Zhou et al. 2018), the sequence model of ExPecto: 2,002 chromatin features from 2 kb."""

from __future__ import annotations

from torch import Tensor, nn

TAPS, CELL = 8, 4


class Beluga(nn.Module):
    """Chromatin features, as DeepSEA's, of more cell types and from more sequence.

    Input: one-hot (N, 4, 2000), alphabet **AGCT**. Output: (N, 2002) probabilities; attribute log-odds.

    Six convolutions of 8 taps without padding (320, 320, 480, 480, 640, 640) with ReLU, a max-pool of 4 behind
    the second and fourth; the 106 positions that are left, flattened, into layers of 2,003 and 2,002.
    Receptive field 310, stride 16 before the flatten: one base touches at most 20 of 106 positions;
    149,536,251 parameters.

    Source: Zhou et al., Nature Genetics 50:1171 (2018), in the graph of the published weights, whose licence
    is not commercial.
    """

    alphabet = "AGCT"

    def __init__(self, targets: int = 2002, *, small: bool = False) -> None:
        super().__init__()
        self.length = 400 if small else 2000
        widths, hidden = ((5, 6, 7), 9) if small else ((320, 480, 640), 2003)
        layers: list[nn.Module] = []
        wide, cells = 4, self.length
        for block, width in enumerate(widths):
            last = block == len(widths) - 1
            for _ in range(2):
                layers += [nn.Conv1d(wide, width, TAPS), nn.ReLU()]
                wide, cells = width, cells - TAPS + 1
            layers.append(nn.Dropout(0.5 if last else 0.2))
            if not last:
                layers.append(nn.MaxPool1d(CELL))
                cells //= CELL
        self.tower = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(wide * cells, hidden), nn.ReLU(), nn.Linear(hidden, targets), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
