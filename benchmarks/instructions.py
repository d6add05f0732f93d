"""Counts the instructions of single ops: `python benchmarks/instructions.py`, or with `--accept`.

Seconds differ from run to run and from machine to machine; what callgrind counts does not, so that a few
per cent are seen. It runs no AVX-512, so AVX2 (v3) is what is counted. The compiler decides as much as the
source does: counts of another one are told, and not judged.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "instructions.json"
MOST = 0.02  # that a case may grow by unremarked
ACCEPT = "python benchmarks/instructions.py --accept"


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints; the reason, and the end, where it fails.

    Raises:
        click.ClickException: it could not be run, or failed.
    """
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        raise click.ClickException(f"{words[0]} is not there; it is needed to count")
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise click.ClickException(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def built(folder: Path) -> Path:
    """The program that holds the cases, made from the sources as they are."""
    run(
        "cmake", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release",
        "-DNUCLEOSCOPE_TESTS=ON", "-DNUCLEOSCOPE_MODULE=OFF",
    )  # fmt: skip
    run("cmake", "--build", folder, "--target", "counted")
    return folder / "tests" / "csrc" / "counted"


def instructions(program: Path, case: str) -> int:
    """Of one call of a case.

    Raises:
        click.ClickException: callgrind does not say.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        run(
            "valgrind", "--tool=callgrind", "--toggle-collect=counted_call",
            f"--callgrind-out-file={out}", program, case,
            NUCLEOSCOPE_ISA="v3",
        )  # fmt: skip
        found = re.search(r"^totals: (\d+)$", out.read_text(), re.MULTILINE)
    if found is None or int(found[1]) == 0:
        raise click.ClickException(f"callgrind counted nothing of {case!r}")
    return int(found[1])


def counted(program: Path) -> dict[str, Any]:
    """Every case's instructions, and what compiled them."""
    compiler, *names = run(program).splitlines()
    return {
        "compiler": compiler,
        "instruction_set": "v3",
        "cases": {name: instructions(program, name) for name in names},
    }


def compared(now: dict[str, Any], before: dict[str, Any]) -> tuple[list[str], list[str]]:
    """A line for each case, and those that say why the counts are not accepted."""
    lines, refused = [], []
    same = now["compiler"] == before["compiler"]
    if not same:
        lines.append(
            f"compiler: {now['compiler']}, accepted were counts of {before['compiler']}: not judged"
        )
    for case in sorted(now["cases"].keys() | before["cases"].keys()):
        count, was = now["cases"].get(case), before["cases"].get(case)
        if count is None or was is None:
            lines.append(f"{case}: {'gone' if count is None else f'{count:,}, new'}")
            refused.append(f"{case} is {'gone' if count is None else 'new'}")
            continue
        lines.append(f"{case}: {count:,} instructions, {count / was - 1:+.2%}")
        if same and count > was * (1 + MOST):
            refused.append(f"{case} grew by {count / was - 1:.1%}: {was:,} -> {count:,}")
    return lines, refused


@click.command()
@click.option("--accept", is_flag=True, help="Write the counts instead of comparing them.")
@click.option(
    "--build", type=click.Path(path_type=Path), default=ROOT / "build" / "instructions",
    help="Folder to build in; kept, so that the next run compiles only what changed.",
)  # fmt: skip
def main(accept: bool, build: Path) -> None:
    """Compare the ops' instructions with the accepted ones."""
    now = counted(built(build))
    if accept:
        RESULTS.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")
        click.echo(f"written to {RESULTS.relative_to(ROOT)}:\n{RESULTS.read_text()}", nl=False)
        return
    if not RESULTS.exists():
        raise click.ClickException(f"no counts are accepted yet: {ACCEPT}")
    lines, refused = compared(now, json.loads(RESULTS.read_text()))
    click.echo("\n".join(lines))
    if refused:
        raise click.ClickException(f"{'; '.join(refused)}. To accept it: {ACCEPT}")


if __name__ == "__main__":
    main()
