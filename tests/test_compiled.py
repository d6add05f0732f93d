"""The compiled part: it loads or says why not, and runs the instruction set that was asked for."""

import os
import subprocess
import sys

import pytest
import torch

from nucleoscope import _C


def run(program: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUCLEOSCOPE_ISA": isa},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("isa", _C.available_isas())
def test_environment_forces_an_instruction_set(isa: str) -> None:
    assert run("from nucleoscope import _C; print(_C.isa())", isa).stdout == f"{isa}\n"


def test_without_it_the_newest_is_used() -> None:
    done = run("from nucleoscope import _C; print(_C.isa() == _C.available_isas()[-1])")
    assert done.stdout == "True\n"


def test_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'v9' cannot be used here: .* has base"):
        _C.use_isa("v9")
    done = run("import nucleoscope.ops", isa="v9")
    assert done.returncode != 0
    assert "instruction set 'v9' cannot be used here" in done.stderr
    assert "unset NUCLEOSCOPE_ISA" in done.stderr


def test_missing_build_says_how_to_build() -> None:
    done = run("import sys; sys.modules['nucleoscope._C'] = None; import nucleoscope.ops")
    assert done.returncode != 0
    assert "The compiled part of nucleoscope (_C) could not be loaded" in done.stderr
    assert "pip install ." in done.stderr


def test_cpu_users_need_no_triton() -> None:
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from nucleoscope.ops import edit_lookup\n"
        "i = torch.zeros(1, 1, dtype=torch.int32)\n"
        "print(edit_lookup(torch.ones(1, 4, 2), i, i[0], i - 1).flatten().tolist())"
    )
    done = run(program)
    assert done.stdout == "[-1.0, -1.0]\n", done.stderr


@pytest.mark.parametrize(
    ("indices", "length", "within"),
    [([], 0, True), ([-1], 0, True), ([0], 0, False), ([2, 3], 4, True), ([4], 4, False)],
)
def test_indices_within(indices: list[int], length: int, within: bool) -> None:
    tensor = torch.tensor(indices, dtype=torch.int32)
    assert _C.indices_within(tensor.data_ptr(), tensor.numel(), length) is within
