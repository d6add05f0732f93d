"""The benchmark of explainers: which explanation of which model is right, and by how much."""

from nucleoscope.evaluate import metrics as metrics
from nucleoscope.evaluate.background import Background as Background
from nucleoscope.evaluate.case import Case as Case
from nucleoscope.evaluate.case import Explained as Explained
from nucleoscope.evaluate.data import Data as Data
from nucleoscope.evaluate.data import Pair as Pair
from nucleoscope.evaluate.explainers import Explainer as Explainer
from nucleoscope.evaluate.explainers import ours as ours
from nucleoscope.evaluate.metrics.metric import Metric as Metric
from nucleoscope.evaluate.others import of_captum as of_captum
from nucleoscope.evaluate.others import of_shap as of_shap
from nucleoscope.evaluate.others import of_tangermeme as of_tangermeme
from nucleoscope.evaluate.quality import Quality as Quality
from nucleoscope.evaluate.results import Results as Results
from nucleoscope.evaluate.run import run as run
from nucleoscope.evaluate.summary import agreement as agreement
from nucleoscope.evaluate.summary import agreement_between as agreement_between
from nucleoscope.evaluate.summary import means as means
