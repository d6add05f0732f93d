"""Write what the demo ships: the weights and the sequence, each with where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nucleoscope.models.splice_net import SpliceNet

FOLDER = Path(__file__).parents[1] / "python" / "nucleoscope" / "demo"
SOURCE = {
    "model": "nucleoscope.models.SpliceNet",
    "distilled from": "CI-SpliceAI 1.2.2, Strauch et al. 2022",
    "doi": "10.1371/journal.pone.0269159",
    "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    "changes": "distilled into another, smaller architecture; see training/splice_net.py",
}
ORIGIN = {
    "name": "chr22",
    "origin": "GRCh37 (hg19) human reference genome, forward strand, start counted from 0",
    "licence": "public domain",
}


def write_npz(path: Path, arrays: dict[str, np.ndarray], facts: dict[str, object]) -> None:
    """Arrays and facts (a JSON string array), all or nothing: a broken run leaves the old file."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays, facts=np.array(json.dumps(facts)))
    partial.replace(path)


def write_weights(net: SpliceNet, facts: dict[str, object]) -> None:
    """Every float32 weight and buffer under its name in the state dict, and the training facts."""
    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    write_npz(FOLDER / "splice_net.npz", weights, {**SOURCE, **facts})


def write_sequence(codes: np.ndarray, start: int) -> None:
    """Base codes (L,) 0..3 = ACGT in two bits each, the first of four in the lowest bits."""
    if codes.max() > 3:
        raise ValueError(f"the demo's stretch holds {(codes > 3).sum()} unknown bases")
    quads = np.pad(codes, (0, -len(codes) % 4)).reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)
    packed = quads.sum(axis=1).astype(np.uint8)
    facts = {**ORIGIN, "start": start, "length": len(codes)}
    write_npz(FOLDER / "sequence.npz", {"bases": packed}, facts)
