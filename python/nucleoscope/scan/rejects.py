"""What is left out, and why: lines of `rejects.tsv`, told before a scan begins or by a shard as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

HEAD = b"where\treason\tdetail\n"
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Reject:
    """What was asked for and cannot be done."""

    origin: str  # file and line
    kind: str  # a few words, the same for all of a kind: they are counted
    detail: str  # what is wrong with this one

    def __str__(self) -> str:
        return f"{self.origin}: {self.detail}"


class Refused(ValueError):
    """One item cannot be scored, however often it is tried; the others of its shard can."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind  # a few words, the same for all of a kind: they are counted

    def of(self, item: str) -> Reject:
        """As a line of `rejects.tsv`, of the item so called."""
        return Reject(item, self.kind, str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Refused, (self.kind, str(self))


def apart(
    items: Sequence[Item], ask: Callable[[Sequence[Item]], Made], name: Callable[[Item], str]
) -> tuple[list[tuple[Sequence[Item], Made]], list[Reject]]:
    """What `ask` makes of all items together; where it refuses one, of each by itself, and what it refuses."""
    try:
        return [(items, ask(items))], []
    except Refused:
        made, refused = [], []
        for item in items:
            try:
                made.append(([item], ask([item])))
            except Refused as why:
                refused.append(why.of(name(item)))
        return list(made), refused


def row(reject: Reject) -> bytes:
    """A line of `rejects.tsv`."""
    return "\t".join(map(_plain, (reject.origin, reject.kind, reject.detail))).encode() + b"\n"


def kept(rejects: Iterable[Reject]) -> npt.NDArray[np.str_]:
    """As a checkpoint has them, [reject, 3]."""
    rows = [list(map(_plain, (each.origin, each.kind, each.detail))) for each in rejects]
    return np.array(rows, np.str_).reshape(-1, 3)


def told(array: npt.NDArray[np.str_]) -> Iterator[Reject]:
    """Those of a checkpoint."""
    for where, kind, detail in array.tolist():
        yield Reject(where, kind, detail)


def behind(path: Path, known: int) -> Iterator[Reject]:
    """Those of `rejects.tsv` behind the first so many."""
    with path.open("rb") as file:
        for line in islice(file, 1 + known, None):
            where, kind, detail = line.decode().rstrip("\n").split("\t")
            yield Reject(where, kind, detail)


def _plain(text: str) -> str:
    return text.replace("\t", "\\t").replace("\n", "\\n").encode("utf-8", "replace").decode()
