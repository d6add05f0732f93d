"""The ops without Python, under AddressSanitizer and UBSan, on every instruction set there is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "int main() { return 0; }\n"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def compiler_with_sanitizers(folder: Path) -> str:
    """The compiler that CMake takes; skips where none is, or none whose sanitized programs run."""
    named = os.environ.get("CXX", "")
    found = shutil.which(named) if named else shutil.which("c++") or shutil.which("g++")
    if not found:
        pytest.skip(f"no C++ compiler: {named or 'c++ and g++'} not found")
    source, program = folder / "nothing.cpp", folder / "nothing"
    source.write_text(PROGRAM)
    made = run(found, "-fsanitize=address,undefined", source, "-o", program)
    if made.returncode:
        pytest.skip(f"{found} has no sanitizers: {made.stderr.strip()}")
    ran = run(program)
    if ran.returncode:
        pytest.skip(f"what {found} sanitizes does not run here: {ran.stderr.strip()}")
    return found


@pytest.mark.slow
def test_ops_are_clean_under_sanitizers(tmp_path: Path) -> None:
    cmake, ctest = shutil.which("cmake"), shutil.which("ctest")
    if not cmake or not ctest:
        pytest.skip("cmake or ctest not found")
    compiler = compiler_with_sanitizers(tmp_path)
    build = tmp_path / "build"
    configured = run(
        cmake, "-S", ROOT, "-B", build, f"-DCMAKE_CXX_COMPILER={compiler}",
        "-DNUCLEOSCOPE_TESTS=ON", "-DNUCLEOSCOPE_SANITIZE=ON", "-DNUCLEOSCOPE_MODULE=OFF",
    )  # fmt: skip
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = run(cmake, "--build", build, "--target", "check_ops")
    assert built.returncode == 0, built.stdout + built.stderr
    tested = run(ctest, "--test-dir", build, "--output-on-failure", "--no-tests=error")
    assert tested.returncode == 0, tested.stdout + tested.stderr
