"""The fixture that other tests lean on: memory that the package leaves unwritten is seen."""

from typing import Any

import pytest
import torch


def allocate_as(module: str, expression: str) -> torch.Tensor:
    found: dict[str, Any] = {"__name__": module, "torch": torch}
    exec(f"out = {expression}", found)
    out = found["out"]
    assert isinstance(out, torch.Tensor)
    return out


@pytest.mark.usefixtures("poisoned_empty")
@pytest.mark.parametrize(
    "expression",
    ["torch.empty(9)", "torch.empty_like(torch.ones(9))", "torch.ones(1).new_empty(9)"],
)
def test_what_the_package_allocates_is_poisoned(expression: str) -> None:
    assert allocate_as("nucleoscope.ops.made_up", expression).isnan().all()


@pytest.mark.usefixtures("poisoned_empty")
def test_integers_are_poisoned_too() -> None:
    out = allocate_as("nucleoscope", "torch.empty(9, dtype=torch.int32)")
    assert (out == torch.iinfo(torch.int32).min).all()


def test_what_others_allocate_is_left_alone(request, monkeypatch) -> None:
    monkeypatch.setattr(torch, "empty", torch.zeros)  # so that what comes back is known
    request.getfixturevalue("poisoned_empty")
    assert (allocate_as("torch.made_up", "torch.empty(9)") == 0).all()
    assert allocate_as("nucleoscope.made_up", "torch.empty(9)").isnan().all()
