"""The data of `nucleoscope demo`: a stretch of human DNA and a small trained net (see NOTICE)."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np


def load_sequence() -> tuple[str, str, int]:
    """(name, bases, start): 131,072 bases of human chr22, GRCh37, forward strand.

    The bases are upper-case ACGT without unknowns; start counts from 0, so that the stretch is
    chr22:20,004,481-20,135,552 in the 1-based, closed notation of genome browsers. The genes
    TANGO2, DGCR8, TRMT2A, RANBP1 and ZDHHC8 lie in it; TRMT2A is on the reverse strand.
    """
    packed = resources.files("nucleoscope") / "demo" / "sequence.npz"
    with packed.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        facts = json.loads(arrays["facts"].item())
        quads = arrays["bases"][:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    bases = np.frombuffer(b"ACGT", np.uint8)[quads.ravel()[: facts["length"]]]
    return facts["name"], bases.tobytes().decode(), facts["start"]
