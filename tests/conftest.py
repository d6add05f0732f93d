"""Fixtures for every test: devices, seeds, data, poisoned memory, compilation ahead of time."""

import importlib
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

# Triton's own helpers are decorated when triton is imported, so this cannot wait for a fixture.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in every test, whichever tests run before it."""
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device in turn. Without CUDA the second is skipped; ``pytest -m gpu`` runs it alone."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch.cuda.is_available() is false: no CUDA device to test on")
    return torch.device(request.param)


@pytest.fixture
def nucleoscope_data() -> Path:
    """The folder of real models and sequences that NUCLEOSCOPE_DATA names; skipped without it."""
    folder = os.environ.get("NUCLEOSCOPE_DATA")
    if not folder:
        pytest.skip("NUCLEOSCOPE_DATA is not set: it names the folder of real models and sequences")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"NUCLEOSCOPE_DATA is {folder}, which is not a folder")
    return path


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Processes started in the test hear SIGINT, even where the tests themselves run in the background.

    A shell starts a background job deaf to it, and its children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def threads() -> Any:
    """``threads(n)`` sets torch's thread count, and ours with it, until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill with NaN (integers: the least value) what the package allocates without initialising.

    An element that an op forgets to write is then seen at once, not once in a thousand runs.
    """

    def poisoning(allocate: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def allocate_and_poison(*args: Any, **kwargs: Any) -> torch.Tensor:
            out = allocate(*args, **kwargs)
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.partition(".")[0] != "nucleoscope" or out.dtype == torch.bool:
                return out
            floating = out.dtype.is_floating_point or out.dtype.is_complex
            return out.fill_(float("nan") if floating else torch.iinfo(out.dtype).min)

        return allocate_and_poison

    for owner, name in [
        (torch, "empty"),
        (torch, "empty_like"),
        (torch, "empty_strided"),
        (torch.Tensor, "new_empty"),
        (torch.Tensor, "new_empty_strided"),
    ]:
        monkeypatch.setattr(owner, name, poisoning(getattr(owner, name)))


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Ops on CPU tensors take the branch of a GPU, and triton interprets its kernels.

    Gives the size of their blocks, which are larger than a GPU's: the interpreter's time goes by their
    number. Where there is a GPU, the tests that take a ``device`` run the kernels themselves.
    """
    if torch.cuda.is_available():
        pytest.skip("triton compiles here: see the tests on the device cuda")
    from nucleoscope.kernels._blocks import BLOCK

    for name, size in {**BLOCK, "BLOCK_LINES": 128}.items():
        monkeypatch.setitem(BLOCK, name, size)
    library = torch.library.Library("nucleoscope", "IMPL")
    folder = Path(__file__).parents[1] / "python/nucleoscope/ops"
    for op in sorted(path.stem for path in folder.glob("[a-z]*.py")):
        module = importlib.import_module(f"nucleoscope.ops.{op}")
        branch = getattr(module, "_cuda", None) or module._other
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it overrides
            library.impl(op, branch, "CPU", allow_override=True)
    yield BLOCK
    library._destroy()


@pytest.fixture
def compile_ahead() -> Callable[..., list[dict[str, Any]]]:
    """``compile_ahead("edit_lookup", arguments, name=...)`` compiles what that launcher launches.

    An argument is a number, a text, None, ``("float32", (2, 3))`` for a tensor, or a tuple of these.
    Another launcher of a file is ``"edit_lookup.look_up_at"``. Returns what tests/ahead_of_time.py
    reports of each launch. It runs as a process of its own: in this one triton may be interpreting,
    which is settled once, when it is imported. For many, ``calls=[(label, kernel, arguments, named)]``.
    """
    program = Path(__file__).with_name("ahead_of_time.py")

    def run(
        kernel: str = "", arguments: tuple[Any, ...] = (), capabilities: tuple[int, ...] = (80, 90), *,
        calls: list[tuple[Any, ...]] | None = None, **named: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        calls = calls or [(kernel, kernel, arguments, named)]
        done = subprocess.run(
            [sys.executable, program],
            input=json.dumps({"calls": calls, "capabilities": capabilities}),
            env={k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{[each[0] for each in calls]} do not compile:\n{done.stderr}"
        launches: list[dict[str, Any]] = json.loads(done.stdout)
        assert {each["capability"] for each in launches} == set(capabilities)
        return launches

    return run
