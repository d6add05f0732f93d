"""An attribution as other tools take it: xarray, AnnData, TF-MoDISco's files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nucleoscope.files import whole_file

if TYPE_CHECKING:
    import anndata
    import xarray

    from nucleoscope.result import Attribution

ACGT = "ACGT"


def to_xarray(attribution: Attribution) -> xarray.Dataset:
    """Scores, originals and sequences on named axes; letters and sites by name."""
    try:
        import xarray
    except ImportError as error:
        raise ImportError(_install("xarray")) from error
    axes, scores = attribution.axes, attribution.scores
    data: dict[str, Any] = {"scores": (axes, scores.cpu().numpy())}
    original = attribution.original.cpu().numpy()
    if "target" in axes:
        data["original"] = (("sequence", "target"), original)
    elif original.size == scores.shape[0]:
        data["original"] = (("sequence",), original.reshape(-1))
    if attribution.sequences is not None:
        data["sequences"] = (("sequence", "letter", "site"), attribution.sequences.cpu().numpy())
    if attribution.spread is not None:
        data["spread"] = (axes, attribution.spread.cpu().numpy())
    if attribution.controls is not None:
        data["controls"] = (("control", *axes), attribution.controls.cpu().numpy())
    for name in ("error_bar", "gap"):
        if (held := getattr(attribution, name)) is not None:  # [N, T]
            per = ("sequence", "target") if "target" in axes else ("sequence",)
            data[name] = (per, (held if "target" in axes else held.reshape(-1)).cpu().numpy())
    if attribution.exact is not None:
        data["exact"] = (("sequence", "site"), attribution.exact.cpu().numpy())
    facts = {"alphabet": attribution.alphabet, "facts": _as_text(attribution)}
    return xarray.Dataset(data, _coordinates(attribution), facts)


def to_anndata(attribution: Attribution) -> anndata.AnnData:
    """A sequence a row, a letter at a site a column; a layer for each target but the first."""
    try:
        import anndata
        import pandas as pd  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(_install("anndata")) from error
    axes, scores = attribution.axes, attribution.scores
    count = scores.shape[axes.index("target")] if "target" in axes else 1
    targets = [attribution.of_target(t).flatten(1).cpu().numpy() for t in range(count)]
    spread = None
    if attribution.spread is not None:
        spread = dataclasses.replace(attribution, scores=attribution.spread)
    sites = _coordinates(attribution)["site"]
    letters = list(attribution.alphabet) if "letter" in axes else [""]
    columns = pd.DataFrame(
        {
            "letter": np.repeat(letters, len(sites)),
            "site": np.tile(sites, len(letters)),
        },
        index=[f"{letter}{site}" for letter in letters for site in sites],
    )
    rows = pd.DataFrame(_places(attribution), index=[f"sequence{n}" for n in range(len(scores))])
    layers = {f"target{t}": values for t, values in enumerate(targets) if count > 1}
    if spread is not None:
        for t in range(count):
            name = f"spread{t}" if count > 1 else "spread"
            layers[name] = spread.of_target(t).flatten(1).cpu().numpy()
    if attribution.sequences is not None and "letter" in axes:
        layers["sequences"] = attribution.sequences.flatten(1).cpu().numpy()
    facts = {"nucleoscope": _as_text(attribution)}
    made = anndata.AnnData(targets[0], obs=rows, var=columns, uns=facts, layers=layers)
    for name in ("original", "error_bar", "gap"):
        if (held := getattr(attribution, name)) is not None:
            made.obsm[name] = held.reshape(len(scores), -1).cpu().numpy()
    return made


def to_modisco(attribution: Attribution, folder: Path, target: int) -> tuple[Path, Path]:
    """``ohe.npz`` and ``shap.npz`` of arrays [N, 4, L] as `modisco motifs -s -a` reads them."""
    if sorted(attribution.alphabet) != sorted(ACGT):
        raise ValueError(f"alphabet={attribution.alphabet!r}: TF-MoDISco takes A, C, G and T")
    scores, there = attribution.hypothetical(target)
    if not scores.isfinite().all():
        raise ValueError("the scores hold NaN or infinite numbers, which TF-MoDISco cannot cluster")
    if not scores.any():
        raise ValueError("all scores are 0: no letter changes this target, so there are no motifs")
    if not (scores * there).any():
        raise ValueError(
            "the letters that are there all score 0, so TF-MoDISco would see nothing: center them, "
            "with center='mean'"
        )
    order = [attribution.alphabet.index(letter) for letter in ACGT]
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in (("ohe", there), ("shap", scores)):
        path = folder / f"{name}.npz"
        with whole_file(path) as file:
            np.savez_compressed(file, held[:, order].float().cpu().numpy())
        written.append(path)
    return written[0], written[1]


def _install(name: str) -> str:
    return f"this needs {name}: pip install 'nucleoscope[{name}]'"


def _coordinates(attribution: Attribution) -> dict[str, Any]:
    """What the axes count: letters by name, sites by position, targets by name where they have one."""
    made: dict[str, Any] = {}
    sizes = dict(zip(attribution.axes, attribution.scores.shape, strict=True))
    if "site" in sizes:
        made["site"] = attribution.start + np.arange(sizes["site"])
    if "letter" in sizes:
        made["letter"] = list(attribution.alphabet)
    names = attribution.facts.get("targets", ())
    if "target" in sizes and len(names) == sizes["target"]:
        made["target"] = list(names)
    return made


def _places(attribution: Attribution) -> dict[str, list[Any]]:
    """Where each sequence lies, a column a fact; nothing where that is not known."""
    regions = attribution.facts.get("regions", [])
    if len(regions) != len(attribution.scores):
        return {}
    names = [name for name in ("chromosome", "start", "end", "strand") if name in regions[0]]
    return {name: [region[name] for region in regions] for name in names}


def _as_text(attribution: Attribution) -> str:
    """Facts and checks: files of both kinds hold text, and not what facts may be made of."""
    checks = [str(check) for check in attribution.checks]
    return json.dumps(attribution.facts | {"checks": checks}, default=str)
