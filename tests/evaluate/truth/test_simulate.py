"""Simulated sequence: where motifs are, what labels follow from, the networks' folder, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from nucleoscope.evaluate.judging import quality
from nucleoscope.evaluate.truth import (
    consensus_motifs,
    jaspar_motifs,
    shipped_networks,
    simulate,
    simulated,
    trained,
)
from nucleoscope.evaluate.truth.__main__ import main, meme
from nucleoscope.evaluate.truth.simulate import CONSENSUS, Motif

MOTIFS = consensus_motifs()
HOW = sys.modules["nucleoscope.evaluate.truth.trained"]


def test_motifs_lie_where_the_mask_says() -> None:
    """Of matrices that are certain: the consensus stands at every planted stretch, and nothing else is marked."""
    certain = [Motif(m.name, (m.probabilities > 0.5).double()) for m in MOTIFS]
    data, odds = simulate(certain, 60, 120, seed=3)
    assert data.planted is not None
    assert data.pairs is not None
    both = {pair.sequence for pair in data.pairs}
    for n in range(60):
        bases = "".join("ACGT"[i] for i in data.X[n].argmax(0))
        length = int(data.planted[n].sum())
        marked = data.planted[n].nonzero()[:, 0].tolist()
        there = [m for m in CONSENSUS if any(bases[i:].startswith(m) for i in marked)]
        assert length == sum(map(len, there))
        assert (n in both) == (len(there) == 3)
        a, b, c = (m in there for m in CONSENSUS)
        assert float(odds[n]) == -3 + 2 * a + 2 * b + 3 * (a and b) + 2 * c
    told = {(p.first[1] - p.first[0], p.second[1] - p.second[0]) for p in data.pairs if p.interacts}
    assert told == {(len(CONSENSUS[0]), len(CONSENSUS[1]))}


def test_labels_follow_the_odds_and_the_seed() -> None:
    data, odds = simulate(MOTIFS, 1500, 80, seed=1, bare=0.3)
    assert data.planted is None  # some sequences are bare
    assert data.labels is not None
    for value in odds.unique():
        some = data.labels[odds == value].double()
        chance = float(torch.sigmoid(value))
        assert abs(float(some.mean()) - chance) < 4 * (chance * (1 - chance) / len(some)) ** 0.5
    again, _ = simulate(MOTIFS, 1500, 80, seed=1, bare=0.3)
    assert torch.equal(again.X, data.X)
    assert not torch.equal(simulate(MOTIFS, 1500, 80, seed=2, bare=0.3)[0].X, data.X)


def test_bad_grammars() -> None:
    with pytest.raises(ValueError, match="the grammar has three"):
        simulate(MOTIFS[:2], 10)
    with pytest.raises(ValueError, match="count=3"):
        simulate(MOTIFS, 3)
    with pytest.raises(ValueError, match="length=50"):
        simulate(MOTIFS, 10, 50)


def test_jaspar(nucleoscope_data: Path) -> None:
    path = str(nucleoscope_data / "motifs" / "JASPAR2024_CORE_human.meme.gz")
    found = jaspar_motifs(path)
    assert [m.probabilities.shape[0] for m in found] == [4, 4, 4]
    newer = jaspar_motifs(path, ["MA0139.9 CTCF"])[0]
    assert torch.equal(newer.probabilities, found[1].probabilities)
    with pytest.raises(ValueError, match="no motif 'MA9999'"):
        jaspar_motifs(path, ["MA9999"])


def test_networks_are_trained_once_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HOW, "HELD_OUT", 100)
    first = trained(tmp_path, seeds=[4], training=64, epochs=1)[0]
    monkeypatch.setattr(HOW, "train", None)
    again = trained(tmp_path, seeds=[4], training=64, epochs=1)[0]
    assert torch.equal(first.model(first.data.X), again.model(again.data.X))
    assert first.quality == again.quality == again.data.quality
    model, data = simulated(tmp_path, seed=4, training=64, epochs=1)
    assert torch.equal(model(data.X), again.model(again.data.X))
    assert first.ceiling > 0.75
    assert first.data.planted is not None
    (told,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert (told["seed"], told["measure"], told["training"]) == (4, "AUROC", 64)
    with np.load(next(tmp_path.glob("*.npz")), allow_pickle=False) as arrays:
        assert "head.weight" in arrays.files
    with pytest.raises(TypeError, match="not callable"):
        trained(tmp_path, seeds=[5], training=64, epochs=1)  # another request is another network
    with pytest.raises(ValueError, match="one at least"):
        trained(tmp_path, seeds=[])


def test_matrices_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "m.meme").write_text(meme(MOTIFS))
    back = jaspar_motifs(str(tmp_path / "m.meme"), [m.name for m in MOTIFS])
    for old, new in zip(MOTIFS, back, strict=True):
        torch.testing.assert_close(new.probabilities, old.probabilities, rtol=0, atol=5e-7)


def test_shipped_networks_are_as_good_as_they_say() -> None:
    """Five of them; the stated AUROC is that of held-out sequences made anew."""
    motifs = jaspar_motifs(str(shipped_networks() / "motifs.meme"))
    said = []
    for seed in range(5):
        model, data = simulated(seed=seed, count=8)
        assert data.X.shape == (8, 4, 200)
        assert data.quality is not None
        assert data.quality.passed
        said.append(data.quality.value)
        if seed == 3:
            held, _ = simulate(motifs, 1000, 200, seed=3 * seed + 1, bare=0.3)
            found = quality(model, held)
            assert found is not None
            assert found.value == pytest.approx(data.quality.value, abs=1e-4)
    assert len(set(said)) == 5
    for wrong in ({"seed": 5}, {"epochs": 3}, {"jaspar": "other"}):
        with pytest.raises(ValueError, match="five networks are shipped"):
            simulated(**wrong)


@pytest.mark.slow
def test_networks_learn_the_grammar(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(tmp_path), "--seeds", "1"])
    assert done.exit_code == 0, done.output
    (told,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert told["low"] > 0.7
    assert told["value"] < told["ceiling"] + 0.02
    assert "that can be reached" in done.output
