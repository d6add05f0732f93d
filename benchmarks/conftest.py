"""Every benchmark records what it ran on; compare only results that were timed in one run."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from nucleoscope import _C


def processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@pytest.fixture(autouse=True)
def conditions(request: pytest.FixtureRequest) -> None:
    """Put machine, versions and thread count beside each time, and the random seed before it."""
    torch.manual_seed(0)
    if "benchmark" not in request.fixturenames:
        return
    found: dict[str, Any] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instruction_set": _C.isa(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }
    request.getfixturevalue("benchmark").extra_info.update(found)
