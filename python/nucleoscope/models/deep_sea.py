"""DeepSEA (Zhou & Troyanskaya 2015): 919 chromatin features from 1 kb."""

from __future__ import annotations

from torch import Tensor, nn

TAPS, CELL = 8, 4
FLOOR = 1e-6  # what its threshold puts in the place of x <= 0


class DeepSEA(nn.Module):
    """Chromatin features: accessibility, transcription factors, histone marks.

    Input: one-hot (N, 4, 1000), alphabet **AGCT**; turning the channels round is still the complement.
    Output: (N, 919) probabilities; attribute log-odds.

    Three convolutions of 8 taps without padding (320, 480, 960), a max-pool of 4 behind the first two; the 53
    positions that are left, flattened, into layers of 925 and 919. Receptive field 163, stride 16 before
    the flatten, so that one base touches at most 11 of 53 positions; 52,843,119 parameters, 92 % of them in
    one layer.

    Source: Zhou & Troyanskaya, Nature Methods 12:931 (2015), in the graph of the published weights. In the
    place of ReLU stands a threshold that gives 1e-6, not 0, for x <= 0: a step, which gradients do not see.
    The published prediction averages both strands; this is one of them (`reverse_complement=True` asks both).
    """

    alphabet = "AGCT"

    def __init__(self, targets: int = 919, *, small: bool = False) -> None:
        super().__init__()
        self.length = 240 if small else 1000
        a, b, c, hidden = (6, 8, 8, 9) if small else (320, 480, 960, 925)
        cells = ((self.length - TAPS + 1) // CELL - TAPS + 1) // CELL - TAPS + 1
        self.tower = nn.Sequential(
            nn.Conv1d(4, a, TAPS), nn.Threshold(0, FLOOR), nn.MaxPool1d(CELL), nn.Dropout(0.2),
            nn.Conv1d(a, b, TAPS), nn.Threshold(0, FLOOR), nn.MaxPool1d(CELL), nn.Dropout(0.2),
            nn.Conv1d(b, c, TAPS), nn.Threshold(0, FLOOR), nn.Dropout(0.5),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Linear(c * cells, hidden), nn.Threshold(0, FLOOR), nn.Linear(hidden, targets), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
