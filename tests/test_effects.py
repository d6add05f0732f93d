"""Results on edits go to files and come back whole; what is no such file is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nucleoscope import Attribution, Effects, Pairs
from nucleoscope.result import Check

CHECKS = (Check("verification", True, "2 edits"),)
FACTS = {"method": "made up", "target": "1", "edits": 6}


def effects() -> Effects:
    return Effects(torch.randn(2, 3), torch.randn(2, 1), ("sequence", "edit"), FACTS, CHECKS)


def pairs() -> Pairs:
    axes = ("sequence", "letter", "site", "letter", "site")
    made = torch.randn(1, 4, 3, 4, 3, dtype=torch.float64)
    return Pairs(made, torch.randn(1, 4, 3), torch.randn(1), "ACGT", 7, axes, FACTS, CHECKS)


def test_effects_come_back(tmp_path: Path) -> None:
    made = effects()
    back = Effects.load(made.save(tmp_path / "effects.npz"))
    assert torch.equal(back.changes, made.changes)
    assert torch.equal(back.after, made.after)
    assert (back.axes, back.facts, back.checks) == (made.axes, made.facts, made.checks)


def test_pairs_come_back(tmp_path: Path) -> None:
    made = pairs()
    back = Pairs.load(made.save(str(tmp_path / "pairs.npz")))
    for name in ("interactions", "singles", "original"):
        was, now = getattr(made, name), getattr(back, name)
        assert torch.equal(was, now)
        assert was.dtype == now.dtype
    assert (back.axes, back.alphabet, back.start) == (made.axes, "ACGT", 7)
    assert repr(back) == repr(made)


@pytest.mark.parametrize(("kind", "made"), [(Effects, effects), (Pairs, pairs)])
def test_what_is_no_such_file_is_named(
    kind: type[Effects | Pairs], made: Callable[[], Effects | Pairs], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"is saved as \.npz"):
        made().save(tmp_path / "effects.csv")
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", changes=np.zeros(3))
    whole = made().save(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "pickled.npz", facts=pickled, allow_pickle=True)
    for name in ("other", "cut", "pickled"):
        with pytest.raises(ValueError, match=f"{name}.npz' is not a result on"):
            kind.load(tmp_path / f"{name}.npz")
    for wrong in {Effects, Pairs, Attribution} - {kind}:
        with pytest.raises(ValueError, match="that was saved, or it is damaged"):
            wrong.load(tmp_path / "whole.npz")
