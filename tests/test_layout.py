"""Where things lie: an op in six places, csrc in layers, short files named for their content."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# An op that has no twin in one of the six places yet: {op: {place: reason}}.
NO_TWIN_YET: dict[str, dict[str, str]] = {
    "dinucleotide_shuffle": {
        "kernels": "a walk goes step by step, and letters are a few bytes: a GPU's are walked by the host"
    },
    "conv": {"kernels": "a whole layer on a GPU is torch's own convolution, which is cuDNN's"},
}
PLACES = {
    "csrc/ops": ["{}.h", "{}.cpp"],
    "kernels": ["{}.py"],
    "python/nucleoscope/naive/ops": ["{}.py"],
    "python/nucleoscope/ops": ["{}.py"],
    "tests/ops": ["test_{}.py"],
    "benchmarks/ops": ["bench_{}.py"],
}
# Ops are compiled once per instruction set, so they may include only what has no inline functions.
PER_ISA_HEADERS = {"cstddef", "cstdint", "cstring", "immintrin.h", "omp.h", "type_traits"}


def missing_twins(root: Path, excused: dict[str, dict[str, str]]) -> list[str]:
    """Files that an op lacks in one of its six places, and excuses that excuse nothing."""
    ops = {
        stem.group(1)
        for place, patterns in PLACES.items()
        for path in (root / place).glob("*.*")
        for pattern in patterns
        if (
            stem := re.fullmatch(
                re.escape(pattern).replace(r"\{\}", "([a-z][a-z0-9_]*)"), path.name
            )
        )
    }
    found = []
    for op in sorted(ops | excused.keys()):
        for place, patterns in PLACES.items():
            absent = [
                f for f in (p.format(op) for p in patterns) if not (root / place / f).exists()
            ]
            reason = excused.get(op, {}).get(place)
            if absent and not reason:
                found.append(
                    f"{op} has no {place}/{' and '.join(absent)}: write it, or give the "
                    "reason in NO_TWIN_YET in tests/test_layout.py"
                )
            if reason and not absent:
                found.append(f"{op} has its twin in {place} now: take it out of NO_TWIN_YET")
    return found


def test_one_op_six_places() -> None:
    assert missing_twins(ROOT, NO_TWIN_YET) == []


def test_a_missing_twin_is_found(tmp_path: Path) -> None:
    for place, patterns in PLACES.items():
        (tmp_path / place).mkdir(parents=True)
        for pattern in patterns:
            (tmp_path / place / pattern.format("made_up")).touch()
    assert missing_twins(tmp_path, {}) == []
    assert missing_twins(tmp_path, {"made_up": {"kernels": "stale"}})
    for place, patterns in PLACES.items():
        twin = tmp_path / place / patterns[-1].format("made_up")
        twin.unlink()
        (found,) = missing_twins(tmp_path, {})
        assert found.startswith(f"made_up has no {place}/{twin.name}")
        assert missing_twins(tmp_path, {"made_up": {place: "not possible there"}}) == []
        twin.touch()


def include_violations(source: str, place: str) -> list[str]:
    """bind -> ops -> support; neither Python nor torch above bind; no STL where an op sees it."""
    below = {
        "bind": ("bind/", "ops/", "support/"),
        "ops": ("ops/", "support/"),
        "support": ("support/",),
    }
    folder = place.partition("/")[0]
    per_isa = folder == "ops" or place in {"support/parallel.h", "support/simd.h", "support/isa.h"}
    found = []
    for quote, header in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', source, re.MULTILINE):
        if quote == '"' and not header.startswith(below[folder]):
            found.append(f"{place} includes {header}: csrc points bind -> ops -> support")
        if quote == "<" and folder != "bind" and re.match("pybind11|torch|ATen|c10|Python", header):
            found.append(f"{place} includes <{header}>: Python and torch end at csrc/bind")
        elif quote == "<" and per_isa and header not in PER_ISA_HEADERS:
            found.append(
                f"{place} includes <{header}>: its inline functions would be compiled per "
                "instruction set and the wrong copy kept; see csrc/support/isa.h"
            )
    return found


def test_csrc_includes_point_one_way() -> None:
    sources = [
        p for p in sorted((ROOT / "csrc").rglob("*.*")) if p.suffix in {".h", ".cpp", ".inc"}
    ]
    places = {str(path.relative_to(ROOT / "csrc")): path for path in sources}
    found = [
        v for place, path in places.items() for v in include_violations(path.read_text(), place)
    ]
    assert sources
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("ops/x.cpp", '#include "bind/y.h"'),
        ("support/x.h", '#include "ops/y.h"'),
        ("ops/x.h", "#include <torch/extension.h>"),
        ("support/x.cpp", "# include <pybind11/pybind11.h>"),
        ("ops/x.cpp", "#include <vector>"),
        ("support/parallel.h", "#include <algorithm>"),
    ],
)
def test_a_wrong_include_is_found(place: str, source: str) -> None:
    assert len(include_violations(source, place)) == 1


def test_files_are_short_and_named_for_what_they_hold() -> None:
    found = []
    for folder in ("python", "kernels", "csrc"):
        for path in sorted((ROOT / folder).rglob("*.*")):
            if path.suffix not in {".py", ".h", ".cpp", ".inc"}:
                continue
            lines = len(path.read_text().splitlines())
            if lines > 300:
                found.append(f"{path.relative_to(ROOT)} has {lines} lines, more than 300: split it")
            if {"utils", "util", "helpers", "helper"} & {path.stem, path.parent.name}:
                found.append(f"{path.relative_to(ROOT)}: name it after what it does")
    assert not found, "\n".join(found)
