"""Metrics called as Quantus calls them, with nucleoscope's definitions behind them.

    from nucleoscope.compat import quantus
    scores = quantus.SensitivityN()(model, x_batch, y_batch, a_batch, device="cpu")

What is called and returned is Quantus 0.6's: arrays in, a list of one number a sequence out. What is computed is
not, where that differs from what the metric's source defines: positions and not channels of positions are
replaced, by letters of a background and not by a constant; sensitivity-n correlates over sets and counts every
batch; scores of a sequence do not depend on the others; completeness is a gap and no equality of floats.
`softmax` is off unless asked for.

Twenty-three of Quantus's 37 metrics are here. `NOT_HERE` says of each other one what is wrong with it on letters,
or what to take, and so does the error where one is asked for. Options of constructors that mean something here
are taken; others are refused with the reason.
"""

from typing import Any

from nucleoscope.compat.quantus.comparing import evaluate as evaluate
from nucleoscope.compat.quantus.metric import Metric as Metric
from nucleoscope.compat.quantus.names import AUC as AUC
from nucleoscope.compat.quantus.names import AVAILABLE_METRICS as AVAILABLE_METRICS
from nucleoscope.compat.quantus.names import MPRT as MPRT
from nucleoscope.compat.quantus.names import NOT_HERE as NOT_HERE
from nucleoscope.compat.quantus.names import ROAD as ROAD
from nucleoscope.compat.quantus.names import AttributionLocalisation as AttributionLocalisation
from nucleoscope.compat.quantus.names import AvgSensitivity as AvgSensitivity
from nucleoscope.compat.quantus.names import Completeness as Completeness
from nucleoscope.compat.quantus.names import Complexity as Complexity
from nucleoscope.compat.quantus.names import EfficientMPRT as EfficientMPRT
from nucleoscope.compat.quantus.names import FaithfulnessCorrelation as FaithfulnessCorrelation
from nucleoscope.compat.quantus.names import FaithfulnessEstimate as FaithfulnessEstimate
from nucleoscope.compat.quantus.names import Infidelity as Infidelity
from nucleoscope.compat.quantus.names import MaxSensitivity as MaxSensitivity
from nucleoscope.compat.quantus.names import (
    ModelParameterRandomisation as ModelParameterRandomisation,
)
from nucleoscope.compat.quantus.names import Monotonicity as Monotonicity
from nucleoscope.compat.quantus.names import MonotonicityCorrelation as MonotonicityCorrelation
from nucleoscope.compat.quantus.names import PixelFlipping as PixelFlipping
from nucleoscope.compat.quantus.names import PointingGame as PointingGame
from nucleoscope.compat.quantus.names import RegionPerturbation as RegionPerturbation
from nucleoscope.compat.quantus.names import RelevanceMassAccuracy as RelevanceMassAccuracy
from nucleoscope.compat.quantus.names import RelevanceRankAccuracy as RelevanceRankAccuracy
from nucleoscope.compat.quantus.names import Selectivity as Selectivity
from nucleoscope.compat.quantus.names import SensitivityN as SensitivityN
from nucleoscope.compat.quantus.names import Sparseness as Sparseness
from nucleoscope.compat.quantus.names import TopKIntersection as TopKIntersection


def __getattr__(name: str) -> Any:
    if name in NOT_HERE:
        raise AttributeError(f"quantus.{name} is not here: {NOT_HERE[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
