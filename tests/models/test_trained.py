"""Published weights do what is published of them: the port and the loader are the model that was trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nucleoscope.demo import load_sequence
from nucleoscope.models import Borzoi, M6AFormer, MPRADragoNN, load_ci_spliceai, load_weights
from tests.models.real_data import MINI_BORZOI, element, folder, wheel, windows

DATA = "NUCLEOSCOPE_DATA"


def one_hot(bases: str) -> Tensor:
    return torch.tensor([[[base == letter for base in bases] for letter in "ACGT"]]).float()


@pytest.mark.slow
def test_mini_borzoi_on_its_held_out_windows() -> None:
    stored = folder(DATA, "mini-Borzoi") / "models" / "mini_borzoi"
    net = load_weights(Borzoi(geometry=MINI_BORZOI), stored / "model.h5")
    made, measured = [], []
    with torch.inference_mode():
        for path in sorted((stored / "tfrecords").glob("*.tfr")):
            for X, tracks in windows(path):
                made.append(net(X[None])["human"][0])
                measured.append(tracks)
    a, b = torch.cat(made, 1).numpy(), torch.cat(measured, 1).numpy()
    r = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    assert round(float(np.mean(r)), 2) == 0.41
    assert round(float(np.max(r)), 2) == 0.93


@pytest.mark.slow
def test_mpra_dragonn_on_a_saturated_promoter() -> None:
    """The windows of 145 bases that hold a variant, averaged; K562, SV40 promoter, both replicates.

    Of the variants with ten barcodes or more, as the study filters them; with all of them r is 0.59.
    """
    data = folder(DATA, "MPRA-DragoNN")
    net = load_weights(MPRADragoNN(), data / "models" / "mpra_dragonn" / "pretrained.hdf5")
    bases, measured = element(data, "F9", barcodes=10)
    total, count = np.zeros(len(measured)), np.zeros(len(measured))
    with torch.inference_mode():
        for first in range(0, len(bases) - 144, 6):
            window = bases[first : first + 145]
            inside = [i for i, (at, *_) in enumerate(measured) if 0 <= at - first < 145]
            X = one_hot(window).repeat(len(inside), 1, 1)
            for row, i in enumerate(inside):
                at, letter, _ = measured[i]
                X[row, :, at - first] = one_hot(letter)[0, :, 0]
            total[inside] += (net(X) - net(one_hot(window)))[:, 8].numpy()
            count[inside] += 1
    held = count > 0
    effects = np.array([value for *_, value in measured])
    r = np.corrcoef(total[held] / count[held], effects[held])[0, 1]
    assert round(float(r), 2) == 0.62


@pytest.mark.slow
def test_ci_spliceai_finds_the_sites_of_introns() -> None:
    nets = load_ci_spliceai(wheel("cispliceai"))
    bases = load_sequence()[1][40_000:80_000]
    with torch.inference_mode():
        acceptor, donor = torch.stack([net(one_hot(bases))[0] for net in nets]).mean(0)[1:]
    inside = bases[5000:-5000]
    donors = [inside[i + 1 : i + 3] for i in (donor > 0.5).nonzero()[:, 0].tolist()]
    acceptors = [inside[i - 2 : i] for i in (acceptor > 0.5).nonzero()[:, 0].tolist()]
    assert donors
    assert acceptors
    assert set(donors) <= {"GT", "GC"}
    assert set(acceptors) == {"AG"}


@pytest.mark.slow
def test_m6aformer_likes_its_motif(tmp_path: pytest.TempPathFactory) -> None:
    import zipfile

    inside = "m6aformer/weights_data/all_201/best_model_state_dict.pt"
    with zipfile.ZipFile(wheel("m6aformer")) as archive:
        path = archive.extract(inside, tmp_path)  # type: ignore[type-var]
    net = load_weights(M6AFormer(), path)
    bases = load_sequence()[1]
    found: dict[bool, list[int]] = {True: [], False: []}
    for at in range(100, len(bases) - 101):
        if bases[at] == "A":
            word = bases[at - 2 : at + 3]
            motif = word[0] in "AGT" and word[1] in "AG" and word[3] == "C" and word[4] in "ACT"
            found[motif].append(at)
    with torch.inference_mode():
        p = {
            motif: torch.sigmoid(
                net(torch.cat([one_hot(bases[at - 100 : at + 101]) for at in sites[::50][:60]]))
            ).mean()
            for motif, sites in found.items()
        }
    assert p[True] > 3 * p[False]
