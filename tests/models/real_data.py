"""Measured data that belong to trained models, read without TensorFlow or pandas."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nucleoscope.models import borzoi
from nucleoscope.models.loading.frozen_graph import fields, only

MINI_BORZOI = borzoi.Geometry(
    length=131_072, stem=64, taps=7, tower=(80, 88, 96, 104, 120, 128), layers=2, heads=2, key=32, value=64,
    features=32, up=128, taps_up=3, crop=1024, final=0, tracks=(("human", 74),),
)  # fmt: skip


def folder(variable: str, what: str) -> Path:
    """The folder that an environment variable names, or the test is skipped."""
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"{variable} names no folder with {what}")
    return Path(given)


def wheel(name: str) -> Path:
    """A wheel from PyPI, as ``pip download --no-deps`` leaves it."""
    found = sorted(folder("NUCLEOSCOPE_WHEELS", f"the wheel of {name}").glob(f"{name}-*.whl"))
    if not found:
        pytest.skip(f"NUCLEOSCOPE_WHEELS has no wheel of {name}")
    return found[-1]


def windows(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """One-hot sequence [4, L] and measured tracks [T, bins] of every record of a compressed TFRecord file."""
    data = memoryview(zlib.decompress(path.read_bytes()))
    at = 0
    while at < len(data):
        size = int(np.frombuffer(data[at : at + 8], "<u8")[0])
        held = dict(_features(data[at + 12 : at + 12 + size]))
        at += 16 + size
        codes = np.frombuffer(held["sequence"], np.uint8)
        letters = (
            codes.reshape(-1, 4) if codes.size % 4 == 0 and codes.max() < 2 else np.eye(5, 4)[codes]
        )
        tracks = np.frombuffer(held["target"], np.float16).reshape(-1, 74)
        yield torch.tensor(letters.T.astype(np.float32)), torch.tensor(tracks.T.astype(np.float32))


def _features(example: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Names and bytes of a tf.train.Example."""
    features = only(example, 1)
    assert features is not None
    for _, entry in fields(features):
        assert isinstance(entry, memoryview)
        name, value = only(entry, 1), only(entry, 2)
        held = None if value is None else only(value, 1)
        inside = None if held is None else only(held, 1)
        if name is not None and inside is not None:
            yield bytes(name).decode(), inside


def element(data: Path, name: str, barcodes: int = 1) -> tuple[str, list[tuple[int, str, float]]]:
    """A mutated element and its measured effects: (position there, letter, log2 of the change).

    Those alone that were measured by so many barcodes; the study itself asks for ten.
    """
    with gzip.open(data / "variants" / "kircher2019_satmut_mpra_elements.tsv.gz", "rt") as file:
        rows = [
            r
            for r in csv.DictReader(file, delimiter="\t")
            if r["Element"] == name and r["Release"] == "GRCh38" and r["Pos"].isdigit()
        ]
    letters = {int(r["Pos"]): r["Ref"] for r in rows}
    first = min(letters)
    bases = "".join(letters[at] for at in range(first, max(letters) + 1))
    effects = [
        (int(r["Pos"]) - first, r["Alt"], float(r["Coefficient"]))
        for r in rows
        if r["Alt"] in "ACGT" and int(r["Barcodes"]) >= barcodes
    ]
    return bases, effects
