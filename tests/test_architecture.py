"""Imports point one way: who may import whom, checked against the code's own imports."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TORCH = frozenset({"torch"})
ARRAYS = frozenset({"torch", "numpy"})
FACE = ""  # nucleoscope/__init__.py: the public face


@dataclass(frozen=True)
class Room:
    """What a room may import, besides itself and the standard library."""

    rooms: frozenset[str]  # with all that lies in them
    lazily: frozenset[str]  # rooms to import inside a function, or for type checking, only
    outside: frozenset[str] | None  # other packages; None: any


def room(*rooms: str, lazily: tuple[str, ...] = (), outside: frozenset[str] | None = None) -> Room:
    return Room(frozenset(rooms), frozenset(lazily), outside)


def engine(*rooms: str, lazily: tuple[str, ...] = ()) -> Room:
    others = {"alphabet", "ops", "naive.ops", "reading", "wrapped"}
    names = [each if each in others else f"engine.{each}" for each in rooms]
    return room(*names, lazily=lazily, outside=ARRAYS)


def scan(*rooms: str, lazily: tuple[str, ...] = ()) -> Room:
    return room(*(f"scan.{each}" for each in rooms), "files", lazily=lazily)


def methods(*rooms: str) -> Room:
    below = ("alphabet", "engine", "result", "effects", "seqlet_table", "naive.methods", "reading")
    return room(*(f"methods.{each}" for each in rooms), *below)


# A room is a file or a folder below nucleoscope. In a folder that is divided into rooms, its own
# name means its __init__.py.
LAW = {
    FACE: room(
        "methods",
        "diagnostics",
        "result",
        "effects",
        "seqlet_table",
        "targets",
        "scan",
    ),
    "__main__": room("cli"),
    "cli": room(FACE, "alphabet", "demo", "evaluate", "models", "plot", "files", "scan"),
    "compat": room(
        FACE,
        "alphabet",
        "evaluate",
        "naive.methods",
        "wrapped",
        "engine.answers",
        "engine.gradients",
        "engine.memory",
        "engine.tracing",
    ),
    # the face offers `scan`, so it takes methods from there by name, inside functions
    "scan": scan("estimate", "run", "shards"),
    "scan.estimate": scan("regions", "request", "run", "shards", lazily=("scan.variants",)),
    "scan.variants": room(
        "alphabet",
        "engine",
        "files",
        "methods.edits",
        "naive.methods",
        "reading",
        "scan.genome",
        "scan.letters",
        "scan.provenance",
        "scan.rejects",
        "scan.request",
        "scan.run",
        "scan.shards",
        lazily=(FACE,),
    ),
    "scan.run": scan(
        "regions", "request", "shards", "trunk", lazily=(FACE, "scan.results", "scan.variants")
    ),
    "scan.results": scan("genome", "letters", "regions", "shards", "trunk", lazily=(FACE,)),
    "scan.request": room(
        "alphabet",
        "scan.genome",
        "scan.letters",
        "scan.provenance",
        "scan.regions",
        "scan.rejects",
        "scan.shards",
        "scan.trunk",
        lazily=(FACE,),
    ),
    "scan.provenance": scan("genome", "shards", lazily=(FACE,)),
    "scan.regions": scan("genome", "letters", "rejects", "shards", "trunk", lazily=(FACE,)),
    "scan.shards": scan("rejects", lazily=(FACE,)),
    "scan.trunk": scan(lazily=(FACE,)),
    "scan.letters": scan("rejects"),
    "scan.genome": scan("rejects"),
    "scan.rejects": scan(),
    "evaluate": room(
        FACE,
        "demo",
        "diagnostics",
        "files",
        "models",
        "plot",
        "reading",
        "result",
        "engine.answers",
        "scan",
    ),
    "plot": room(FACE, "files"),
    "diagnostics": room("methods", "engine", "reading", "result", "files"),
    "methods": room(),
    "methods.distal_scores": methods("edits", "gradients"),
    "methods.tracks": methods("edits", "ensemble", "gradients", "running"),
    "methods.edits": methods("alike", "ensemble", "reduce", "running"),
    "methods.gradients": methods("alike", "dinucleotide_shuffle", "ensemble", "reduce", "running"),
    "methods.attention": room(
        "alphabet",
        "engine.answers",
        "engine.attention",
        "engine.device",
        "engine.shuffle",
        "engine.tracing",
        "methods.dinucleotide_shuffle",
        "methods.running",
        "naive.methods",
        "reading",
        "result",
    ),
    "methods.seqlets": room("result", "seqlet_table"),
    "methods.alike": room("engine", "methods.running"),
    "methods.ensemble": room("alphabet", "engine.answers", "result"),
    "methods.running": room("engine", "naive.methods"),
    "methods.reduce": room(outside=TORCH),
    "methods.dinucleotide_shuffle": room("engine.shuffle", "reading"),
    "alphabet": room(outside=TORCH),
    "reading": room(),
    "wrapped": room(outside=TORCH),
    "targets": room(outside=TORCH),
    "npz": room("files"),
    "result": room("npz", "exports"),
    "exports": room("files", lazily=("result",)),
    "effects": room("result", "npz"),
    "seqlet_table": room("files"),
    "files": room(),
    "demo": room(),
    "models": room("alphabet", "ops", outside=ARRAYS | {"h5py", "memelite", "safetensors"}),
    "engine": room(),
    "engine.attention": engine("answers", "graph", "tracing", "naive.ops", "ops", "wrapped"),
    "engine.gradients": engine(
        "answers",
        "edits",
        "graph",
        "memory",
        "prepare",
        "rules",
        "tracing",
        "values",
        "workers",
        "ops",
    ),
    "engine.indels": engine(
        "answers",
        "graph",
        "prepare",
        "rows",
        "rules",
        "transfer",
        "values",
        "windows",
        "ops",
    ),
    "engine.pairs": engine(
        "answers",
        "chain",
        "edits",
        "graph",
        "memory",
        "planning",
        "prepare",
        "rows",
        "rules",
        "step",
        "tracing",
        "transfer",
        "windows",
        "workers",
    ),
    "engine.edits": engine(
        "answers",
        "chain",
        "graph",
        "memory",
        "planning",
        "precision",
        "prepare",
        "rows",
        "step",
        "tracing",
        "transfer",
        "values",
        "workers",
    ),
    "engine.prepare": engine(
        "alphabet",
        "answers",
        "device",
        "memory",
        "planning",
        "precision",
        "reading",
        "rows",
        "step",
        "tracing",
        "workers",
        "wrapped",
    ),
    "engine.planning": engine(
        "answers", "device", "graph", "rows", "rules", "transfer", "values", "windows"
    ),
    "engine.tracing": engine("answers", "graph", "rules", "step", "values", "windows"),
    "engine.answers": engine("graph", "rows", "rules", "transfer", "windows", "wrapped"),
    "engine.values": engine("graph", "rules", "windows", "ops"),
    "engine.rules": engine("chain", "step", "rows", "graph", "windows", "transfer", "ops"),
    "engine.chain": engine("graph", "rows", "step", "transfer", "ops"),
    "engine.step": engine("rows", "graph", "transfer", "ops"),
    "engine.graph": engine("windows", lazily=("engine.step", "engine.chain", "ops")),
    "engine.rows": engine("transfer", "ops"),
    "engine.shuffle": engine("reading", "ops"),
    "engine.precision": engine("ops"),
    "engine.device": engine(),
    "engine.memory": engine(),
    "engine.transfer": engine(),
    "engine.workers": engine(),
    "engine.windows": room(outside=frozenset()),
    "ops": room("_C", "naive.ops", lazily=("kernels",), outside=TORCH),
    "naive": room(outside=TORCH),
    "kernels": room(outside=frozenset({"torch", "triton"})),
    "_C": room(outside=frozenset()),
}


def room_of(module: str) -> str | None:
    """The room of ``engine.rules.conv`` is ``engine.rules``; None if the law knows none."""
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        name = ".".join(parts[:n])
        divided = any(each.startswith(f"{name}.") for each in LAW) or name == FACE
        if name in LAW and (name == module or not divided):
            return name
    return None


@dataclass(frozen=True)
class Import:
    base: str  # the module named
    name: str  # the name taken from it, or ""
    line: int
    lazy: bool  # inside a function or a TYPE_CHECKING block
    relative: int  # leading dots

    @property
    def full(self) -> str:
        return f"{self.base}.{self.name}".strip(".")


def imports(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a module, those by ``import_module("...")`` with a plain string included."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, lazy, 0)
        elif isinstance(node, ast.ImportFrom):
            folder = module.split(".") if is_package else module.split(".")[:-1]
            above = folder[: len(folder) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(base, alias.name, node.lineno, lazy, node.level)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            named = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
            yield from (Import(str(each), "", node.lineno, lazy, 0) for each in named)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        inside = inside or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), lazy=False)


def broken_law(each: Import, own: str) -> str | None:
    """Why ``own`` may not import this, or None if it may."""
    law, me = LAW[own], own or "nucleoscope"
    package, _, inner = each.full.partition(".")
    if package != "nucleoscope":
        free = law.outside is None or package in law.outside | sys.stdlib_module_names
        allowed = ", ".join(sorted(law.outside or ())) or "the standard library alone"
        return None if free else f"of other packages, {me} may import {allowed}"
    if own == "kernels" and each.relative != 1:
        return "kernels import their siblings relatively: `from .sibling import name`"
    target = room_of(inner)
    if target is None:  # then it is a name taken from the __init__ of a room
        target = room_of(each.base.removeprefix("nucleoscope").removeprefix("."))
    if target is None:
        return "no such room is in LAW"

    def among(rooms: frozenset[str]) -> bool:
        return any(target == r or (r and f"{inner}.".startswith(f"{r}.")) for r in rooms)

    if target == own or among(law.rooms) or (own and inner.startswith(f"{own}.")):
        return None
    if among(law.lazily):
        return (
            None
            if each.lazy
            else f"{me} may import {target} only inside a function or for type checking"
        )
    allowed = ", ".join(sorted(r or "nucleoscope" for r in law.rooms)) or "nothing of ours"
    return (
        f"{me} may import {allowed}. Imports point one way: move what both need into a room that "
        "both may import"
    )


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What breaks the law in the source of a module such as ``nucleoscope.engine.planning.plan``."""
    own = room_of(module.removeprefix("nucleoscope").removeprefix("."))
    if own is None:
        rooms = ", ".join(filter(None, LAW))
        advice = (
            f"{module} lies in no room. Put it into one that LAW in tests/test_architecture.py "
            f"knows ({rooms}); or, if it is a new room, add a line there that says what it may "
            "import, and describe the room in ARCHITECTURE.md."
        )
        return [advice]
    found = ((each, broken_law(each, own)) for each in imports(source, module, is_package))
    return [f"{module}:{each.line} imports {each.full}: {why}." for each, why in found if why]


def modules() -> Iterator[tuple[Path, str]]:
    for folder, package in [
        ("python/nucleoscope", "nucleoscope"),
        ("kernels", "nucleoscope.kernels"),
    ]:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield path, ".".join([package, *(part for part in parts if part != "__init__")])


def test_the_law_has_no_circle() -> None:
    def below(name: str) -> set[str]:
        parts = {each for each in LAW if each.startswith(f"{name}.")} if name else set()
        return {room_of(name) or FACE, *parts}

    rooms = {own: set().union(*map(below, law.rooms)) for own, law in LAW.items()}
    TopologicalSorter(rooms).prepare()  # raises CycleError, which names the circle


def test_imports_point_one_way() -> None:
    found = [
        each
        for path, module in modules()
        for each in violations(path.read_text(), module, path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("nucleoscope.engine.windows", "import torch", "the standard library alone"),
        ("nucleoscope.engine.windows", "from . import graph", "may import nothing of ours"),
        (
            "nucleoscope.engine.graph",
            "from nucleoscope.engine.planning.plan import Plan",
            "point one way",
        ),
        (
            "nucleoscope.engine.rules.conv",
            "from ..tracing.trace import trace",
            "engine.rules may import",
        ),
        ("nucleoscope.naive.ops.made_up", "from nucleoscope.ops import made_up", "nothing of ours"),
        ("nucleoscope.naive.ops.made_up", "import numpy", "may import torch"),
        (
            "nucleoscope.methods.edits.made_up",
            "from nucleoscope import ops",
            "methods.edits may import",
        ),
        (
            "nucleoscope.methods.edits.made_up",
            "from nucleoscope.naive.ops import x",
            "methods.edits may import",
        ),
        (
            "nucleoscope.methods.edits.made_up",
            "from nucleoscope import made_up",
            "methods.edits may import",
        ),
        (
            "nucleoscope.cli.made_up",
            "import nucleoscope.engine.edits.run",
            "cli may import alphabet, demo, evaluate, files, models, nucleoscope, plot, scan",
        ),
        ("nucleoscope.ops.made_up", "from nucleoscope.kernels import x", "only inside a function"),
        ("nucleoscope.ops.made_up", "import triton", "ops may import torch"),
        ("nucleoscope.ops.made_up", "import nucleoscope.utils", "no such room"),
        ("nucleoscope.ops.made_up", "x = import_module('nucleoscope.engine')", "ops may import"),
        ("nucleoscope.kernels.made_up", "from nucleoscope.kernels.x import y", "relatively"),
        ("nucleoscope.kernels.made_up", "from nucleoscope.ops import y", "relatively"),
        ("nucleoscope.kernels.made_up", "from ..ops import y", "relatively"),
        ("nucleoscope.shed", "", "lies in no room"),
        ("nucleoscope.engine.shed", "", "lies in no room"),
        ("nucleoscope", "from nucleoscope.engine.edits.run import run", "nucleoscope may import"),
    ],
)
def test_a_violation_is_found(module: str, source: str, message: str) -> None:
    (found,) = violations(source, module, is_package=module == "nucleoscope")
    assert message in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nucleoscope", "from .methods.edits.mutagenesis import saturation_mutagenesis"),
        ("nucleoscope.cli.made_up", "import click\nfrom nucleoscope import saturation_mutagenesis"),
        ("nucleoscope.methods.edits.made_up", "from nucleoscope.engine.edits.run import run"),
        ("nucleoscope.methods.edits.made_up", "from nucleoscope.naive.methods import x"),
        ("nucleoscope.engine.planning.plan", "import math, torch\nfrom ..rules.conv import Conv"),
        ("nucleoscope.ops.made_up", "def _cuda():\n  from nucleoscope.kernels.made_up import x"),
        ("nucleoscope.ops.made_up", "from nucleoscope import _C"),
        ("nucleoscope.kernels.made_up", "import triton.language as tl\nfrom ._tiles import TILE"),
    ],
)
def test_what_is_lawful_passes(module: str, source: str) -> None:
    assert violations(source, module, is_package=module == "nucleoscope") == []
