"""Exact and fast explanations of genomic deep-learning models.

`saturation_mutagenesis(model, X)` scores every base; `plan(model, X)` says what that will take.
"""

from importlib.metadata import version as _version

from nucleoscope import targets as targets
from nucleoscope.methods.mutagenesis import Disagreement as Disagreement
from nucleoscope.methods.mutagenesis import NaiveFallback as NaiveFallback
from nucleoscope.methods.mutagenesis import Untraceable as Untraceable
from nucleoscope.methods.mutagenesis import UntracedFunc as UntracedFunc
from nucleoscope.methods.mutagenesis import plan as plan
from nucleoscope.methods.mutagenesis import saturation_mutagenesis as saturation_mutagenesis
from nucleoscope.methods.seqlets import seqlets as seqlets
from nucleoscope.result import Attribution as Attribution
from nucleoscope.result import Check as Check
from nucleoscope.seqlet_table import Seqlets as Seqlets

__version__ = _version("nucleoscope")
__all__ = [
    "Attribution",
    "Check",
    "Disagreement",
    "NaiveFallback",
    "Seqlets",
    "Untraceable",
    "UntracedFunc",
    "plan",
    "saturation_mutagenesis",
    "seqlets",
    "targets",
]


def __dir__() -> list[str]:
    return __all__
