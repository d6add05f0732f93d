"""Motifs that are known: read from a file, and found again among filters'."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nucleoscope.models.kernel_motifs import KernelMotif


class Match(NamedTuple):
    """A motif of a data base that is like a filter's."""

    filter: int
    name: str
    p_value: float


def tomtom(
    motifs: Sequence[KernelMotif], known: Mapping[str, Tensor], nearest: int = 1
) -> list[Match]:
    """The nearest known motifs of each filter, by TOMTOM (memelite): p-values of one comparison, uncorrected.

    Filters without sites are left out. `known` is what `read_meme` gives. Source: Gupta et al. 2007; Schreiber
    2025.
    """
    try:
        import memelite
    except ImportError as error:
        raise ImportError("TOMTOM is memelite's: pip install 'nucleoscope[motifs]'") from error
    asked = [motif for motif in motifs if motif.sites]
    if not asked:
        raise ValueError("motifs: none has a site, so there is nothing to compare")
    if not known:
        raise ValueError("known: it holds no motif; give what read_meme gives")
    if not isinstance(nearest, int) or nearest < 1:
        raise ValueError(f"nearest={nearest!r}: a number of motifs, 1 or more")
    names = list(known)
    p, *_ = memelite.tomtom(
        [m.probabilities.numpy() for m in asked], [known[name].numpy() for name in names]
    )
    order = torch.as_tensor(p).sort(dim=1)
    return [
        Match(motif.filter, names[int(i)], float(value))
        for motif, places, values in zip(asked, order.indices, order.values, strict=True)
        for i, value in zip(places[:nearest], values[:nearest], strict=True)
    ]


ROUNDED = 0.02  # what a row's sum may be off by


def read_meme(path: str | Path) -> dict[str, Tensor]:
    """Name -> letter probabilities [4, K] of a MEME motif file, plain or gzipped (JASPAR's).

    Raises ValueError where a matrix has other than four columns, another number of rows than it says, or rows that
    are no probabilities, and where a name comes twice.
    """
    path = Path(path)
    text = gzip.open(path, "rt").read() if path.suffix == ".gz" else path.read_text()  # noqa: SIM115
    made: dict[str, Tensor] = {}
    for part in text.split("\nMOTIF ")[1:]:
        lines = part.splitlines()
        name = " ".join(lines[0].split())
        start = next((i for i, line in enumerate(lines) if line.startswith("letter-prob")), None)
        if start is None:
            raise ValueError(f"{path}: motif {name} has no letter-probability matrix")
        words = lines[start].split()
        width = int(words[words.index("w=") + 1]) if "w=" in words else 0
        rows = []
        for line in lines[start + 1 :]:
            if not line.strip() or not (line.strip()[0].isdigit() or line.strip()[0] == "."):
                break
            rows.append([float(word) for word in line.split()])
        if (width and len(rows) != width) or not rows or any(len(row) != 4 for row in rows):
            raise ValueError(
                f"{path}: motif {name} has {len(rows)} rows, where w= {width} rows of four are told"
            )
        matrix = torch.tensor(rows, dtype=torch.float64)
        off = (matrix.sum(1) - 1).abs() > ROUNDED
        if bool(off.any()) or bool((matrix < 0).any()):
            raise ValueError(
                f"{path}: motif {name} has rows that do not sum to 1: are they counts, and no probabilities?"
            )
        if name in made:
            raise ValueError(f"{path}: motif {name} is in it twice: give each a name of its own")
        made[name] = matrix.T
    if not made:
        raise ValueError(f"{path}: no MOTIF in it: is it a MEME file?")
    return made
