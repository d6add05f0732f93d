"""Fixtures for every test: devices, seeds, data, poisoned memory, compilation ahead of time."""

import json
import os
import signal
import subprocess
import sys
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
def compile_ahead() -> Callable[..., list[dict[str, Any]]]:
    """``compile_ahead("edit_lookup", arguments)`` compiles what that launcher launches.

    An argument is a number, or ``("float32", (2, 3))`` for a tensor, or a tuple of such; arguments by
    name are a dictionary. Several launches may follow each other. Returns what tests/ahead_of_time.py
    reports of each kernel. It runs as a process of its own: in this one triton may be interpreting,
    which is settled once, when it is imported.
    """
    program = Path(__file__).with_name("ahead_of_time.py")

    def run(
        kernel: str, *launches: Any, capabilities: tuple[int | str, ...] = (80, 90)
    ) -> list[dict[str, Any]]:
        job = {"kernel": kernel, "launches": launches, "capabilities": capabilities}
        done = subprocess.run(
            [sys.executable, program],
            input=json.dumps(job),
            env={k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{kernel} does not compile:\n{done.stderr}"
        kernels: list[dict[str, Any]] = json.loads(done.stdout)
        compiled = {each["capability"] for each in kernels}
        assert compiled == set(capabilities), f"the launcher of {kernel} launched nothing"
        return kernels

    return run
