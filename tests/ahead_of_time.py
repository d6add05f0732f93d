"""Compile the kernels that launchers launch, for GPUs that need not be there.

A launcher itself is called, on meta tensors and with a driver that can only compile: so the
specialisation, the block sizes and the warps are those of a real launch. Reads the calls from standard
input and writes one record per launch: see the fixture ``compile_ahead``.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.backends.nvidia.compiler import get_ptxas
from triton.runtime.jit import JITFunction


class CompileOnlyDriver(DriverBase):
    def __init__(self, target: GPUTarget) -> None:
        self.target = target
        super().__init__()

    @classmethod
    def is_active(cls) -> bool:
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        raise NotImplementedError("nothing is launched here")

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_active_torch_device(self) -> torch.device:
        return torch.device("meta")

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int = 0) -> int:  # noqa: ARG002
        return 0

    def get_benchmarker(self) -> Any:
        raise NotImplementedError("nothing is timed here")


def resources(compiled: Any) -> dict[str, Any]:
    """Registers a thread, bytes spilled a thread, bytes of shared memory a block."""
    capability = compiled.metadata.target.arch
    architecture = "sm_90a" if capability == 90 else f"sm_{capability}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(compiled.asm["ptx"])
        report = subprocess.run(
            [
                get_ptxas(capability).path,
                "-v",
                f"-arch={architecture}",
                source,
                "-o",
                Path(folder, "kernel.cubin"),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    spilled = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    registers = re.search(r"Used (\d+) registers", report)
    if spilled is None or registers is None:
        raise RuntimeError(f"ptxas -v printed neither registers nor spills:\n{report}")
    return {
        "name": compiled.metadata.name,
        "capability": capability,
        "registers": int(registers[1]),
        "spilled": int(spilled[1]) + int(spilled[2]),
        "shared": compiled.metadata.shared,
    }


def made(argument: Any) -> Any:
    """A tensor of ["float32", [2, 3]], a tuple of any other list."""
    if not isinstance(argument, list):
        return argument
    if len(argument) == 2 and isinstance(argument[0], str):
        return torch.empty(argument[1], dtype=getattr(torch, argument[0]), device="meta")
    return tuple(made(each) for each in argument)


def main() -> None:
    job = json.load(sys.stdin)
    records: list[dict[str, Any]] = []
    run = JITFunction.run

    def compile_instead(self: JITFunction, *args: Any, **kwargs: Any) -> Any:
        self.device_caches.clear()  # they are kept by device number, not by what the device is
        compiled = run(self, *args, **{**kwargs, "warmup": True})
        records.append(resources(compiled))
        return compiled

    JITFunction.run = compile_instead
    for capability in job["capabilities"]:
        triton.runtime.driver.set_active(CompileOnlyDriver(GPUTarget("cuda", capability, 32)))
        for label, kernel, arguments, named in job["calls"]:
            file, _, launcher = kernel.partition(".")
            module = importlib.import_module(f"nucleoscope.kernels.{file}")
            before = len(records)
            named = {name: made(value) for name, value in named.items()}
            getattr(module, launcher or file)(*made(arguments), **named)
            if len(records) == before:
                raise RuntimeError(f"the launcher of {label} launched nothing")
            for record in records[before:]:
                record["label"] = label
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main()
