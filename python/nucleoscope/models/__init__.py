"""Architectures of the field, one a file, in plain torch: what nucleoscope explains.

Each is made with its published geometry, and with a small one of the same graph for ``small=True``; weights are
random, or a published file's by `load_weights`. `CATALOG` holds what is published of each. Beside them lies what
only some kinds of model can be asked: motifs of filters, terms of an ontology, sums of effects.
"""

from nucleoscope.models.additive import base_contributions, channel_effects
from nucleoscope.models.basset import Basset
from nucleoscope.models.beluga import Beluga
from nucleoscope.models.borzoi import Borzoi
from nucleoscope.models.bpnet import BPNet, BPNetOriginal
from nucleoscope.models.c_origami import COrigami
from nucleoscope.models.catalog import CATALOG
from nucleoscope.models.chrom_bpnet import ChromBPNet
from nucleoscope.models.danq import DanQ
from nucleoscope.models.dcell import DCell, DrugCell
from nucleoscope.models.deep_cre import DeepCRE
from nucleoscope.models.deep_sea import DeepSEA
from nucleoscope.models.deep_starr import DeepSTARR
from nucleoscope.models.enformer import Enformer
from nucleoscope.models.epibert import EpiBERT
from nucleoscope.models.factorized_basset import FactorizedBasset
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.kernel_motifs import canonical, filter_influence, kernel_motifs
from nucleoscope.models.knock_outs import knock_outs
from nucleoscope.models.known_motifs import read_meme, tomtom
from nucleoscope.models.loading import load_ci_spliceai, load_weights
from nucleoscope.models.m6aformer import M6AFormer
from nucleoscope.models.mpra_dragonn import MPRADragoNN
from nucleoscope.models.obo import read_obo
from nucleoscope.models.ontology import Ontology, ontology, read_dcell
from nucleoscope.models.puffin import Puffin
from nucleoscope.models.puffin_d import PuffinD
from nucleoscope.models.receptive_motifs import receptive_motifs
from nucleoscope.models.splice_ai import SpliceAI
from nucleoscope.models.splice_net import SpliceNet, SpliceSiteCount
from nucleoscope.models.term_contributions import term_contributions
from nucleoscope.models.topology import read_gennet
from nucleoscope.models.transparent import rlipp

__all__ = [
    "CATALOG",
    "BPNet",
    "BPNetOriginal",
    "Basset",
    "Beluga",
    "Borzoi",
    "COrigami",
    "ChromBPNet",
    "DCell",
    "DanQ",
    "DeepCRE",
    "DeepSEA",
    "DeepSTARR",
    "DrugCell",
    "Enformer",
    "EpiBERT",
    "FactorizedBasset",
    "GenNet",
    "M6AFormer",
    "MPRADragoNN",
    "Ontology",
    "Puffin",
    "PuffinD",
    "SpliceAI",
    "SpliceNet",
    "SpliceSiteCount",
    "base_contributions",
    "canonical",
    "channel_effects",
    "filter_influence",
    "kernel_motifs",
    "knock_outs",
    "load_ci_spliceai",
    "load_weights",
    "ontology",
    "read_dcell",
    "read_gennet",
    "read_meme",
    "read_obo",
    "receptive_motifs",
    "rlipp",
    "term_contributions",
    "tomtom",
]
