"""captum's classes, argument for argument: change the import and keep the call.

docs/gradients.md says what is meant to differ. docs/deeplift.md says it of DeepLift and DeepLiftShap.
"""

from nucleoscope.compat.captum.deep_lift import DeepLift as DeepLift
from nucleoscope.compat.captum.deep_lift_shap import DeepLiftShap as DeepLiftShap
from nucleoscope.compat.captum.gradient_shap import GradientShap as GradientShap
from nucleoscope.compat.captum.input_x_gradient import InputXGradient as InputXGradient
from nucleoscope.compat.captum.integrated_gradients import (
    IntegratedGradients as IntegratedGradients,
)
from nucleoscope.compat.captum.layer_integrated_gradients import (
    LayerIntegratedGradients as LayerIntegratedGradients,
)
from nucleoscope.compat.captum.saliency import Saliency as Saliency
