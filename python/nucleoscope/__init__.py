"""Exact and fast explanations of genomic deep-learning models.

`saturation_mutagenesis(model, X)` scores every base; `plan(model, X)` says what that will take.
`variant_effect`, `substitution_effect`, `ablate`, `marginalize`, `space` and `pairwise` ask about edits.
`scan(model, genome, regions, out)` takes a method over a genome, `variants(model, genome, vcf, out)` over a VCF.
"""

from importlib.metadata import version as _version

from nucleoscope import diagnostics as diagnostics
from nucleoscope import targets as targets
from nucleoscope.diagnostics.card import Card as Card
from nucleoscope.diagnostics.card import card as card
from nucleoscope.effects import Effects as Effects
from nucleoscope.effects import Pairs as Pairs
from nucleoscope.methods.attention.attention_maps import attention_maps as attention_maps
from nucleoscope.methods.attention.attention_relevance import (
    attention_relevance as attention_relevance,
)
from nucleoscope.methods.attention.attention_rollout import attention_rollout as attention_rollout
from nucleoscope.methods.attention.far_regions import distance_profile as distance_profile
from nucleoscope.methods.attention.far_regions import far_regions as far_regions
from nucleoscope.methods.dinucleotide_shuffle import dinucleotide_shuffle as dinucleotide_shuffle
from nucleoscope.methods.distal_scores import distal_scores as distal_scores
from nucleoscope.methods.edits.ablate import ablate as ablate
from nucleoscope.methods.edits.linear_trunk import LinearTrunk as LinearTrunk
from nucleoscope.methods.edits.marginalize import marginalize as marginalize
from nucleoscope.methods.edits.pairwise import pairwise as pairwise
from nucleoscope.methods.edits.profile_effect import profile_effect as profile_effect
from nucleoscope.methods.edits.saturation_mutagenesis import Disagreement as Disagreement
from nucleoscope.methods.edits.saturation_mutagenesis import NaiveFallback as NaiveFallback
from nucleoscope.methods.edits.saturation_mutagenesis import Untraceable as Untraceable
from nucleoscope.methods.edits.saturation_mutagenesis import UntracedFunc as UntracedFunc
from nucleoscope.methods.edits.saturation_mutagenesis import plan as plan
from nucleoscope.methods.edits.saturation_mutagenesis import (
    saturation_mutagenesis as saturation_mutagenesis,
)
from nucleoscope.methods.edits.space import space as space
from nucleoscope.methods.edits.substitution_effect import substitution_effect as substitution_effect
from nucleoscope.methods.edits.variant_effect import variant_effect as variant_effect
from nucleoscope.methods.gradients.deep_lift_shap import deep_lift_shap as deep_lift_shap
from nucleoscope.methods.gradients.expected_gradients import (
    expected_gradients as expected_gradients,
)
from nucleoscope.methods.gradients.gradient_plan import GradientPlan as GradientPlan
from nucleoscope.methods.gradients.gradient_plan import plan_gradients as plan_gradients
from nucleoscope.methods.gradients.input_x_gradient import input_x_gradient as input_x_gradient
from nucleoscope.methods.gradients.integrated_gradients import NotConverged as NotConverged
from nucleoscope.methods.gradients.integrated_gradients import (
    integrated_gradients as integrated_gradients,
)
from nucleoscope.methods.gradients.saliency import saliency as saliency
from nucleoscope.methods.gradients.smooth_grad import smooth_grad as smooth_grad
from nucleoscope.methods.seqlets.seqlets import seqlets as seqlets
from nucleoscope.methods.tracks.deletion_screen import Deletions as Deletions
from nucleoscope.methods.tracks.deletion_screen import deletion_screen as deletion_screen
from nucleoscope.methods.tracks.modal_attributions import modal_attributions as modal_attributions
from nucleoscope.methods.tracks.modal_result import ModalAttribution as ModalAttribution
from nucleoscope.methods.tracks.track_edits import Erase as Erase
from nucleoscope.methods.tracks.track_edits import Put as Put
from nucleoscope.methods.tracks.track_edits import SetNumber as SetNumber
from nucleoscope.methods.tracks.track_edits import Swap as Swap
from nucleoscope.methods.tracks.track_effect import track_effect as track_effect
from nucleoscope.result import Attribution as Attribution
from nucleoscope.result import Check as Check
from nucleoscope.scan.run import Scan as Scan
from nucleoscope.scan.run import scan as scan  # the function, where the folder's name would stand
from nucleoscope.scan.variants.run import variants as variants
from nucleoscope.seqlet_table import Seqlets as Seqlets

__version__ = _version("nucleoscope")
__all__ = [
    "Attribution",
    "Card",
    "Check",
    "Deletions",
    "Disagreement",
    "Effects",
    "Erase",
    "GradientPlan",
    "LinearTrunk",
    "ModalAttribution",
    "NaiveFallback",
    "NotConverged",
    "Pairs",
    "Put",
    "Scan",
    "Seqlets",
    "SetNumber",
    "Swap",
    "Untraceable",
    "UntracedFunc",
    "ablate",
    "attention_maps",
    "attention_relevance",
    "attention_rollout",
    "card",
    "deep_lift_shap",
    "deletion_screen",
    "diagnostics",
    "dinucleotide_shuffle",
    "distal_scores",
    "distance_profile",
    "expected_gradients",
    "far_regions",
    "input_x_gradient",
    "integrated_gradients",
    "marginalize",
    "modal_attributions",
    "pairwise",
    "plan",
    "plan_gradients",
    "profile_effect",
    "saliency",
    "saturation_mutagenesis",
    "scan",
    "seqlets",
    "smooth_grad",
    "space",
    "substitution_effect",
    "targets",
    "track_effect",
    "variant_effect",
    "variants",
]


def __dir__() -> list[str]:
    return __all__
