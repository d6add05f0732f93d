"""Ground truth at three levels: models written down, networks trained on simulated sequence, measured biology."""

from nucleoscope.evaluate.truth.analytic import ANALYTIC as ANALYTIC
from nucleoscope.evaluate.truth.analytic import analytic as analytic

__all__ = ["ANALYTIC", "analytic"]
