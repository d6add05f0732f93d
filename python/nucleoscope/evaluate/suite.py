"""A suite in a file: which explainers, models, metrics and seeds, as TOML."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from nucleoscope.evaluate import metrics, truth
from nucleoscope.evaluate.background import Background
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.explainers import Explainer, ours
from nucleoscope.evaluate.metrics.metric import Metric
from nucleoscope.evaluate.others import of_captum, of_shap, of_tangermeme
from nucleoscope.evaluate.splice_sites import splice_sites

SHIPPED = ("default", "distal", "measured", "donors")
SHAPS = ("GradientExplainer", "DeepExplainer")
TABLES = ("title", "seeds", "explainers", "models", "metrics", "replicates")
KINDS = "truth = 'analytic', call = 'file.py:function' or splice_sites = true"


@dataclass(frozen=True, eq=False)
class Suite:
    """What `run` is asked for."""

    title: str
    explainers: dict[str, Explainer]
    models: dict[str, Any]
    data: dict[str, Data]
    metrics: dict[str, Metric]
    seeds: tuple[int, ...]
    replicates: dict[str, tuple[str, ...]] = field(default_factory=dict)


def shipped_suite(name: str = "default") -> Path:
    """A suite that comes with nucleoscope.

    "default" needs nothing, and nor does "distal", of motifs 100 kb apart. "measured" asks what was measured of
    trained models, "donors" a network of 10 kb at splice sites; both need the data that `truth.kircher`, `brca2`,
    `m6a` and `splice_donors` name.

    Raises ValueError for another name.
    """
    if name not in SHIPPED:
        raise ValueError(
            f"{name!r} is no suite of ours: use one of {', '.join(map(repr, SHIPPED))}"
        )
    return Path(str(resources.files("nucleoscope") / "evaluate" / f"{name}.toml"))


def found_suite(named: str) -> Path:
    """One that comes with nucleoscope, by its name, or else a file.

    Raises ValueError where there is neither.
    """
    if named in SHIPPED:
        return shipped_suite(named)
    if not Path(named).is_file():
        raise ValueError(f"{named}: no such file, and no suite of ours ({', '.join(SHIPPED)})")
    return Path(named)


def read_suite(path: Path) -> Suite:
    """Read a suite; models are made, and files that it names are run.

    ``[explainers.NAME]``: ``method`` is one of ours (NAME unless said), or ``captum``, ``shap``, ``tangermeme`` (a
    class, a function of theirs) or ``call`` ("file.py:function") is there in its place; all else are options. Of
    shap there are GradientExplainer and DeepExplainer; ``background`` is what they measure from (`of_shap`).
    ``[models.NAME]``: ``truth`` is a function of `nucleoscope.evaluate.truth` that gives model and data,
    ``call`` one of yours, ``splice_sites = true`` the net that is shipped; all else are its options.
    ``[metrics.NAME]``: a class of `nucleoscope.evaluate.metrics`, which ``metric`` names where NAME does not; a
    table ``background`` is its background. ``[replicates]``: by a name of theirs, models that are one but for
    their seeds, between which the ranking of explainers is compared.

    Raises ValueError for what is no such file, and for names that mean nothing.
    """
    held = _parsed(path)
    if unknown := [name for name in held if name not in TABLES]:
        raise ValueError(f"{path}: {unknown[0]!r} means nothing; there may be {', '.join(TABLES)}")
    if missing := [name for name in ("explainers", "models", "metrics") if not held.get(name)]:
        raise ValueError(f"{path}: [{missing[0]}.NAME] is needed, once at least")
    made = {
        name: _named(path, "models", name, each, _model) for name, each in held["models"].items()
    }
    return Suite(
        str(held.get("title", path.stem)),
        {n: _named(path, "explainers", n, each, _explainer) for n, each in held["explainers"].items()},
        {name: model for name, (model, _) in made.items()},
        {name: data for name, (_, data) in made.items()},
        _metrics(path, held["metrics"]),
        tuple(held.get("seeds", (0,))),
        _replicates(path, held.get("replicates", {}), made),
    )  # fmt: skip


def _parsed(path: Path) -> dict[str, Any]:
    try:  # Python's own since 3.11
        reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise ImportError("Python 3.10 reads TOML by tomli: pip install tomli") from error
    try:
        held: dict[str, Any] = reader.loads(path.read_text("utf-8"))
    except ValueError as error:  # of both readers, and of text that is no UTF-8
        raise ValueError(f"{path} is no TOML: {error}") from error
    return held


def _named(path: Path, table: str, name: str, given: Any, make: Callable[..., Any]) -> Any:
    """Make one entry; what is wrong with it is told with its place."""
    try:
        if not isinstance(given, Mapping):
            raise TypeError(f"a table is needed, got {given!r}")
        return make(path.parent, name, dict(given))
    except (TypeError, ValueError, AttributeError, ImportError, OSError) as error:
        raise ValueError(f"{path}: [{table}.{name}]: {error}") from error


def _explainer(folder: Path, name: str, given: dict[str, Any]) -> Explainer:
    if "call" in given:
        return Explainer(_function(folder, given.pop("call")), given)
    if "captum" in given:
        return of_captum(
            getattr(importlib.import_module("captum.attr"), given.pop("captum")), **given
        )
    if "shap" in given:
        return _of_shap(given.pop("shap"), given)
    if "tangermeme" in given:
        called = given.pop("tangermeme")
        return of_tangermeme(
            getattr(importlib.import_module(f"tangermeme.{called}"), called), **given
        )
    return ours(given.pop("method", name), **given)


def _of_shap(named: Any, given: dict[str, Any]) -> Explainer:
    if named not in SHAPS:
        raise ValueError(
            f"shap={named!r}: of shap there are {' and '.join(SHAPS)}, which take networks; give others as "
            "call = 'file.py:function'"
        )
    try:
        kind = getattr(importlib.import_module("shap"), named)
    except ImportError as error:
        raise ImportError("shap's explainers need pip install 'nucleoscope[shap]'") from error
    return of_shap(kind, given.pop("background", "uniform"), **given)


def _model(folder: Path, name: str, given: dict[str, Any]) -> tuple[Any, Data]:  # noqa: ARG001 (as the others)
    if given.pop("splice_sites", False):
        return splice_sites(**given)
    if "truth" in given:
        called = given.pop("truth")
        if called not in truth.__all__:
            raise ValueError(
                f"truth={called!r}: nucleoscope.evaluate.truth has {', '.join(truth.__all__)}"
            )
        made = getattr(truth, called)(**given)
    elif "call" in given:
        made = _function(folder, given.pop("call"))(**given)
    else:
        raise ValueError(f"what is it? Give {KINDS}")
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], Data)):
        raise TypeError("its function must return a model and its evaluate.Data")
    return made


def _replicates(path: Path, given: Any, models: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{path}: [replicates]: a table is needed, got {given!r}")
    for name, each in given.items():
        if not isinstance(each, list) or any(model not in list(models) for model in each):
            raise ValueError(
                f"{path}: [replicates] {name} = {each!r}: a list of models is needed, by name"
            )
        if len(set(each)) < max(2, len(each)):
            raise ValueError(
                f"{path}: [replicates] {name} = {each!r}: two models or more, each once"
            )
    return {name: tuple(each) for name, each in given.items()}


def _metrics(path: Path, given: Mapping[str, Any]) -> dict[str, Metric]:
    """By the entry's name, or, where that is the class's, by the metric's own."""
    made: dict[str, Metric] = {}
    for entry, each in given.items():
        metric = _named(path, "metrics", entry, each, _metric)
        name = metric.name if entry == type(metric).__name__ else entry
        if name in made:
            raise ValueError(
                f"{path}: [metrics.{entry}]: {name!r} is there already; name one otherwise"
            )
        made[name] = metric
    return made


def _metric(folder: Path, name: str, given: dict[str, Any]) -> Metric:  # noqa: ARG001 (as the others)
    called = given.pop("metric", name)
    kind = getattr(metrics, called, None)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"{called!r} is no metric of nucleoscope.evaluate.metrics")
    if "background" in given:
        given["background"] = Background(**given["background"])
    made = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    return cast(Metric, made)


def _function(folder: Path, named: str) -> Callable[..., Any]:
    """A function in a Python file beside the suite: "file.py:function"."""
    file, _, name = named.partition(":")
    path = folder / file
    if not name or not path.is_file():
        raise ValueError(f"call={named!r}: 'file.py:function' of a file beside the suite is needed")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, name)
    return found
