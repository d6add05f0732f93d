"""The benchmark of explainers: which explanation of which model is right, and by how much."""

from nucleoscope.evaluate import metrics as metrics
from nucleoscope.evaluate.background import Background as Background
from nucleoscope.evaluate.case import Case as Case
from nucleoscope.evaluate.case import Explained as Explained
from nucleoscope.evaluate.data import Data as Data
from nucleoscope.evaluate.data import Pair as Pair
from nucleoscope.evaluate.metrics.metric import Metric as Metric
