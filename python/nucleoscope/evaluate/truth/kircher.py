"""Measured biology: elements of which every single substitution was put to a reporter assay."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.quality import Quality, judged
from nucleoscope.evaluate.truth.measured import data_folder, needed
from nucleoscope.models import MPRADragoNN, load_weights
from nucleoscope.scan.letters import one_hot

ELEMENTS = ("F9", "LDLR", "HBB", "HBG1", "SORT1", "PKLR-24h")
WIDTH = 145
TARGET = 8  # K562, SV40 promoter, both replicates
SURE = 1e-5  # p-value of a substitution that changes activity
SHARE = 2  # of a position's three substitutions, at least


def kircher(
    elements: tuple[str, ...] = ELEMENTS, data: str | Path | None = None, *, step: int = 24
) -> tuple[nn.Module, Data]:
    """MPRA-DragoNN, and windows of elements whose positions were measured one by one.

    `planted` are positions of which at least two of the measured substitutions change the reporter's activity
    (p < 1e-5 of the published regression). Windows of 145 bases, `step` apart; those with less than three or
    more than half of their positions so marked are left out. The model reads the activity in K562 with the
    SV40 promoter. `quality` is Spearman's ρ of its effects of single substitutions with the measured ones, of the
    `step` bases in the middle of each window, so that each substitution counts once; with r = 0.3 to 0.6 on these
    elements no explanation can be expected to find all that was measured.

    data: a folder with ``models/mpra_dragonn/pretrained.hdf5`` and
    ``variants/kircher2019_satmut_mpra_elements.tsv.gz``; None: what NUCLEOSCOPE_DATA names. Needs h5py.

    Raises FileNotFoundError that says what is missing, ValueError for an element that was not measured.
    Source: Kircher et al. 2019 (Nat. Commun. 10, 3583; GEO GSE126550); Movva et al. 2019.
    """
    folder = data_folder(data)
    weights = needed(
        folder / "models" / "mpra_dragonn" / "pretrained.hdf5",
        "MPRA-DragoNN's weights",
        "of its authors' repository",
    )  # fmt: skip
    table = needed(
        folder / "variants" / "kircher2019_satmut_mpra_elements.tsv.gz",
        "the table of all elements",
        "GEO GSE126550",
    )  # fmt: skip
    model = load_weights(MPRADragoNN(), weights).requires_grad_(False)
    if not 1 <= step <= WIDTH:
        raise ValueError(f"step={step}: windows of {WIDTH} bases lie 1 to {WIDTH} apart")
    windows, planted, effects = [], [], []
    for name in elements:
        bases, marked, measured = element(table, name)
        for first in range(0, len(bases) - WIDTH + 1, step):
            here = slice(first, first + WIDTH)
            if 3 <= int(marked[here].sum()) <= WIDTH // 2:
                windows.append(bases[here])
                planted.append(marked[here])
                effects.append(measured[:, here])
    if not windows:
        raise ValueError(f"elements={elements}: no window has enough positions that matter")
    X = one_hot(windows)
    stated = _quality(model, X, torch.stack(effects), step)
    return model, Data(X, TARGET, torch.stack(planted), quality=stated)


def _quality(model: nn.Module, X: Tensor, effects: Tensor, step: int) -> Quality:
    """Of substitutions in the middle of windows [N, 4, L], each once, the model's against the measured effects."""
    start = (WIDTH - step) // 2
    middle = slice(start, start + step)
    made = nucleoscope.saturation_mutagenesis(
        model, X, target=TARGET, start=start, end=start + step, hypothetical=True
    )
    scores = made.scores.double().cpu()
    own = (scores * X[..., middle]).sum(1, keepdim=True)
    known = effects[..., middle].isfinite()
    return judged((scores - own)[known], effects[..., middle][known])


def element(table: Path, name: str) -> tuple[str, Tensor, Tensor]:
    """An element's bases, rebuilt from the letters its substitutions replace, and what was measured of them.

    Which positions matter, bool ``[L]``, and the effect of each letter, ``[4, L]``, NaN where it is the element's
    own or was not measured.

    Raises ValueError for a name that is not in the table. A base of which nothing was measured is N.
    """
    with gzip.open(table, "rt") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if row["Element"] == name and row["Release"] == "GRCh38" and row["Pos"].isdigit()
        ]
    if not rows:
        raise ValueError(f"elements: {name!r} is not among those measured")
    letters = {int(row["Pos"]): row["Ref"] for row in rows}
    first = min(letters)
    bases = "".join(letters.get(at, "N") for at in range(first, max(letters) + 1))
    count = torch.zeros(len(bases))
    effects = torch.full((4, len(bases)), torch.nan, dtype=torch.float64)
    for row in rows:
        if row["Alt"] in "ACGT":
            at = int(row["Pos"]) - first
            effects["ACGT".index(row["Alt"]), at] = float(row["Coefficient"])
            count[at] += float(row["pValue"]) < SURE
    return bases, count >= SHARE, effects
