"""Whether a model is smooth along a path, read off the graph that autograd kept of one forward."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

# Functions of autograd's graph that have every derivative where a sequence can lead them. What is not
# here is taken for one that has not: a smooth net integrated by midpoints is less exact than it could
# be, and says so; one with kinks that is taken for smooth would be trusted too far.
SMOOTH = frozenset(
    """
    AccumulateGrad AdaptiveAvgPool1D AdaptiveAvgPool2D Add Addbmm Addcdiv Addcmul Addmm Addmv Alias
    AsStrided AvgPool1D AvgPool2D Baddbmm Bmm Cat Clone ConstantPadNd Convolution CopySlices Copy Cos
    Cosh CudnnBatchNorm CudnnConvolution CudnnRnn Cumsum Diagonal Div Dot Erf Erfc Exp Expand Expm1
    FftC2C FftC2R FftR2C Flip FusedRmsNorm Gather Gelu Glu Index IndexSelect Lerp Linear Log Log1P
    LogSigmoid LogSoftmax Logaddexp Logit Logsumexp MaskedFill Mean Mish MkldnnConvolution MkldnnLinear
    MkldnnRnnLayer Mm Mul Mv NativeBatchNorm NativeGroupNorm NativeLayerNorm Neg Permute Polar Pow Prod
    Reciprocal ReflectionPad1D Repeat ReplicationPad1D ReshapeAlias Roll Rsqrt Rsub SafeSoftmax
    ScaledDotProductCudnnAttention ScaledDotProductEfficientAttention ScaledDotProductFlashAttention
    ScaledDotProductFlashAttentionForCpu ScaledDotProductFusedAttentionOverrideable Select Sigmoid Silu
    Sin Sinh Slice Softmax Softplus Split SplitWithSizes Sqrt Squeeze Stack Std Sub Sum T Tanh ToCopy
    Transpose Tril Triu Unbind Unfold UnsafeSplit UnsafeView Unsqueeze UpsampleLinear1D
    UpsampleNearest1D UpsampleNearest2D Var VarMean View ViewAsComplex ViewAsReal WeightNormInterface
    """.split()  # noqa: SIM905 (it reads as prose)
)
# Those whose derivative is 0 wherever there is one.
FLAT = frozenset({"Ceil", "Floor", "Round", "Sgn", "Sign", "Trunc"})


def functions(output: Tensor) -> Iterator[Any]:
    """Every function of autograd's graph behind a tensor, each once."""
    waiting, seen = [output.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [before for before, _ in node.next_functions]


def names(output: Tensor) -> set[str]:
    """What autograd calls the functions behind a tensor: Relu, Convolution."""
    return {name(each) for each in functions(output)}


def name(function: Any) -> str:
    """What autograd calls a function of its graph, without the ending that all have."""
    return re.sub(r"Backward\d*$", "", function.name().rpartition("::")[2])


def kinks(found: set[str]) -> list[str]:
    """Which of them may have kinks or jumps: ReLU, max-pool, and whatever is not known to be smooth."""
    return sorted(found - SMOOTH)
