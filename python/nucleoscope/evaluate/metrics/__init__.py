"""Metrics of explanations: one question, one class."""

from nucleoscope.evaluate.metrics.completeness import Completeness as Completeness
from nucleoscope.evaluate.metrics.completeness import MapError as MapError
from nucleoscope.evaluate.metrics.concentration import Complexity as Complexity
from nucleoscope.evaluate.metrics.concentration import Sparseness as Sparseness
from nucleoscope.evaluate.metrics.consistency import AngularConsistency as AngularConsistency
from nucleoscope.evaluate.metrics.consistency import ThreeMerConsistency as ThreeMerConsistency
from nucleoscope.evaluate.metrics.exact import ExactAgreement as ExactAgreement
from nucleoscope.evaluate.metrics.exact import ExactError as ExactError
from nucleoscope.evaluate.metrics.infidelity import Infidelity as Infidelity
from nucleoscope.evaluate.metrics.infidelity import InfidelityR2 as InfidelityR2
from nucleoscope.evaluate.metrics.interplay import InteractionAUROC as InteractionAUROC
from nucleoscope.evaluate.metrics.interplay import RedundancyBias as RedundancyBias
from nucleoscope.evaluate.metrics.max_sensitivity import AvgSensitivity as AvgSensitivity
from nucleoscope.evaluate.metrics.max_sensitivity import MaxSensitivity as MaxSensitivity
from nucleoscope.evaluate.metrics.metric import CATEGORIES as CATEGORIES
from nucleoscope.evaluate.metrics.metric import Metric as Metric
from nucleoscope.evaluate.metrics.monotonicity import Monotonicity as Monotonicity
from nucleoscope.evaluate.metrics.monotonicity import (
    MonotonicityCorrelation as MonotonicityCorrelation,
)
from nucleoscope.evaluate.metrics.mutagenesis import MutagenesisAgreement as MutagenesisAgreement
from nucleoscope.evaluate.metrics.off_simplex import OffSimplexAngle as OffSimplexAngle
from nucleoscope.evaluate.metrics.planted import AUPRC as AUPRC
from nucleoscope.evaluate.metrics.planted import AUROC as AUROC
from nucleoscope.evaluate.metrics.planted import AUPRCLift as AUPRCLift
from nucleoscope.evaluate.metrics.planted import PointingGame as PointingGame
from nucleoscope.evaluate.metrics.planted import RelevanceMass as RelevanceMass
from nucleoscope.evaluate.metrics.planted import RelevanceRank as RelevanceRank
from nucleoscope.evaluate.metrics.randomisation import MPRT as MPRT
from nucleoscope.evaluate.metrics.randomisation import EfficientMPRT as EfficientMPRT
from nucleoscope.evaluate.metrics.removal import ABPC as ABPC
from nucleoscope.evaluate.metrics.removal import Deletion as Deletion
from nucleoscope.evaluate.metrics.removal import Insertion as Insertion
from nucleoscope.evaluate.metrics.road import ROAD as ROAD
from nucleoscope.evaluate.metrics.sensitivity_n import SensitivityN as SensitivityN
