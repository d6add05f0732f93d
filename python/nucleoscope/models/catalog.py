"""The field's models and their published facts, one line each: what tests and the page of models go by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nucleoscope.models.basset import Basset
from nucleoscope.models.beluga import Beluga
from nucleoscope.models.borzoi import Borzoi
from nucleoscope.models.bpnet import BPNet, BPNetOriginal
from nucleoscope.models.c_origami import COrigami
from nucleoscope.models.chrom_bpnet import ChromBPNet
from nucleoscope.models.danq import DanQ
from nucleoscope.models.deep_cre import DeepCRE
from nucleoscope.models.deep_sea import DeepSEA
from nucleoscope.models.deep_starr import DeepSTARR
from nucleoscope.models.enformer import Enformer
from nucleoscope.models.epibert import EpiBERT
from nucleoscope.models.factorized_basset import FactorizedBasset
from nucleoscope.models.m6aformer import M6AFormer
from nucleoscope.models.mpra_dragonn import MPRADragoNN
from nucleoscope.models.puffin import Puffin
from nucleoscope.models.puffin_d import PuffinD
from nucleoscope.models.splice_ai import SpliceAI


class Entry(NamedTuple):
    """A model of the field and what is known of it."""

    make: Callable[..., nn.Module]
    parameters: int  # to train
    receptive_field: int  # of the last layer that is local, in bases; 0: everything
    stride: int
    outputs: tuple[str, ...] = ()  # keys of a dictionary; none: one tensor
    alphabet: str = "ACGT"
    attention: bool = False
    weights: str = ""  # where they are to be had, and their licence


CATALOG: dict[str, Entry] = {
    "Basset": Entry(Basset, 4_135_064, 168, 48, weights="Zenodo 1466068, MIT"),
    "Factorized Basset": Entry(FactorizedBasset, 6_563_542, 168, 48),
    "DeepSEA": Entry(
        DeepSEA, 52_843_119, 163, 16, alphabet="AGCT", weights="Zenodo 1466993, CC BY 3.0"
    ),
    "Beluga": Entry(
        Beluga, 149_536_251, 310, 16, alphabet="AGCT", weights="Zenodo 3402406, not commercial"
    ),
    "DanQ": Entry(DanQ, 46_929_039, 38, 13, alphabet="AGCT"),
    "DeepSTARR": Entry(DeepSTARR, 622_722, 58, 16),
    "DeepCRE": Entry(DeepCRE, 387_841, 1534, 512, weights="with its app, AGPL-3.0"),
    "BPNet, original": Entry(
        BPNetOriginal, 130_960, 2093, 1, ("profile", "counts"), weights="Zenodo 4294904, MIT"
    ),
    "BPNet": Entry(BPNet, 109_122, 1115, 1, ("profile", "counts")),
    "ChromBPNet": Entry(
        ChromBPNet, 6_595_716, 1115, 1, ("profile", "counts"), weights="ENCODE; Zenodo 7443683 (bias)"
    ),
    "SpliceAI": Entry(
        SpliceAI, 696_739, 10_001, 1, weights="CC BY-NC 4.0; CI-SpliceAI's CC BY 4.0"
    ),
    "Puffin": Entry(Puffin, 510_946, 651, 1, weights="in its repository, academic use only"),
    "Puffin-D": Entry(PuffinD, 19_524_874, 0, 1, weights="Zenodo 7941729, academic use only"),
    "Enformer": Entry(
        Enformer, 251_221_292, 646, 128, ("human", "mouse"), attention=True, weights="CC BY 4.0"
    ),
    "Borzoi": Entry(
        Borzoi, 190_902_667, 646, 128, ("human", "mouse"), attention=True, weights="Apache-2.0 (code)"
    ),
    "Flashzoi": Entry(  # its parameters are counted here: none are published
        partial(Borzoi, flash=True), 197_079_435, 646, 128, ("human", "mouse"), attention=True,
        weights="Hugging Face, tagged MIT",
    ),
    "EpiBERT": Entry(EpiBERT, 84_303_037, 646, 128, attention=True, weights="Zenodo 14504049"),
    "C.Origami": Entry(
        COrigami, 12_840_369, 163_803, 8192, alphabet="ATCGN", attention=True,
        weights="Zenodo 7226561, no licence",
    ),
    "MPRA-DragoNN": Entry(MPRADragoNN, 339_012, 13, 1, weights="MIT"),
    "m6Aformer": Entry(M6AFormer, 718_658, 60, 2, attention=True, weights="PyPI m6aformer 0.1.2, MIT"),
}  # fmt: skip


def example(
    name: str, model: nn.Module, count: int = 1, seed: int = 0
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Random one-hot sequences [count, letters, length] that a model takes, and its further inputs."""
    generator = torch.Generator().manual_seed(seed)
    length: int = model.length  # type: ignore[assignment]
    codes = torch.randint(4, (count, length), generator=generator)
    letters = torch.eye(len(CATALOG[name].alphabet))
    X = letters[codes].transpose(1, 2).contiguous()

    def random(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    if name == "C.Origami":
        return X, (random(2, length),)
    if isinstance(model, EpiBERT):
        return X, (random(1, length // 4), random(model.geometry.motifs))
    return X, ()
