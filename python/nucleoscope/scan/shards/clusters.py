"""Shards on Dask workers: a cluster on this machine, or an existing scheduler by its address."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from uuid import uuid4

from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker, wait
from distributed.scheduler import KilledWorker

from nucleoscope.scan.shards.executors import Outcome, outcome
from nucleoscope.scan.shards.folder import Shard
from nucleoscope.scan.shards.job import Arrays, Job, Runner, run_with_threads
from nucleoscope.scan.shards.shipping import packed

PATIENCE = 30  # seconds


class Dask:
    """Dask moves the shards of a worker that dies to others, and gives new workers the job by itself.

    Workers must see the genome by the same path, and the scan's folder, where its index may lie.
    """

    def __init__(self, job: Job, workers: int, address: str | None = None) -> None:
        self._cluster: LocalCluster | None = None
        if address is None:
            self._cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            )
        self._workers = workers
        self._client = Client(address or self._cluster, set_as_default=False)
        self._plugin = f"nucleoscope-scan-{uuid4()}"  # another scan may use the same scheduler
        self._client.register_plugin(Shipped(packed(job)), name=self._plugin)
        self._running: dict[Future[Arrays], Shard] = {}

    @property
    def slots(self) -> int:
        """Twice the workers that there are now: one shard at work and one that waits."""
        return 2 * max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)

    def submit(self, shard: Shard) -> None:
        """Queue it."""
        future = self._client.submit(run_shard, self._plugin, shard.lines, pure=False)
        self._running[future] = shard

    def outcomes(self) -> Iterator[Outcome]:
        """What has ended; waits for one at least."""
        with self._client.as_current():
            done = wait(list(self._running), return_when="FIRST_COMPLETED").done
        for future in done:
            yield outcome(self._running.pop(future), future, KilledWorker)

    def close(self) -> None:
        """Give up what is in flight; a cluster of our own ends, another one goes on without the job."""
        self._client.cancel(list(self._running))
        if self._cluster is None:
            with suppress(OSError, TimeoutError):  # a scheduler that is gone has it no more
                self._client.unregister_worker_plugin(self._plugin)
        else:
            with suppress(
                TimeoutError
            ):  # a worker that is just starting anew cannot be told to end
                self._client.wait_for_workers(self._workers, timeout=PATIENCE)
        self._client.close()
        if self._cluster is not None:
            with suppress(TimeoutError):  # its processes end with this one at the latest
                self._cluster.close(timeout=PATIENCE)


class Shipped(WorkerPlugin):
    """The job on a worker: unpickled and opened once, when its first shard comes."""

    def __init__(self, job: bytes) -> None:
        self._job, self._held = job, ExitStack()
        self._opened: tuple[int, Runner] | None = None

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 (dask's signature)
        """Close the genome."""
        self._held.close()

    def run(self, lines: tuple[str, ...]) -> Arrays:
        """A shard's arrays."""
        if self._opened is None:
            job: Job = pickle.loads(self._job)
            self._opened = job.threads, job.open(self._held)
        return run_with_threads(*self._opened, lines)


def run_shard(plugin: str, lines: tuple[str, ...]) -> Arrays:
    """Run a shard on the Dask worker that this is called on, by the job that has this name there."""
    shipped = get_worker().plugins[plugin]
    assert isinstance(shipped, Shipped)
    return shipped.run(lines)
