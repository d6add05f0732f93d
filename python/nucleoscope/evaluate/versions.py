"""Versions of what a benchmark's numbers depend on."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import torch

import nucleoscope

OTHERS = ("captum", "tangermeme", "shap", "quantus")  # whose explainers and metrics may be asked


def versions() -> dict[str, str]:
    """Of this package, torch and numpy, and of those of other explainers and metrics that are installed."""
    found = {
        "nucleoscope": nucleoscope.__version__, "torch": torch.__version__, "numpy": np.__version__,
    }  # fmt: skip
    for name in OTHERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
