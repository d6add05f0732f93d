"""A scan by a linear trunk: which of its sites are exact, and a table of what the others are off by."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nucleoscope.files import whole_file

if TYPE_CHECKING:
    from nucleoscope import Attribution

TABLE = "trunk.tsv"
# Of a call and a target, as `facts["trunk"]` has them, behind the share of the call's sites that are exact.
FIGURES = (
    "exact_share", "r", "slope", "p50_error", "p90_error", "wrong_sign", "edits", "certificate", "level", "sites",
)  # fmt: skip


class Told(NamedTuple):
    """What a call by a linear trunk says of its scores."""

    exact: npt.NDArray[np.bool_]  # [sequence, site]
    figures: npt.NDArray[np.float64]  # [target, figure]


def told(result: Attribution) -> Told | None:
    """Of an approximate result; None of an exact one."""
    if result.exact is None:
        return None
    exact = result.exact.cpu().numpy()
    share = {"exact_share": float(exact.mean())}
    rows = [[(share | each)[name] for name in FIGURES] for each in result.facts["trunk"]["targets"]]
    return Told(exact, np.array(rows, np.float64))


def is_linear(parameters: Mapping[str, Any]) -> bool:
    """Whether a method is asked for a linear trunk. Raises ValueError for what is no trunk."""
    import nucleoscope

    trunk = parameters.get("trunk", "exact")
    if not isinstance(trunk, nucleoscope.LinearTrunk) and trunk not in ("exact", "linear"):
        raise ValueError(f"trunk={trunk!r}: use 'exact', 'linear', or a LinearTrunk")
    return bool(trunk != "exact")


def check(parameters: Mapping[str, Any], models: Sequence[Any]) -> None:
    """Raise ValueError for a linear trunk together with what each shard would refuse."""
    views = parameters.get("reverse_complement") or set(parameters.get("shifts", (0,))) != {0}
    if len(models) > 1 or views:
        raise ValueError(
            "trunk='linear' is of one model, one strand and no shift: each view has other strongest sites. "
            "Scan them one by one, each into a folder of its own, or leave trunk out"
        )


def write(path: Path, calls: Iterable[tuple[int, str, npt.NDArray[np.float64]]]) -> None:
    """The table: a line a call and target, by (shard, where it was, figures [target, figure])."""
    with whole_file(path) as file:
        file.write("\t".join(("shard", "where", "target", *FIGURES)).encode() + b"\n")
        for shard, where, figures in calls:
            for target, row in enumerate(figures):
                numbers = (format(value, ".6g") for value in row)
                file.write("\t".join((str(shard), where, str(target), *numbers)).encode() + b"\n")


def summary(path: Path) -> str:
    """The table in a sentence; nothing where there is none."""
    if not path.exists():
        return ""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows:
        return "APPROXIMATE (linear trunk): no call gave scores"
    held = {name: [float(row[name]) for row in rows] for name in FIGURES}
    known = [r for r in held["r"] if r == r]
    r = f"{statistics.median(known):.3f}, at worst {min(known):.3f}" if known else "undefined"
    return (
        f"APPROXIMATE (linear trunk) but for {statistics.fmean(held['exact_share']):.1%} of the sites, in "
        f"{len(rows):,} calls and targets: r {r}, slope {min(held['slope']):.2f} to {max(held['slope']):.2f}, "
        f"median p90 error {statistics.median(held['p90_error']):.0%}; {held['level'][0]:.0%} of the approximate "
        f"sites are off by {max(held['certificate']):.1e} or less where it is largest; {path.name} has each"
    )
