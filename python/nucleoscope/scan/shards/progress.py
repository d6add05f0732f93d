"""How far a scan is: a bar, a line of JSON a shard, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import TextIO

from tqdm import tqdm

from nucleoscope.scan.shards.folder import Shard

SHOWN = ("bar", "json", "none")


class Progress:
    """Counts what is done by weight; rate and time left are those of this run."""

    def __init__(
        self, shown: str, total: int, before: int, unit: str, file: TextIO | None = None
    ) -> None:
        if shown not in SHOWN:
            raise ValueError(f"progress={shown!r}: use one of {', '.join(map(repr, SHOWN))}")
        self._json, self._file = shown == "json", file or sys.stderr
        self._total, self._done, self._new, self._failed = total, before, 0, 0
        self._began = time.monotonic()
        self._bar = tqdm(
            total=total, initial=before, unit=f" {unit}", unit_scale=True, disable=shown != "bar",
            file=self._file,
        )  # fmt: skip
        self._tell("began")

    def done(self, shard: Shard) -> None:
        """A shard more."""
        self._done += shard.weight
        self._new += shard.weight
        self._bar.update(shard.weight)
        self._tell("shard", shard=shard.number)

    def failed(self, shard: Shard, reason: str) -> None:
        """A shard that was given up."""
        self._failed += 1
        self._bar.write(f"shard {shard.number} failed: {reason}", file=self._file)
        self._tell("failed", shard=shard.number, reason=reason)

    def close(self) -> None:
        """The end of this run."""
        self._bar.close()
        self._tell("ended")

    def _tell(self, event: str, **more: object) -> None:
        if not self._json:
            return
        seconds = time.monotonic() - self._began
        rate = self._new / seconds if self._new else None
        left = (self._total - self._done) / rate if rate else None
        told = {
            "event": event, "done": self._done, "total": self._total, "failed": self._failed,
            "seconds": round(seconds, 3), "rate": rate, "eta": left, **more,
        }  # fmt: skip
        print(json.dumps(told), file=self._file, flush=True)
