#!/usr/bin/env bash
# One command on a machine with a GPU: builds, runs the GPU tests, measures; 8 minutes at most.
#
#   benchmarks/gpu/run.sh                        results in benchmarks/results/gpu/
#   benchmarks/gpu/run.sh --device cpu --tiny    tries the command itself, without a GPU
#
# Needs torch, triton, pybind11, scikit-build-core, cmake, pytest and a C++ compiler, or wheels of what is
# missing: WHEELS names a folder, made where there is a network by
#   pip download -d wheels tangermeme==1.6.0 pytest pytest-xdist hypothesis matplotlib scikit-build-core pybind11 cmake ninja tqdm click pyfaidx
# (leave torch's own wheels out of it). Further arguments go to `python -m benchmarks.gpu.measure`.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${PYTHON:=python3}" "${WHEELS:=}" "${OUT:=benchmarks/results/gpu}"
begun=$SECONDS
left() { local rest=$((470 - (SECONDS - begun))); echo $((rest > 1 ? rest : 1)); }

if [[ " $* " != *" --device cpu "* ]] && ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'
then
  echo "run.sh: torch.cuda.is_available() is false: no GPU here. --device cpu --tiny tries the command." >&2
  exit 3
fi

place=build/gpu-environment
"$PYTHON" -m venv --clear --system-site-packages "$place"
python=$PWD/$place/bin/python
# A venv of a venv would not see the outer one's packages, nor what its own .pth files add.
"$PYTHON" -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
  > "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/outer.pth"
if [[ -n $WHEELS ]]; then
  "$python" -m pip install -q --no-index --no-deps "$WHEELS"/*.whl
fi
lacking=$("$python" - <<'END'
from importlib.util import find_spec
need = (
    "torch", "triton", "pybind11", "scikit_build_core", "pytest", "hypothesis", "matplotlib", "numpy", "click",
    "pyfaidx", "tqdm",
)
print(*(name for name in need if find_spec(name) is None))
END
)
if [[ -n $lacking ]]; then
  echo "run.sh: missing: $lacking. Install them, or give WHEELS (see the head of this file)." >&2
  exit 4
fi
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
timeout "$(left)" "$python" -m pip install -q --no-build-isolation --no-deps --no-index . || {
  echo "run.sh: the build failed, or was not done after $((SECONDS - begun)) s" >&2
  exit 5
}
echo "built after $((SECONDS - begun)) s"

mkdir -p "$OUT" && rm -f "$OUT"/results.*
tests=0
timeout 240 "$python" -m pytest -q -m gpu --junit-xml="$OUT/tests.xml" -p no:cacheprovider tests \
  > "$OUT/tests.txt" 2>&1 || tests=$?
tail -n 3 "$OUT/tests.txt"
echo "tests: exit status $tests after $((SECONDS - begun)) s (5: none was run)"

timeout "$(left)" "$python" -m benchmarks.gpu.measure --out "$OUT" --seconds "$(( $(left) > 21 ? $(left) - 20 : 1 ))" "$@" ||
  echo "run.sh: the measurement ended early; what it had is in $OUT" >&2
[[ -e $OUT/results.json ]]
"$python" - "$OUT" "$tests" <<'END'
import json, pathlib, sys
path = pathlib.Path(sys.argv[1], "results.json")
results = json.loads(path.read_text())
results["tests"] = {"exit_status": int(sys.argv[2]), "last_line": pathlib.Path(sys.argv[1], "tests.txt").read_text().splitlines()[-1]}
path.write_text(json.dumps(results, indent=1) + "\n")
END
echo "done after $((SECONDS - begun)) s: $OUT/results.json, $OUT/results.txt"
[[ $tests == 0 || $tests == 5 ]]
