"""Results as .npz files: their tensors by name, all else as JSON; nothing in them is unpickled."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nucleoscope.files import whole_file

KINDS = {"scores": "Attribution", "changes": "Effects", "interactions": "Pairs"}


class OtherKind(ValueError):
    """The file holds a result of another kind."""


def write(path: str | os.PathLike[str], result: Any, tensors: Sequence[str], what: str) -> Path:
    """Write a result to one file; it appears complete or not at all.

    Raises ValueError for another ending than .npz, OSError where the folder cannot be written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path={str(path)!r}: {what} is saved as .npz")
    held = {name: getattr(result, name) for name in tensors if getattr(result, name) is not None}
    rest = dataclasses.asdict(dataclasses.replace(result, **dict.fromkeys(tensors)))
    facts = {name: value for name, value in rest.items() if name not in tensors}
    with whole_file(path) as file:
        np.savez_compressed(
            file,
            facts=np.array(json.dumps(facts, default=str)),
            **{name: tensor.cpu().numpy() for name, tensor in held.items()},
        )
    return path


def read(
    path: str | os.PathLike[str], kind: type, check: type, tensors: Sequence[str], what: str
) -> Any:
    """A result of this kind from a file written by `write`; its checks are of the kind `check`.

    Raises FileNotFoundError where there is none, ValueError where it is not such a file; of a file of
    another kind it says which.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as held:
            other = [KINDS[name] for name in KINDS if name in held and name != tensors[0]]
            if other and "facts" in held and tensors[0] not in held:
                raise OtherKind(
                    f"{str(path)!r} is not {what}: it holds {other[0]}; read it by {other[0]}.load"
                )
            facts = json.loads(str(held["facts"]))
            found = {name: torch.from_numpy(held[name]) for name in tensors if name in held}
        facts["axes"] = tuple(facts["axes"])
        facts["checks"] = tuple(check(**each) for each in facts["checks"])
        return kind(**(facts | found))
    except (FileNotFoundError, OtherKind):
        raise
    except Exception as error:  # numpy, zipfile and json each have their own
        raise ValueError(
            f"{str(path)!r} is not {what} that was saved, or it is damaged: {error}"
        ) from error
