"""The benchmark of explainers: which explanation of which model is right, and by how much."""

from nucleoscope.evaluate.data import Data as Data
from nucleoscope.evaluate.data import Pair as Pair
