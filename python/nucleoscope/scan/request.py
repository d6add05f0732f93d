"""What a scan is asked to do: checked, told in the manifest, and made into a job."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from nucleoscope.alphabet import with_alphabet
from nucleoscope.scan import trunk
from nucleoscope.scan.genome.genome import Genome, digest, open_genome
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.provenance import compare, models_of, of_call, versions
from nucleoscope.scan.regions.job import PLANNED, RegionJob
from nucleoscope.scan.regions.sources import Regions, Sieve, asked
from nucleoscope.scan.regions.tiling import Tiling, exact_tiling, fixed_tiling
from nucleoscope.scan.rejects import Reject
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.shipping import listed

MEMORY = (
    1 << 30
)  # bytes a worker: what is free decides batches, and so the last bits, so it is none of ours
NO_TRUNK = "trunk='linear': this model has no trunk: deltas go all the way to its output, exactly. Leave trunk out"
PLANNED_BASES = 2048  # a plan's windows are the same for any length: of so many


@dataclass(frozen=True)
class Request:
    """The arguments of `scan` that decide its scores."""

    model: nn.Module | Sequence[nn.Module]
    genome: Path
    regions: Regions
    method: str
    coordinates: str | None
    length: int | None
    cell: int
    window: int | None
    report: tuple[int, int] | None
    skip_masked: bool
    threads: int
    shard_bases: int
    parameters: Mapping[str, Any]

    @property
    def along(self) -> str:
        """Along what scores lie."""
        return self.coordinates or ("genome" if self.regions is None else "regions")

    def check(self) -> None:
        """Raise ValueError or TypeError for what cannot be meant together."""
        import nucleoscope

        known = nucleoscope.__all__ if self.method in nucleoscope.__all__ else []
        found = getattr(nucleoscope, self.method) if known else None
        names = inspect.signature(found).parameters if callable(found) else {}
        gives = inspect.signature(found).return_annotation if callable(found) else None
        if not {"model", "X"} <= set(names) or gives != "Attribution":
            raise ValueError(f"method={self.method!r}: no method of nucleoscope that scores sites")
        if self.along == "genome" and not self.window and "start" not in names:
            raise ValueError(
                f"{self.method} scores whole sequences: scan regions, or give window= and report="
            )
        if "reverse_target" in self.parameters:
            self._check_reverse_target("reverse_target" in names)
        if "trunk" in names and trunk.is_linear(self.parameters):
            trunk.check(self.parameters, listed(self.model))
        unknown = [n for n in self.parameters if n not in names or n in ("model", "X", "args")]
        if unknown or {"start", "end"} & set(self.parameters):
            raise TypeError(
                f"{self.method} takes no {', '.join(unknown) or 'start and end'} in a scan"
            )
        if self.along not in ("regions", "genome"):
            raise ValueError(f"coordinates={self.coordinates!r}: use 'regions' or 'genome'")
        if self.along == "regions" and (self.window or self.report or self.regions is None):
            raise ValueError("window, report and whole genomes: for coordinates='genome' only")
        if self.along == "genome" and self.length is not None:
            raise ValueError(
                "length: for coordinates='regions' only; along a genome regions stay as they are"
            )
        if self.report and not self.window:
            raise ValueError("report: bases of a window; give window too")
        if min(self.cell, self.shard_bases, self.length or 1, self.window or 1, self.threads) < 1:
            raise ValueError("cell, window, length, shard_bases and threads: 1 or more")

    def _check_reverse_target(self, taken: bool) -> None:
        both = [self.parameters.get(name) for name in ("target", "reverse_target")]
        if both[1] is None and taken:
            return
        if not taken:
            raise TypeError(
                f"reverse_target: {self.method} takes none, since it reads the same target on both strands; "
                "leave it out, or use method='saturation_mutagenesis'"
            )
        if not self.parameters.get("reverse_complement"):
            raise ValueError(
                "reverse_target: there is no other strand without reverse_complement=True"
            )
        count = [len(each) if isinstance(each, list) else 1 for each in both]
        if count[0] != count[1]:
            raise ValueError(f"reverse_target: it names {count[1]} targets, target {count[0]}")

    def given(self) -> dict[str, Any]:
        """The method's parameters, with what a scan fixes."""
        import nucleoscope

        takes = inspect.signature(getattr(nucleoscope, self.method)).parameters
        return ({"memory": MEMORY} if "memory" in takes else {}) | with_alphabet(
            self.model, self.parameters
        )


def prepare(request: Request, folder: Folder, note: Callable[[str], None]) -> RegionJob:
    """The job, and the folder's manifest for it: a new one, or one that asks for the very same.

    Raises ValueError where the folder's scan asked for something else, naming it.
    """
    request.check()
    with open_genome(request.genome, folder.scratch, note, beside=False) as genome:
        tiling = _tiling(request, genome)
        told = {"asked": _asked(request, tiling)}
        if folder.manifest_file.exists():
            compare(folder.manifest["asked"], told["asked"])
        else:
            provenance = {
                **told["asked"], "models": models_of(request.model), **_meaning(request, tiling), **versions(),
            }  # fmt: skip
            sieve = Sieve(genome, request.length, tiling)
            facts = {
                **told, "coordinates": request.along, "sizes": dict(genome.sizes),
                "threads": request.threads, "trunk": trunk.is_linear(request.parameters),
                "provenance": provenance,
            }  # fmt: skip
            folder.prepare(
                sieve.items(_any(asked(request.regions, genome), request)),
                request.shard_bases,
                facts,
            )
    return RegionJob(
        request.model, request.genome, folder.scratch, request.method, request.given(), tiling,
        request.skip_masked, folder.manifest["threads"],
    )  # fmt: skip


def _any(found: Iterator[Region | Reject], request: Request) -> Iterator[Region | Reject]:
    first = next(found, None)
    if first is None:
        raise ValueError(f"{request.regions} holds no regions")
    return chain([first], found)


def _tiling(request: Request, genome: Genome) -> Tiling | None:
    wide = request.window or request.length
    if wide and trunk.is_linear(request.parameters):
        _check_trunk(request, wide)
    if request.along == "regions":
        return None
    if request.window:
        return fixed_tiling(request.window, request.report)
    asked = {k: v for k, v in request.given().items() if k in PLANNED}
    axes = asked.get("alphabet", "ACGT"), asked.get("layout", "NCL")
    bases = min(PLANNED_BASES, max(genome.sizes.values()))
    shift = max((abs(each) for each in request.parameters.get("shifts", (0,))), default=0)
    both = bool(request.parameters.get("reverse_complement"))
    X = one_hot(["A" * bases], *axes)
    sides = [asked]
    if both and request.parameters.get("reverse_target") is not None:
        sides.append({**asked, "target": request.parameters["reverse_target"]})
    made = exact_tiling(listed(request.model), X, request.cell, both, shift, sides)
    if trunk.is_linear(request.parameters):
        raise ValueError(NO_TRUNK)
    return made


def _check_trunk(request: Request, bases: int) -> None:
    """Raise ValueError where deltas go all the way through the model, before a shard is begun."""
    import nucleoscope

    asked = {k: v for k, v in request.given().items() if k in PLANNED}
    X = one_hot(["A" * bases], asked.get("alphabet", "ACGT"), asked.get("layout", "NCL"))
    if nucleoscope.plan(listed(request.model)[0], X, **asked).local:
        raise ValueError(NO_TRUNK)


def _asked(request: Request, tiling: Tiling | None) -> dict[str, Any]:
    regions = request.regions
    if isinstance(regions, Path | str):
        source = {"regions": Path(regions).name, "regions_sha256": digest(Path(regions))}
    else:
        source = {"regions": "all" if regions is None else "; ".join(regions)}
    return {
        "method": request.method,
        **of_call(request.model, request.genome, request.given()),
        **source,
        "length": request.length,
        "tiling": None if tiling is None else str(tiling),
        "skip_masked": request.skip_masked,
        "shard_bases": request.shard_bases,
    }


def _meaning(request: Request, tiling: Tiling | None) -> dict[str, str]:
    summed = tiling is not None and tiling.joined
    return {
        "coordinates": request.along,
        "scores": "changes of the target, "
        + ("summed over the output's positions" if summed else f"as {request.method} gives them")
        + (", APPROXIMATE but where `exact` says so" * trunk.is_linear(request.parameters)),
    }
