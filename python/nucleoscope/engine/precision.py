"""What deltas are multiplied in, where that is to be had, and how far off it may be."""

from __future__ import annotations

import torch

from nucleoscope.ops import has_bf16

# What the effects may be off by, of the largest one. Float32's is measured: sums of hundreds of products.
# With shorter factors a delta and its weights are rounded once a layer, and the layers' errors add: on
# random and on trained nets the worst effect is off by up to 5 unit roundoffs (bfloat16, 2 % on Factorized
# Basset), the rms over all by 0.8 to 1. Both get 12.8 of theirs: 5 % and 0.63 %.
ROUNDINGS = 12.8
ALLOWED = {"fp32": 2e-5, "fp64": 2e-5, "tf32": ROUNDINGS * 2.0**-11, "bf16": ROUNDINGS * 2.0**-8}

# How a result names them.
SAYS = {"tf32": "float32, products of TF32", "bf16": "float32, products of bfloat16"}


def check(precision: str, place: torch.device) -> None:
    """Refuse a precision that a device has no faster products for."""
    if precision == "tf32" and place.type != "cuda":
        raise ValueError(
            f"precision='tf32': only a GPU multiplies TF32, and this is computed on {place}; use 'fp32', or "
            "device='cuda'"
        )
    if precision == "bf16" and place.type not in ("cpu", "cuda"):
        raise ValueError(f"precision='bf16': there is no such kernel for {place.type}; use 'fp32'")
    if precision == "bf16" and place.type == "cpu" and not has_bf16():
        raise ValueError(
            "precision='bf16': this processor, or the instruction set that NUCLEOSCOPE_ISA names, has not "
            "AVX512_BF16, and without it bfloat16 is no faster; use 'fp32'"
        )
