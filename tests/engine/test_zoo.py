"""Whole nets of the field: the engine gives what the definition gives, in float64 and float32."""

from __future__ import annotations

import pytest
import torch

from tests.nets import ZOO, channels_last, controlled, kept
from tests.parts import lively, sequences
from tests.truth import assert_exact


@pytest.mark.parametrize("name", ZOO)
def test_net(name: str) -> None:
    _, length, target, local = ZOO[name]
    assert_exact(kept(name), sequences(2, length), target=target, local=local)


@pytest.mark.parametrize("name", ["bpnet", "splice", "strands", "squeeze_excite"])
def test_unknown_bases_and_a_range(name: str) -> None:
    _, length, target, _ = ZOO[name]
    X = sequences(2, length)
    X[0, :, 11:14] = 0
    X[1, :, 9] = 0.25
    X[1, :, 20] = torch.tensor([0.5, 0, 0.5, 0])
    assert_exact(kept(name), X, target=target, start=8, end=25)


def test_channels_last() -> None:
    assert_exact(
        lively(channels_last(30)), sequences(2, 30, layout="NLC"), layout="NLC", local=True
    )


@pytest.mark.parametrize("how", ["concat", "add", "multiply"])
def test_a_control_track(how: str) -> None:
    control = torch.randn(3, 2, 33)
    assert_exact(lively(controlled(33, how)), sequences(3, 33), (control,), local=True)
