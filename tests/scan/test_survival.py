"""Scans whose process, worker or disk fails at any point: what is done is kept, and the end is the same."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import filelock
import numpy as np
import pytest
import torch

import nucleoscope
from nucleoscope.scan import provenance
from nucleoscope.scan.run import visible_gpus
from nucleoscope.scan.shards.drive import drive
from nucleoscope.scan.shards.executors import Executor, Inline, Processes
from nucleoscope.scan.shards.folder import Folder, Shard
from nucleoscope.scan.shards.job import Arrays
from nucleoscope.scan.shards.progress import Progress
from tests.scan.genomes import CHR1, bases, dense_net, pooled_net, write_fasta
from tests.scan.test_scan import contents

pytest.importorskip("zarr", reason="scans are stored by zarr")
HERE = Path(__file__).parent
GIVEN: dict[str, Any] = {"target": 1, "cell": 60, "shard_bases": 60}
PROGRAM = """
import sys, time
import torch
sys.path.insert(0, {here!r})
from genomes import pooled_net
import nucleoscope
from nucleoscope.scan.shards import folder

kept = folder.Folder.keep
def slowly(self, number, arrays):
    kept(self, number, arrays)
    print(number, flush=True)
    time.sleep(0.2)
folder.Folder.keep = slowly

if __name__ == "__main__":
    torch.set_num_threads(1)
    nucleoscope.scan(pooled_net(), {genome!r}, None, {out!r}, target=1, cell=60, shard_bases=60,
                     threads=1, resume=True, workers=int(sys.argv[1]))
"""


LIMITED = """
import json, resource, sys
from pathlib import Path
import torch
sys.path.insert(0, {here!r})
from genomes import pooled_net
import nucleoscope

def scan(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        nucleoscope.scan(pooled_net(), {genome!r}, None, out, target=1, cell=240, shard_bases=240,
                         threads=1, resume=True)
        error = 0
    except OSError as refused:
        error = refused.errno
    shards, store = list((out / "shards").glob("*")), (out / "scores.zarr").exists()
    print(json.dumps([error, len(shards), sum(path.name.startswith(".") for path in shards), store]))

if __name__ == "__main__":
    out = Path({out!r})
    torch.set_num_threads(1)
    for most in (4000, 9000, resource.RLIM_INFINITY):
        scan(most)
"""


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa", {"chr1": CHR1[:300]})


@pytest.fixture(autouse=True)
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of commands give the same net a name, which another process does not know."""
    monkeypatch.setattr(provenance, "_SOURCES", WeakKeyDictionary())


def scan(genome: Path, out: Path, **more: Any) -> nucleoscope.Scan:
    return nucleoscope.scan(pooled_net(), genome, None, out, threads=1, **GIVEN, **more)


class Killed(BaseException):
    """What no except clause of ours catches, as nothing catches kill -9."""


def test_killed_at_every_write_a_resumed_scan_is_the_same(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the n-th file takes its name, for all n up to the end of the store."""
    net, regions = dense_net(20), ["chr1:1-20", "chr1:101-120"]

    def scan(out: Path, **more: Any) -> nucleoscope.Scan:
        return nucleoscope.scan(
            net, genome, regions, out, threads=1, shard_bases=20, target=0, verify=0, **more
        )

    wanted = contents(scan(tmp_path / "whole").store)
    replace, left = Path.replace, [0]

    def dying(path: Path, target: Any) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", dying)
    for allowed in range(100):
        out, left[0] = tmp_path / f"o{allowed}", allowed
        try:
            scan(out)
        except Killed:
            assert not (out / "scores.zarr").exists()
        else:
            break
        left[0] = 1000
        assert contents(scan(out, resume=True).store) == wanted, allowed
    assert allowed > 6, "four files before the shards, two shards, the store"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kill_9_and_resume(genome: Path, tmp_path: Path, workers: int) -> None:
    """A real process, killed behind its second checkpoint; its workers end with it."""
    out = tmp_path / "o"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(here=str(HERE), genome=str(genome), out=str(out)))
    command = [sys.executable, str(program), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
    done = len(list((out / "shards").glob("[0-9]*.npz")))
    assert 2 <= done < 5
    until = time.monotonic() + 20
    while any(map(_alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_alive, children))
    again = scan(genome, out, resume=True)
    assert again.clean
    assert contents(again.store) == contents(scan(genome, tmp_path / "whole").store)


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_full_disk_stops_the_scan_and_loses_nothing(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savez, saved = np.savez, [0]

    def full(file: Any, **arrays: Any) -> None:
        saved[0] += 1
        if saved[0] > 2:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        savez(file, **arrays)

    with monkeypatch.context() as disk:
        disk.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            scan(genome, tmp_path / "o")
    assert len(list((tmp_path / "o/shards").iterdir())) == 2
    assert contents(scan(genome, tmp_path / "o", resume=True).store) == contents(
        scan(genome, tmp_path / "whole").store
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_the_kernel_refuses_a_checkpoint_and_then_the_store(tmp_path: Path) -> None:
    """A limit of a file's size, in a process of its own: no file of more than so many bytes can be written."""
    genome = write_fasta(tmp_path / "g.fa", {"chr1": bases(3000)})
    out, program = tmp_path / "o", tmp_path / "program.py"
    program.write_text(LIMITED.format(here=str(HERE), genome=str(genome), out=str(out)))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    at_a_checkpoint, at_the_store, at_last = map(json.loads, done.stdout.splitlines())
    assert at_a_checkpoint == [errno.EFBIG, 0, 0, False]
    assert at_the_store == [errno.EFBIG, 13, 0, False]
    assert at_last == [0, 0, 0, True]
    given = {"target": 1, "cell": 240, "shard_bases": 240, "threads": 1}
    whole = nucleoscope.scan(pooled_net(), genome, None, tmp_path / "whole", **given)
    assert contents(out / "scores.zarr") == contents(whole.store)


def test_a_damaged_checkpoint_is_done_again(genome: Path, tmp_path: Path) -> None:
    """Half a file, as a power cut may leave it."""
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "o", threads=1, shard=(1, 1), **GIVEN)
    part = {"shard": (1, 2), **GIVEN}
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "p", threads=1, **part)
    path = tmp_path / "p/shards/0000002.npz"
    path.write_bytes(path.read_bytes()[:-30])
    done = scan(genome, tmp_path / "p", resume=True)
    assert contents(done.store) == contents(tmp_path / "o/scores.zarr")


def test_a_read_only_folder_is_told_before_anything_runs(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(PermissionError, match="Permission denied"):
        scan(genome, tmp_path / "o")


def lines(folder: Folder, count: int) -> None:
    """A folder of so many one-line shards."""
    folder.make()
    folder.prepare(((f"{n}", 1) for n in range(count)), 1, {"sizes": {}})


@pytest.mark.parametrize("at", ["marked", "locked", "items", "prepared"])
def test_a_member_that_comes_while_another_prepares(tmp_path: Path, at: str) -> None:
    """It waits where the other one is between two files, and then finds the manifest."""
    out, first, second = tmp_path / "o", Folder(tmp_path / "o"), Folder(tmp_path / "o")
    first.claim()
    if at == "marked":
        second.claim()
        return
    with first.lock("part-1-of-2"), first.lock("prepare"):
        first.make()
        if at == "items":
            (out / ".items.tsv.1.partial").touch()
            (out / "items.tsv").touch()
            (out / ".shards.npy.1.partial").touch()
        if at == "prepared":
            first.prepare([("a", 1)], 1, {})
            first.keep(0, {"scores": np.zeros(1)})
        second.claim()
        with pytest.raises(filelock.Timeout), second.lock("prepare"):
            pass
    with second.lock("part-2-of-2"), second.lock("prepare"):
        second.make()


def test_the_folder_is_looked_at_under_the_lock(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, held = Folder.make, []

    def asked(folder: Folder) -> None:
        try:
            with filelock.FileLock(folder.path / "prepare.lock", timeout=0):
                held.append(False)
        except filelock.Timeout:
            held.append(True)
        make(folder)

    monkeypatch.setattr(Folder, "make", asked)
    scan(genome, tmp_path / "o", shard=(1, 2))
    assert held == [True]


def fragile(deaths: Path, always: bool = False) -> Any:
    """A job whose item 3 kills its worker, once or always; a local class, which travels by value."""

    class Fragile:
        threads = 1

        def open(self, held: ExitStack) -> Callable[[Sequence[str]], Arrays]:  # noqa: ARG002
            import os
            import signal

            import numpy

            def run(lines: Sequence[str]) -> Arrays:
                if lines[0] == "3" and (always or not deaths.exists()):
                    deaths.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if lines[0] == "5":
                    raise ValueError("five\nis never done")
                return {"number": numpy.array([int(line) for line in lines])}

            return run

    return Fragile()


def processes(job: Any) -> Executor:
    return Processes(job, 2)


def dask(job: Any) -> Executor:
    pytest.importorskip("distributed", reason="dask distributed runs the workers")
    from nucleoscope.scan.shards.clusters import Dask

    return Dask(job, 2)


@pytest.mark.parametrize("start", [processes, pytest.param(dask, marks=pytest.mark.slow)])
def test_a_killed_worker_loses_nothing(tmp_path: Path, start: Callable[[Any], Executor]) -> None:
    pytest.importorskip("cloudpickle", reason="the job is a local class")
    folder = Folder(tmp_path / "o")
    lines(folder, 9)
    executor = start(fragile(tmp_path / "deaths"))
    try:
        drive(folder, executor, range(9), 1, Progress("none", 9, 0, "items"))
    finally:
        executor.close()
    assert (tmp_path / "deaths").exists()
    assert [n for n in range(9) if not folder.is_done(n)] == [5]
    assert dict(folder.failures()) == {5: "ValueError: five is never done"}
    assert all(folder.read(n)["number"] == n for n in range(9) if n != 5)


@pytest.mark.slow
def test_two_scans_may_use_one_scheduler() -> None:
    distributed = pytest.importorskip("distributed", reason="dask distributed runs the workers")
    pytest.importorskip("cloudpickle", reason="the jobs are of a local class")
    from nucleoscope.scan.shards.clusters import Dask

    class Constant:
        threads = 1

        def __init__(self, number: int) -> None:
            self.number = number

        def open(self, held: ExitStack) -> Callable[[Sequence[str]], Arrays]:  # noqa: ARG002
            return lambda _lines: {"number": np.array([self.number])}

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        both = [Dask(Constant(n), 1, cluster.scheduler_address) for n in (1, 2)]
        for executor in (*both, both[0]):
            executor.submit(Shard(0, ("a",), 1))
            (found,) = executor.outcomes()
            assert found.arrays is not None
            assert found.arrays["number"].tolist() == [both.index(executor) + 1]
        for executor in both:
            executor.close()
        with distributed.Client(cluster) as client:
            plugins = client.run(lambda dask_worker: list(dask_worker.plugins))
        assert not any("nucleoscope" in name for names in plugins.values() for name in names)


@pytest.mark.slow
def test_a_shard_that_kills_every_worker_is_given_up_alone(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle", reason="the job is a local class")
    folder, told = Folder(tmp_path / "o"), StringIO()
    lines(folder, 5)
    executor = Processes(fragile(tmp_path / "deaths", always=True), 2)
    try:
        drive(folder, executor, range(5), 0, Progress("json", 5, 0, "items", told))
    finally:
        executor.close()
    assert dict(folder.failures()) == {3: "its worker died"}
    assert '"failed": 1' in told.getvalue()


def test_no_more_in_flight_than_there_are_slots(tmp_path: Path) -> None:
    class Counting(Inline):
        most = 0

        def submit(self, shard: Any) -> None:
            super().submit(shard)
            self.most = max(self.most, len(self._waiting))

    folder = Folder(tmp_path / "o")
    lines(folder, 5)
    executor = Counting(fragile(tmp_path / "deaths"))
    executor.slots = 2
    (tmp_path / "deaths").touch()
    drive(folder, executor, range(5), 0, Progress("none", 5, 0, "items"))
    assert executor.most == 2
    assert all(folder.is_done(n) for n in range(5))


@pytest.mark.slow
def test_workers_take_devices_in_turn(tmp_path: Path) -> None:
    """Each of two workers waits until the other one has a shard too."""
    pytest.importorskip("cloudpickle", reason="the job is a local class")

    class Telling:
        threads = 1

        def open(self, held: ExitStack) -> Callable[[Sequence[str]], Arrays]:  # noqa: ARG002
            import os
            import time

            import numpy

            def run(_: Sequence[str]) -> Arrays:
                mine = os.environ["CUDA_VISIBLE_DEVICES"]
                (tmp_path / f"device-{mine}").touch()
                until = time.monotonic() + 240
                while len(list(tmp_path.glob("device-*"))) < 2 and time.monotonic() < until:
                    time.sleep(0.05)
                return {"device": numpy.array([int(mine)])}

            return run

    folder = Folder(tmp_path / "o")
    lines(folder, 2)
    executor = Processes(Telling(), 2, ["4", "7"])
    try:
        drive(folder, executor, range(2), 0, Progress("none", 2, 0, "items"))
    finally:
        executor.close()
    assert sorted(int(folder.read(n)["device"][0]) for n in range(2)) == [4, 7]


@pytest.mark.parametrize(
    ("named", "count", "wanted"),
    [
        (None, 3, ["0", "1", "2"]),
        ("5,2", 2, ["5", "2"]),
        ("", 0, []),
        ("GPU-8a,GPU-9", 1, ["GPU-8a"]),
    ],
)
def test_the_gpus_of_this_process(
    monkeypatch: pytest.MonkeyPatch, named: str | None, count: int, wanted: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == wanted


def test_what_cannot_travel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from nucleoscope.scan.shards.shipping import packed

    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="cannot travel to a worker"):
        packed(lambda: None)
