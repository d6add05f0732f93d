"""Which files of an output folder are a scan's own: others are never replaced, nor removed."""

from __future__ import annotations

import re
from pathlib import Path

MARK = ".of-nucleoscope"  # in the folder: what is called as ours are is ours
SCRATCH_MARK = "of-nucleoscope"  # in its scratch folder: that may be removed
PARTIAL = re.compile(
    r"\.(manifest\.json|items\.tsv|rejects\.tsv|trunk\.tsv|shards\.npy|variants\.parquet|scores(\.[0-9]+)?\.(parquet|npz|h5ad|bw\.json))"
    r"\.[0-9]+\.partial"
    r"|\.scores(\.[0-9]+)?\.[0-9]+\.partial\.bw"
)
SHARD = re.compile(r"[0-9]{7,}\.(npz|json)|\.[0-9]{7,}\.(npz|json)\.[0-9]+\.partial")
UNPREPARED = re.compile(  # NFS leaves the last of these of a file that is open yet
    r"items\.tsv|rejects\.tsv|shards\.npy|(prepare|merge|part-[0-9]+-of-[0-9]+)\.lock|\.nfs[0-9a-f]+"
)


def is_ours(path: Path) -> bool:
    """Whether a run that has no manifest yet made it, in a folder that has our mark."""
    if path.is_symlink():
        return False
    if path.name in ("shards", "failed") and path.is_dir():
        return all(SHARD.fullmatch(each.name) for each in path.iterdir())
    if path.name == "scratch" and path.is_dir():
        return (path / SCRATCH_MARK).exists() or not any(path.iterdir())
    named = path.name == MARK or UNPREPARED.fullmatch(path.name) or PARTIAL.fullmatch(path.name)
    return bool(named) and path.is_file()


def remove(folder: Path, named: re.Pattern[str]) -> None:
    """Its files of such names, and no others."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if named.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
