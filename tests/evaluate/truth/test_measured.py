"""Measured biology: landscapes by the definition, masks against the tables, and a word for what is missing."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
import torch

from nucleoscope.evaluate.truth import brca2, kircher, m6a, splice_donors
from nucleoscope.evaluate.truth.brca2 import SITES, fit, landscape
from nucleoscope.evaluate.truth.kircher import element
from tests.models.real_data import folder

HEAD = "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"


def sites(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    letters = torch.randint(4, (count, SITES), generator=source)
    X = torch.nn.functional.one_hot(letters, 4).transpose(1, 2)
    return X.float(), torch.randn(count, generator=source).double()


def test_a_landscape_is_means_of_those_that_agree() -> None:
    X, y = sites(300)
    found = landscape(X, y, X[7])
    for subset in (0, 1, 0b101, 0b1100, 2**SITES - 1):
        kept = [k for k in range(SITES) if subset >> k & 1]
        agree = (X[:, :, kept] == X[7][:, kept]).all(1).all(1)
        assert found[subset] == pytest.approx(float(y[agree].mean()))


def test_pairs_of_letters_are_learnt_exactly() -> None:
    X, _ = sites(4000)
    y = (2 * X[:, 0, 1] - X[:, 3, 8] + 3 * X[:, 1, 2] * X[:, 2, 5]).double()
    model = fit(X, y)
    torch.testing.assert_close(model(X)[:, 0].double(), y, rtol=0, atol=0.02)


def test_brca2_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mavenn").mkdir()
    every = ["".join(s) for s in itertools.product("ACGU", repeat=5)][::2]
    rows = [
        f"{'test' if i % 3 == 0 else 'training'},1,1,{(i % 7) / 3 - 1},{s[:3]}GU{s[3:]}AC\n"
        for i, s in enumerate(every)
    ]
    with gzip.open(tmp_path / "mavenn" / "mpsa_data.csv.gz", "wt") as file:
        file.write("set,tot_ct,ex_ct,y,x\n" + "".join(rows))
    model, data = brca2(tmp_path, count=8)
    assert data.exact is not None
    assert data.labels is not None
    assert data.exact[:, [3, 4, 7, 8]].abs().max() < 1e-12  # all sites have these letters
    mean = sum((i % 7) / 3 - 1 for i in range(len(every))) / len(every)
    torch.testing.assert_close(data.exact.sum(1) + mean, data.labels, rtol=0, atol=1e-9)
    assert model(data.X).shape == (8, 1)


def test_an_element_and_what_matters_in_it(tmp_path: Path) -> None:
    lines = [
        ("10", "A", "C", 1e-9), ("10", "A", "G", 1e-6), ("11", "C", "T", 1e-9), ("13", "G", "-", 1e-9),
        (".", "G", "A", 0.0),
    ]  # fmt: skip
    path = tmp_path / "t.gz"
    with gzip.open(path, "wt") as file:
        file.write(HEAD)
        for at, ref, alt, p in lines:
            file.write(f"1\t{at}\t{ref}\t{alt}\t1\t1\t1\t0.5\t{p}\tX\tGRCh38\n")
    bases, marked, effects = element(path, "X")
    assert bases == "ACNG"
    assert marked.tolist() == [True, False, False, False]
    assert effects.isfinite().nonzero().tolist() == [[1, 0], [2, 0], [3, 1]]
    with pytest.raises(ValueError, match="'Y' is not among"):
        element(path, "Y")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUCLEOSCOPE_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set NUCLEOSCOPE_DATA"):
        kircher()
    with pytest.raises(FileNotFoundError, match="is no folder"):
        kircher(data=tmp_path / "none")
    for ask, said in (
        (lambda: kircher(data=tmp_path), "MPRA-DragoNN's weights"),
        (lambda: brca2(tmp_path), "in the package mavenn"),
        (lambda: m6a(tmp_path), "in the package m6aformer"),
        (lambda: splice_donors(tmp_path), "in the package cispliceai"),
    ):
        with pytest.raises(FileNotFoundError, match=said):
            ask()


def test_kircher(nucleoscope_data: Path) -> None:
    model, data = kircher(("F9", "LDLR"), nucleoscope_data)
    assert data.planted is not None
    assert data.X.shape[1:] == (4, 145)
    assert model(data.X).shape == (len(data), 12)
    assert data.quality is not None
    assert 0.2 < data.quality.value < 0.8
    assert data.quality.passed
    with pytest.raises(ValueError, match="step=0"):
        kircher(("F9",), nucleoscope_data, step=0)
    assert 3 <= int(data.planted.sum(1).min()) <= int(data.planted.sum(1).max()) <= 72
    with pytest.raises(ValueError, match="not among those measured"):
        kircher(("F8",), nucleoscope_data)


@pytest.mark.slow
def test_models_out_of_their_packages() -> None:
    """The wheels of m6aformer, cispliceai and mavenn, as ``pip download --no-deps`` leaves them."""
    where = folder("NUCLEOSCOPE_WHEELS", "wheels of m6aformer, cispliceai and mavenn")
    held = {path.name.split("-")[0] for path in where.iterdir()}
    if not {"m6aformer", "cispliceai", "mavenn"} <= held:
        pytest.skip("NUCLEOSCOPE_WHEELS has not the wheels of m6aformer, cispliceai and mavenn")
    model, data = m6a(where, count=4)
    assert (model(data.X) > 0).all()
    assert set(data.X[:, :, 100].argmax(1).tolist()) == {0}
    model, data = splice_donors(where, count=2)
    assert (model(data.X) > 0).all()
    assert set(data.X[:, :, 5001].argmax(1).tolist()) == {2}
    _, data = brca2(where)
    assert data.exact is not None
    assert data.exact[:, 3].abs().max() == 0  # all have G
