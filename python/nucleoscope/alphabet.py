"""The letters of one-hot channels: whose order it is, which pairs with which, and which are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

PAIRS = {"A": "T", "T": "A", "C": "G", "G": "C", "U": "A", "N": "N"}


def alphabet_of(model: Any, asked: str | None) -> str:
    """The letters of a model's channels in their order: what is asked for, else the model's own, else ACGT.

    A model says its own by an attribute `alphabet`, as those of `nucleoscope.models` do; of several all have one.
    What is put around a model says nothing: it may turn the channels before the model sees them.

    Raises ValueError where the same letters are asked for in another order than the model's own, and for models
    of unlike orders.
    """
    several = model if isinstance(model, list | tuple | nn.ModuleList) else [model]
    own = list(dict.fromkeys(said for said in map(_own, several) if said))
    if len(own) > 1:
        raise ValueError(
            f"model: they read unlike alphabets, {', '.join(own)}: ask them one by one"
        )
    if not own:
        return "ACGT" if asked is None else asked
    if (
        isinstance(asked, str)
        and asked.upper() != own[0]
        and sorted(_dna(asked)) == sorted(_dna(own[0]))
    ):
        raise ValueError(
            f"alphabet={asked!r}: the model's channels are {own[0]}; give X in that order, and "
            f"alphabet={own[0]!r} or none"
        )
    return own[0] if asked is None else asked


def with_alphabet(model: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A method's parameters, with the model's own alphabet where it is not ACGT and none is asked for."""
    asked = parameters.get("alphabet")
    rest = {name: value for name, value in parameters.items() if name != "alphabet"}
    found = alphabet_of(model, asked)
    return rest if asked is None and found == "ACGT" else rest | {"alphabet": found}


def _own(model: Any) -> str:
    """What a model says, where it spells an alphabet."""
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    said: Any = getattr(model, "alphabet", None)
    if isinstance(said, list | tuple) and all(isinstance(letter, str) for letter in said):
        said = "".join(said)
    if not isinstance(said, str) or len(said) < 4 or len(set(said)) < len(said):
        return ""
    return said.upper() if set(said.upper()) <= set(PAIRS) else ""


def _dna(alphabet: str) -> str:
    return alphabet.upper().replace("U", "T")


def complement(alphabet: str, asked: str = "reverse_complement=True") -> Tensor:  # [A]
    """Which letter of the alphabet pairs with each; N with itself.

    Equivalent to::

        other_strand = X.flip(2)[:, complement(alphabet)]
    """
    pairs = [PAIRS.get(letter.upper(), "") for letter in alphabet]
    spelled = alphabet.upper().replace("U", "T")
    at = [spelled.find(pair) if pair else -1 for pair in pairs]
    if min(at) < 0 or sorted(at) != list(range(len(alphabet))):
        raise ValueError(
            f"{asked}: the letters of alphabet={alphabet!r} do not pair; it takes A, C, G and T, and N"
        )
    return torch.tensor(at)


def known(X: Tensor, alphabet: str) -> Tensor:  # [N, A, L] -> [N, L]
    """Where there is one letter: not none, no part of several, and not N where N is a letter too."""
    named = [i for i, letter in enumerate(alphabet) if letter.upper() != "N"]
    return (X[:, named].amax(1) == 1) & (X.sum(1) == 1)
