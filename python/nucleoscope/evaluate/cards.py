"""The reliability card of each model of a benchmark, of its integrated gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tqdm import tqdm

import nucleoscope
from nucleoscope.evaluate.case import home
from nucleoscope.evaluate.cells import told
from nucleoscope.evaluate.data import Data

FEW = 4  # sequences that a card is made of


def cards(
    models: Mapping[str, Any], data: Mapping[str, Data], progress: bool = False
) -> dict[str, str]:
    """By the model's name, the card as text, of the first sequences; where there is none, why."""
    each = tqdm(models.items(), unit=" cards", disable=not progress)
    return {name: _card(model, data[name]) for name, model in each}


def _card(model: Any, data: Data) -> str:
    X = data.X[:FEW]
    try:
        _, dtype = home(model, X)
        scores = nucleoscope.integrated_gradients(
            model, X, target=data.target, precision="fp64" if dtype == torch.float64 else "fp32"
        )
        return str(nucleoscope.card(model, X, scores, target=data.target))
    except Exception as error:  # a benchmark is not lost for want of a card
        return f"There is no card: {told(error)}"
