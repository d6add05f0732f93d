"""Compile the kernels that a launcher launches, for GPUs that need not be there.

The launcher itself is called, on meta tensors and with a driver that can only compile: so the
specialisation, the block sizes and the warps are those of a real launch. Reads a job from standard
input and writes one record per launch: see the fixture ``compile_ahead``.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
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
    """Registers a thread, bytes spilled a thread, shared memory a block, instructions for matrices."""
    found = _of_amd(compiled) if compiled.metadata.target.backend == "hip" else _of_nvidia(compiled)
    return {
        "name": compiled.metadata.name,
        "capability": compiled.metadata.target.arch,
        "shared": compiled.metadata.shared,
        **found,
    }


def _of_nvidia(compiled: Any) -> dict[str, Any]:
    capability, code = compiled.metadata.target.arch, compiled.asm["ptx"]
    architecture = "sm_90a" if capability == 90 else f"sm_{capability}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(code)
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
    copies = re.findall(r"cp\.async\.c[ag]\.shared\.global \[[^]]*\], \[[^]]*\], (\w+)", code)
    return {
        "registers": int(registers[1]),
        "spilled": int(spilled[1]) + int(spilled[2]),
        "matrix": sorted(set(re.findall(r"wgmma\.mma_async|mma\.sync", code))),
        "copied": sorted({int(size, 0) for size in copies}),  # bytes of one copy to shared memory
    }


def _of_amd(compiled: Any) -> dict[str, Any]:
    code = compiled.asm["amdgcn"]

    def number(name: str) -> int:
        found = re.search(rf"\.{name}:\s+(\d+)", code)
        if found is None:
            raise RuntimeError(f"the compiled code does not say its {name}")
        return int(found[1])

    return {
        "registers": number("vgpr_count"),
        "spilled": number("vgpr_spill_count") + number("sgpr_spill_count"),
        "matrix": ["v_mfma"] if "v_mfma" in code else [],
        "copied": [],
    }


def argument(each: Any) -> Any:
    """An argument written down as json: ``["float32", [2, 3]]`` for a tensor, lists for tuples, fields by name."""
    if isinstance(each, dict):
        return SimpleNamespace(**{name: argument(inner) for name, inner in each.items()})
    if not isinstance(each, list):
        return each
    if each and isinstance(each[0], str):
        return torch.empty(each[1], dtype=getattr(torch, each[0]), device="meta")
    return tuple(argument(inner) for inner in each)


def main() -> None:
    job = json.load(sys.stdin)
    file, _, launcher = job["kernel"].partition(".")
    module = importlib.import_module(f"nucleoscope.kernels.{file}")
    records = []
    run = JITFunction.run

    def compile_instead(self: JITFunction, *args: Any, **kwargs: Any) -> Any:
        self.device_caches.clear()  # they are kept by device number, not by what the device is
        compiled = run(self, *args, **{**kwargs, "warmup": True})
        records.append(resources(compiled))
        return compiled

    JITFunction.run = compile_instead
    for arch in job["capabilities"]:
        target = (
            GPUTarget("hip", arch, 64) if isinstance(arch, str) else GPUTarget("cuda", arch, 32)
        )
        triton.runtime.driver.set_active(CompileOnlyDriver(target))
        for launch in job["launches"]:
            named = launch if isinstance(launch, dict) else {}
            plain = () if named else [argument(each) for each in launch]
            getattr(module, launcher or file)(*plain, **{k: argument(v) for k, v in named.items()})
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main()
