"""tangermeme's functions, argument for argument and number for number.

Change the import and keep the call, or hand one of them to tangermeme itself as `func=`::

    from nucleoscope.compat.tangermeme import saturation_mutagenesis
    tangermeme.marginalize.marginalize(model, X, motif, func=saturation_mutagenesis)
"""

from nucleoscope.compat.outputs import PerturbationResult as PerturbationResult
from nucleoscope.compat.outputs import (
    SaturationMutagenesisRawResult as SaturationMutagenesisRawResult,
)
from nucleoscope.compat.outputs import SpaceResult as SpaceResult
from nucleoscope.compat.tangermeme.deep_lift_shap import (
    AttributionReferencesResult as AttributionReferencesResult,
)
from nucleoscope.compat.tangermeme.deep_lift_shap import deep_lift_shap as deep_lift_shap
from nucleoscope.compat.tangermeme.deep_lift_shap import saliency as saliency
from nucleoscope.compat.tangermeme.indels import deletion_effect as deletion_effect
from nucleoscope.compat.tangermeme.indels import insertion_effect as insertion_effect
from nucleoscope.compat.tangermeme.inputs import SoftValues as SoftValues
from nucleoscope.compat.tangermeme.perturbations import ablate as ablate
from nucleoscope.compat.tangermeme.perturbations import marginalize as marginalize
from nucleoscope.compat.tangermeme.perturbations import space as space
from nucleoscope.compat.tangermeme.perturbations import (
    substitution_effect as substitution_effect,
)
from nucleoscope.compat.tangermeme.predict import predict as predict
from nucleoscope.compat.tangermeme.saturation_mutagenesis import (
    saturation_mutagenesis as saturation_mutagenesis,
)
from nucleoscope.compat.tangermeme.sequences import shuffle as shuffle
