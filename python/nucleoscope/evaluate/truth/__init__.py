"""Ground truth at three levels: models written down, networks trained on simulated sequence, measured biology."""

from nucleoscope.evaluate.truth.analytic import ANALYTIC as ANALYTIC
from nucleoscope.evaluate.truth.analytic import analytic as analytic
from nucleoscope.evaluate.truth.brca2 import brca2 as brca2
from nucleoscope.evaluate.truth.kircher import kircher as kircher
from nucleoscope.evaluate.truth.m6a import m6a as m6a
from nucleoscope.evaluate.truth.simulate import Motif as Motif
from nucleoscope.evaluate.truth.simulate import consensus_motifs as consensus_motifs
from nucleoscope.evaluate.truth.simulate import jaspar_motifs as jaspar_motifs
from nucleoscope.evaluate.truth.simulate import simulate as simulate
from nucleoscope.evaluate.truth.splice import splice_donors as splice_donors
from nucleoscope.evaluate.truth.trained import Trained as Trained
from nucleoscope.evaluate.truth.trained import shipped_networks as shipped_networks
from nucleoscope.evaluate.truth.trained import simulated as simulated
from nucleoscope.evaluate.truth.trained import trained as trained

__all__ = [
    "ANALYTIC",
    "Motif",
    "Trained",
    "analytic",
    "brca2",
    "consensus_motifs",
    "jaspar_motifs",
    "kircher",
    "m6a",
    "shipped_networks",
    "simulate",
    "simulated",
    "splice_donors",
    "trained",
]
