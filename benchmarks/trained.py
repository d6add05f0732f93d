"""Trained ReLU networks on natural sequences, read in place; and the same networks without training."""

from __future__ import annotations

import copy
import csv
import gzip
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.demo import load_sequence
from nucleoscope.models import M6AFormer, MPRADragoNN, SpliceNet, borzoi
from nucleoscope.models.loading import load_ci_spliceai, load_weights
from nucleoscope.scan.letters import one_hot

ELEMENTS = ("F9", "LDLR", "HBB", "HBG1")  # promoters of Kircher et al. 2019, measured base by base


@dataclass(frozen=True)
class Trained:
    """A network, sequences, sites for counting and for timing, and the layers in front of its ReLUs."""

    name: str
    model: nn.Module
    X: Tensor
    counted: range  # some sites over the middle
    timed: range
    gates: list[str]

    def with_gates_open(self) -> nn.Module:
        """The same network with each bias before a ReLU raised until no unit is ever off.

        The ReLUs stay where they are and do the same work; every delta passes all of them, so that
        there is nothing to skip. BatchNorm's statistics are taken anew: a deep net without ReLUs that
        bite overflows with the old ones.
        """
        made = copy.deepcopy(self.model)

        def raise_bias(layer: nn.Module, _given: object, out: Tensor) -> Tensor:
            constant = out.max() - 2 * out.min()  # leaves a range's width for edits to move in
            layer.bias.data += constant  # type: ignore[union-attr, operator]
            return out + constant

        gates = [made.get_submodule(name) for name in self.gates]
        for norm in (gate for gate in gates if isinstance(gate, nn.BatchNorm1d)):
            _take_anew(norm)
        hooks = [gate.register_forward_hook(raise_bias) for gate in gates]
        with torch.no_grad():
            made(self.X)
        for hook in hooks:
            hook.remove()
        return made.eval()

    def untrained(self) -> nn.Module:
        """The same network with torch's random weights, and BatchNorm's statistics of random bases."""
        made = copy.deepcopy(self.model)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d | nn.Conv1d | nn.Linear):
                module.reset_parameters()
            if isinstance(module, nn.BatchNorm1d):
                _take_anew(module)
        letters = torch.randint(0, 4, (4, self.X.shape[2]))
        with torch.no_grad():
            made(F.one_hot(letters, 4).movedim(2, 1).float())
        return made.eval()


def _take_anew(norm: nn.BatchNorm1d) -> None:
    """Let the next forward set the statistics."""
    norm.reset_running_stats()
    norm.momentum = None  # the plain average, of one batch
    norm.train()


def networks(wheel: Path | None) -> Iterator[Trained]:
    """What there is on this machine of the three; the demo's is always there."""
    yield _splice_net()
    data = os.environ.get("NUCLEOSCOPE_DATA")
    if data:
        yield _mpra_dragonn(Path(data))
    if wheel:
        yield _ci_spliceai(wheel)


def mini_borzoi(data: Path, length: int = 131_072) -> tuple[nn.Module, Tensor]:
    """A small Borzoi that was trained on 131,072 bp (Apache-2.0), and the demo's human sequence at a length."""
    geometry = borzoi.Geometry(
        length=length, stem=64, taps=7, tower=(80, 88, 96, 104, 120, 128), layers=2, heads=2, key=32, value=64,
        features=32, up=128, taps_up=3, crop=length // 128, final=0, tracks=(("human", 74),),
    )  # fmt: skip
    model = load_weights(borzoi.Borzoi(geometry=geometry), data / "models/mini_borzoi/model.h5")
    return model, one_hot([load_sequence()[1][:length]])


def m6aformer(wheel: Path, count: int) -> tuple[nn.Module, Tensor]:
    """m6Aformer (MIT) out of its wheel, and motifs DRACH of the demo's sequence with 100 bases on either side."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        stored = archive.extract("m6aformer/weights_data/all_201/best_model_state_dict.pt", folder)
        model = load_weights(M6AFormer(), stored)
    bases = load_sequence()[1]
    sites = [m.start() + 2 for m in re.finditer("(?=[AGT][AG]AC[ACT])", bases[100:-110])]
    chosen = sites[:: len(sites) // count][
        :count
    ]  # of bases[100:], so that the middle base is at 100 + site
    return model, one_hot([bases[at : at + 201] for at in chosen])


def _splice_net() -> Trained:
    model, length = SpliceNet.pretrained(), 2114
    bases = load_sequence()[1]
    with torch.no_grad():
        donor = int(model(one_hot([bases]))[0].softmax(0)[2].argmax())
    X = one_hot([bases[donor - length // 2 :][:length]])
    gates = [f"norms.{i}" for i in range(len(model.norms))]
    return Trained("SpliceNet, 2,114 bp", model, X, range(357, 1757, 70), range(length), gates)


def _mpra_dragonn(data: Path) -> Trained:
    """MPRA-DragoNN (Movva et al. 2019, MIT): ReLU before BatchNorm, so a zero stays one."""
    stored = data / "models" / "mpra_dragonn" / "pretrained.hdf5"
    model = load_weights(MPRADragoNN(), stored).requires_grad_(False)
    X = one_hot([_element(data, name) for name in ELEMENTS])
    name = f"MPRA-DragoNN, {len(ELEMENTS)} promoters of 145 bp"
    gates = ["tower.0", "tower.4", "tower.8"]
    return Trained(name, model, X, range(12, 132, 6), range(145), gates)


def _element(data: Path, name: str, length: int = 145) -> str:
    """The middle of an element, rebuilt from the letters that its variants replace."""
    path = data / "variants" / "kircher2019_satmut_mpra_elements.tsv.gz"
    with gzip.open(path, "rt") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["Element"] == name]
    letters = {int(r["Pos"]): r["Ref"] for r in rows if r["Release"] == "GRCh38"}
    first = (min(letters) + max(letters) - length) // 2
    return "".join(letters[first + i] for i in range(length))


def _ci_spliceai(wheel: Path) -> Trained:
    """The first of CI-SpliceAI's five networks (CC BY 4.0), on 5 kb of chr22 and 5 kb either side."""
    made = load_ci_spliceai(wheel)[0]
    X = one_hot([load_sequence()[1][57_500:72_500]])  # the demo's strongest donor is inside
    with torch.no_grad():
        if made(X)[:, 1:].max() < 0.5:
            raise ValueError("the weights were misread: no splice site found")
    gates = [name for name, m in made.named_modules() if isinstance(m, nn.BatchNorm1d)]
    model = made.requires_grad_(False)
    counted, timed = range(5925, 9000, 160), range(7476, 7524)
    return Trained("CI-SpliceAI, first of five, 15 kb", model, X, counted, timed, gates)
