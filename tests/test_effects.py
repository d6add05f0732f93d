"""Results on edits go to files and come back whole; what is no such file is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def attribution() -> Attribution:
    axes = ("sequence", "letter", "site")
    return Attribution(torch.randn(1, 4, 3), axes, "ACGT", 7, torch.randn(1, 1), FACTS, CHECKS)


@pytest.mark.parametrize(
    "made", [effects(), pairs(), attribution()], ids=lambda made: type(made).__name__
)
def test_a_file_of_another_kind_says_which_and_who_reads_it(
    made: Attribution | Effects | Pairs, tmp_path: Path
) -> None:
    kind = type(made)
    file = made.save(tmp_path / "whole.npz")
    assert repr(kind.load(file)) == repr(made)
    wrong: Any
    for wrong in {Effects, Pairs, Attribution} - {kind}:
        said = f"whole.npz' is not .*: it holds {kind.__name__}; read it by {kind.__name__}.load"
        with pytest.raises(ValueError, match=said):
            wrong.load(file)


def test_what_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "deeper"
    with pytest.raises(FileNotFoundError, match=r"make it first: '.*/absent/deeper'$"):
        effects().save(absent / "effects.npz")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"'.*/file/effects.npz'$"):
        effects().save(tmp_path / "file" / "effects.npz")
    long = "x" * 250 + ".npz"  # fits, but not with what is added until it is whole
    with pytest.raises(OSError, match=f"'.*/{long}'$"):
        effects().save(tmp_path / long)
    assert not list(tmp_path.rglob("*.partial"))
