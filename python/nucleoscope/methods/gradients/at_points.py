"""The gradient at the sequences themselves."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nucleoscope.engine.gradients.path import Points, sums
from nucleoscope.methods.gradients.differentiating import Found, Opened


def at_sequences(opened: Opened, progress: bool) -> Found:
    """The gradient of each target at each sequence, and the targets."""
    found = []
    with tqdm(total=len(opened), unit=" gradients", disable=not progress, unit_scale=True) as bar:
        for _, inputs in opened.blocks():
            place = functools.partial(_placed, inputs)
            (total,) = sums(opened.backward, place, len(inputs[0]), np.ones((1, 1)), bar.update)
            found.append((total[0], opened.backward.values(inputs).cpu()))
    raw, original = (torch.cat(part) for part in zip(*found, strict=True))
    return Found(opened.columns(raw), original)


def _placed(inputs: tuple[Tensor, ...], points: Points) -> tuple[Tensor, ...]:
    row = points.row.to(inputs[0].device)
    return tuple(t[row] for t in inputs)
