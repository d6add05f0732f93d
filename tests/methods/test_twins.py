"""Mutagenesis by the plan that runs on a GPU, its Triton kernels interpreted on CPU tensors.

All but the device is there: the chain's launches, their order, the rows, the weights as a GPU wants them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch

from tests import nets
from tests.parts import lively, sequences
from tests.truth import assert_exact

NETS: dict[str, tuple[int, Any, set[str]]] = {  # length, target, ops that must have been launched
    "basset": (36, 1, {"edit_lookup", "delta_conv", "delta_max_pool", "delta_pointwise"}),
    "bpnet": (40, None, {"edit_lookup", "delta_conv", "delta_sum", "delta_concat"}),
    "conv_next": (24, 0, {"delta_layer_norm", "delta_pointwise", "delta_sum"}),
    "attention_pools": (24, (1, 2), {"delta_softmax_pool", "delta_pointwise"}),
    "gated": (30, 1, {"delta_product", "delta_pointwise"}),
}


@pytest.mark.usefixtures("twins")
@pytest.mark.parametrize(
    "name", [n if n == "gated" else pytest.param(n, marks=pytest.mark.slow) for n in NETS]
)
def test_the_plan_of_a_gpu_is_exact(name: str, threads: Any, monkeypatch: Any) -> None:
    threads(1)
    chain = import_module("nucleoscope.kernels.delta_chain")
    launched, launch = set(), chain._launch
    monkeypatch.setattr(
        chain, "_launch", lambda link, *rest: (launched.add(link.op), launch(link, *rest))
    )
    length, target, ops = NETS[name]
    torch.manual_seed(3)
    model = lively(getattr(nets, name)(length))
    X = sequences(1, length)
    assert_exact(model, X, target=target, local=True, start=length // 2 - 2, end=length // 2 + 1)
    assert launched >= ops, launched
