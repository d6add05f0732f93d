"""Exact and fast explanations of genomic deep-learning models.

`saturation_mutagenesis(model, X)` scores every base; `plan(model, X)` says what that will take.
`scan(model, genome, regions, out)` takes a method over a genome.
"""

from importlib.metadata import version as _version

from nucleoscope.methods.mutagenesis import Disagreement as Disagreement
from nucleoscope.methods.mutagenesis import NaiveFallback as NaiveFallback
from nucleoscope.methods.mutagenesis import Untraceable as Untraceable
from nucleoscope.methods.mutagenesis import plan as plan
from nucleoscope.methods.mutagenesis import saturation_mutagenesis as saturation_mutagenesis
from nucleoscope.methods.seqlets import seqlets as seqlets
from nucleoscope.result import Attribution as Attribution
from nucleoscope.result import Check as Check
from nucleoscope.scan.run import Scan as Scan
from nucleoscope.scan.run import scan as scan  # the function, where the folder's name would stand
from nucleoscope.seqlet_table import Seqlets as Seqlets

__version__ = _version("nucleoscope")
__all__ = [
    "Attribution",
    "Check",
    "Disagreement",
    "NaiveFallback",
    "Scan",
    "Seqlets",
    "Untraceable",
    "plan",
    "saturation_mutagenesis",
    "scan",
    "seqlets",
]


def __dir__() -> list[str]:
    return __all__
