"""An attribution as xarray, AnnData and TF-MoDISco take it."""

from __future__ import annotations

import builtins
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nucleoscope import Attribution

LETTERS = torch.tensor([[0, 1, 2, 3, 3, 2, 1], [1, 1, 0, 0, 2, 2, 3]])
HELD = torch.nn.functional.one_hot(LETTERS, 4).mT.to(torch.int8)
PLACES = [
    {"chromosome": "chr1", "start": 5, "end": 40},
    {"chromosome": "chr2", "start": 0, "end": 35},
]


@pytest.fixture
def made() -> Attribution:
    """Two sequences, three targets, sites 11 to 18, all letters scored."""
    facts = {"hypothetical": True, "center": "mean", "regions": PLACES}
    axes = ("sequence", "target", "letter", "site")
    return Attribution(
        torch.randn(2, 3, 4, 7), axes, "ACGT", 11, torch.randn(2, 3), facts, (), HELD
    )


def single(made: Attribution, **facts: Any) -> Attribution:
    return dataclasses.replace(
        made,
        scores=made.scores[:, 0],
        axes=("sequence", "letter", "site"),
        facts=made.facts | facts,
    )


def test_scores_by_target(made: Attribution) -> None:
    for target in range(3):
        scores = made.scores[:, target]
        observed = scores.gather(1, LETTERS[:, None])[:, 0]
        torch.testing.assert_close(made.observed(target), observed)
        torch.testing.assert_close(made.substitutions(target), scores - observed[:, None])
    with pytest.raises(IndexError, match="target=3: this attribution has 3 targets"):
        made.observed(3)
    with pytest.raises(IndexError, match="target=1: this attribution has one target, 0"):
        single(made).of_target(1)
    with pytest.raises(ValueError, match="do not say which letters are there"):
        dataclasses.replace(made, sequences=None).observed()
    with pytest.raises(ValueError, match="sequences and sites are needed"):
        Attribution(torch.zeros(2, 3), ("head", "site"), "ACGT", 0, torch.zeros(1)).observed()


def test_sequences_are_saved_and_old_files_are_read(made: Attribution, tmp_path: Path) -> None:
    back = Attribution.load(made.save(tmp_path / "a.npz"))
    assert back.sequences is not None
    assert torch.equal(back.sequences, HELD)
    old = dataclasses.replace(made, sequences=None)
    assert Attribution.load(old.save(tmp_path / "b.npz")).sequences is None


def test_xarray(made: Attribution) -> None:
    pytest.importorskip(
        "xarray", reason="xarray is not installed: pip install 'nucleoscope[xarray]'"
    )
    got = made.to_xarray()
    assert got["scores"].dims == made.axes
    at = got["scores"].sel(letter="G", site=13).values
    np.testing.assert_array_equal(at, made.scores[:, :, 2, 2])
    np.testing.assert_array_equal(got["original"], made.original)
    np.testing.assert_array_equal(got["sequences"], HELD)
    assert json.loads(got.attrs["facts"])["center"] == "mean"
    one = dataclasses.replace(single(made), original=torch.tensor([[1.0], [2.0]])).to_xarray()
    assert one["original"].dims == ("sequence",)
    named = dataclasses.replace(made, facts=made.facts | {"targets": ["x", "y", "z"]}).to_xarray()
    np.testing.assert_array_equal(named["scores"].sel(target="y"), made.scores[:, 1])


def beside(made: Attribution) -> Attribution:
    """With all that may come with scores."""
    bars = {"error_bar": torch.rand(2, 3), "gap": torch.rand(2, 3)}
    return dataclasses.replace(
        made, spread=torch.rand(2, 3, 4, 7), controls=torch.rand(2, 2, 3, 4, 7), **bars
    )


def test_xarray_of_all_that_comes_with_scores(made: Attribution) -> None:
    pytest.importorskip(
        "xarray", reason="xarray is not installed: pip install 'nucleoscope[xarray]'"
    )
    full = beside(made)
    got = full.to_xarray()
    assert got["controls"].dims == ("control", *made.axes)
    for name in ("spread", "controls", "error_bar", "gap"):
        np.testing.assert_array_equal(got[name], getattr(full, name))
    bar = torch.tensor([[1.0], [2.0]])
    one = dataclasses.replace(single(made), original=bar, error_bar=bar).to_xarray()
    assert one["error_bar"].dims == ("sequence",)


@pytest.mark.filterwarnings("ignore")  # of its own dependencies, when it is imported
def test_anndata(made: Attribution, tmp_path: Path) -> None:
    pytest.importorskip(
        "anndata", reason="anndata is not installed: pip install 'nucleoscope[anndata]'"
    )
    got = made.to_anndata()
    assert got.shape == (2, 28)
    np.testing.assert_array_equal(got[:, "G13"].X[:, 0], made.scores[:, 0, 2, 2])
    np.testing.assert_array_equal(got.layers["target2"], made.scores[:, 2].flatten(1))
    np.testing.assert_array_equal(got.obsm["original"], made.original)
    assert list(got.obs["chromosome"]) == ["chr1", "chr2"]
    got.write_h5ad(tmp_path / "a.h5ad")
    whole = beside(made)
    full = whole.to_anndata()
    assert whole.spread is not None
    np.testing.assert_array_equal(full.layers["spread2"], whole.spread[:, 2].flatten(1))
    assert set(full.obsm) == {"original", "error_bar", "gap"}
    assert single(made).to_anndata().shape == (2, 28)


def test_modisco(made: Attribution, tmp_path: Path) -> None:
    sequences, scores = made.to_modisco(tmp_path / "m", target=1)
    np.testing.assert_array_equal(np.load(sequences)["arr_0"], HELD)
    np.testing.assert_array_equal(np.load(scores)["arr_0"], made.scores[:, 1])
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"ohe.npz", "shap.npz"}
    turned = dataclasses.replace(
        single(made), alphabet="TGCA", scores=made.scores[:, 0].flip(1), sequences=HELD.flip(1)
    )
    sequences, scores = turned.to_modisco(tmp_path / "t")
    np.testing.assert_array_equal(np.load(sequences)["arr_0"], HELD)
    np.testing.assert_array_equal(np.load(scores)["arr_0"], made.scores[:, 0])


def test_modisco_refuses_what_would_mislead_it(made: Attribution, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hypothetical=True"):
        single(made, hypothetical=False).to_modisco(tmp_path)
    raw = single(made, center="none")
    with pytest.raises(ValueError, match="center='mean'"):
        dataclasses.replace(raw, scores=raw.scores * (1 - HELD)).to_modisco(tmp_path)
    nothing = dataclasses.replace(made, scores=torch.zeros_like(made.scores))
    with pytest.raises(ValueError, match="no letter changes this target"):
        nothing.to_modisco(tmp_path)
    with pytest.raises(ValueError, match="NaN or infinite"):
        dataclasses.replace(made, scores=made.scores / 0).to_modisco(tmp_path)
    with pytest.raises(ValueError, match="alphabet='ACGU'"):
        dataclasses.replace(made, alphabet="ACGU").to_modisco(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["xarray", "anndata"])
def test_missing_library_is_told(
    missing: str, made: Attribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"pip install 'nucleoscope\[{missing}\]'"):
        getattr(made, f"to_{missing}")()
