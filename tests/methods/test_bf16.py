"""precision="bf16" and "tf32": how far they are off, that they say so, and where they are refused."""

from __future__ import annotations

import pytest
import torch

from nucleoscope import _C, saturation_mutagenesis
from nucleoscope.ops import has_bf16
from tests.nets import ZOO, kept
from tests.ops.rows import instruction_set
from tests.parts import sequences

needs_bf16 = pytest.mark.skipif(
    "v4_bf16" not in _C.available_isas(), reason="this processor has not AVX512_BF16"
)


@needs_bf16
@pytest.mark.parametrize("name", ["bpnet", "basset", "splice", "squeeze_excite"])
def test_bf16_is_near_fp32_and_says_what_it_is(name: str) -> None:
    model, (_, length, target, _) = kept(name), ZOO[name]
    X = sequences(2, length)
    exact = saturation_mutagenesis(model, X, target=target, hypothetical=True)
    near = saturation_mutagenesis(model, X, target=target, hypothetical=True, precision="bf16")
    gap = (near.scores - exact.scores).abs().max() / exact.scores.abs().max()
    assert 0 < gap < 0.03
    assert near.scores.dtype == torch.float32
    assert "bfloat16" in str(near.facts["precision"])
    assert near.checks[0].passed
    again = saturation_mutagenesis(model, X, target=target, hypothetical=True)
    assert torch.equal(again.scores, exact.scores)  # the packed weights of both are kept apart


def test_bf16_is_refused_where_it_is_no_faster() -> None:
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    with instruction_set("base"):
        assert not has_bf16()
        with pytest.raises(ValueError, match=r"precision='bf16'.*AVX512_BF16.*use 'fp32'"):
            saturation_mutagenesis(model, sequences(1, length), precision="bf16")


def test_tf32_is_refused_where_there_is_none() -> None:
    model, (_, length, _, _) = kept("bpnet"), ZOO["bpnet"]
    with pytest.raises(ValueError, match=r"precision='tf32': only a GPU.*use 'fp32'"):
        saturation_mutagenesis(model, sequences(1, length), precision="tf32")
