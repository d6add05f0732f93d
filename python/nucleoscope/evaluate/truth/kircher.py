"""Measured biology: elements of which every single substitution was put to a reporter assay."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import torch
from torch import Tensor, nn

from nucleoscope.evaluate.data import Data
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
    SV40 promoter; naive mutagenesis of it goes with the measured effects at r = 0.3 to 0.6 on these elements,
    so no explanation can be expected to find all that was measured.

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
    X, planted = [], []
    for name in elements:
        bases, marked = element(table, name)
        for first in range(0, len(bases) - WIDTH + 1, step):
            mask = marked[first : first + WIDTH]
            if 3 <= int(mask.sum()) <= WIDTH // 2:
                X.append(bases[first : first + WIDTH])
                planted.append(mask)
    if not X:
        raise ValueError(f"elements={elements}: no window has enough positions that matter")
    return model, Data(one_hot(X), TARGET, torch.stack(planted))


def element(table: Path, name: str) -> tuple[str, Tensor]:
    """An element's bases, rebuilt from the letters its substitutions replace, and which positions matter.

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
    for row in rows:
        if row["Alt"] in "ACGT" and float(row["pValue"]) < SURE:
            count[int(row["Pos"]) - first] += 1
    return bases, count >= SHARE
