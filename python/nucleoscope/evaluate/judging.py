"""The quality of a model on its data: as it is stated, or measured on the labels."""

from __future__ import annotations

from typing import Any

from nucleoscope.evaluate.case import answers
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.quality import Quality, judged


def quality(model: Any, data: Data, batch_size: int = 256) -> Quality | None:
    """Of a model on its data; None where the data has neither a stated quality nor labels."""
    if data.quality is not None or data.labels is None:
        return data.quality
    return judged(answers(model, data.X.clone(), data.target, batch_size), data.labels)


def whose(found: Quality | None, data: Data) -> str:
    """A model's quality in words, and whether its data states it or its labels tell it."""
    if found is None:
        return "no labels"
    return f"{found}; {'measured on its labels' if data.quality is None else 'stated'}"
