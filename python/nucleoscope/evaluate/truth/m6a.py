"""Measured biology: m6A lies in DRACH, and m6Aformer learnt it from measured sites."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from nucleoscope.demo import load_sequence
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.quality import judged
from nucleoscope.evaluate.truth.measured import data_folder, inside, packaged
from nucleoscope.models import M6AFormer, load_weights
from nucleoscope.scan.letters import one_hot

FLANK = 100  # bases on either side of the A
STORED = "all_201/best_model_state_dict.pt"
OTHERS = 37  # bases between A's that are tried for comparison
LIKELY = 0.0  # log-odds of a site that the model calls


def m6a(data: str | Path | None = None, *, count: int = 32) -> tuple[nn.Module, Data]:
    """m6Aformer, and sites that it calls methylated, where the enzymes' motif DRACH is what matters.

    METTL3 and METTL14 bind D[AGT] R[AG] A C H[ACT]; `planted` are the five bases about the A in the middle.
    Sites are DRACH of the demo's human sequence, taken evenly from those of which the model's log-odds are
    over 0. That they are methylated in some cell is the model's word; that they would be for DRACH is
    measured. `quality` is how well the log-odds tell DRACH from as many other A's of the same sequence (AUROC): it
    says that the model knows the motif, not that it is right about a site.

    data: a folder with the wheel of m6aformer 0.1.2, or with ``m6aformer/all_201/best_model_state_dict.pt``;
    None: what NUCLEOSCOPE_DATA names.

    Raises FileNotFoundError that says what is missing, ValueError where fewer sites than `count` are called.
    Source: Linder et al. 2015 (Nat. Methods 12, 767) for the motif.
    """
    path = packaged(data_folder(data), "m6aformer", f"m6aformer/{STORED}", "m6Aformer's weights")
    with inside(path, STORED) as stored:
        model = load_weights(M6AFormer(), stored).requires_grad_(False)
    bases = load_sequence()[1].upper()
    ends = len(bases) - FLANK
    found = [m.start() + 2 for m in re.finditer("(?=[AGT][AG]AC[ACT])", bases)]
    middle = [at for at in found if FLANK <= at < ends]
    tried = middle[:: max(1, len(middle) // (6 * count))]
    X = one_hot([bases[at - FLANK : at + FLANK + 1] for at in tried])
    odds, motif = _log_odds(model, X), set(middle)
    others = [at for at in range(FLANK, ends, OTHERS) if bases[at] == "A" and at not in motif][
        : len(X)
    ]
    elsewhere = _log_odds(model, one_hot([bases[at - FLANK : at + FLANK + 1] for at in others]))
    stated = judged(
        torch.cat([odds, elsewhere]), torch.arange(len(odds) + len(elsewhere)) < len(odds)
    )
    called = odds > LIKELY
    if int(called.sum()) < count:
        raise ValueError(f"count={count}: the model calls {int(called.sum())} of {len(X)} sites")
    X = X[called][:count]
    planted = torch.zeros(len(X), X.shape[2], dtype=torch.bool)
    planted[:, FLANK - 2 : FLANK + 3] = True
    return model, Data(X, 0, planted, quality=stated)


def _log_odds(model: nn.Module, X: Tensor) -> Tensor:  # [N, 4, L] -> [N] float64
    with torch.no_grad():
        return torch.cat([model(part)[:, 0] for part in X.split(64)]).double()
