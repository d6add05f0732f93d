"""What the functions of the third level share: where files lie, and a word for those that are missing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

DATA = "NUCLEOSCOPE_DATA"


def data_folder(given: str | Path | None) -> Path:
    """The folder that was named, or that NUCLEOSCOPE_DATA names.

    Raises FileNotFoundError where there is none.
    """
    named = given if given is not None else os.environ.get(DATA)
    if named is None:
        raise FileNotFoundError(
            f"data: no folder was named: pass data=, or set {DATA} to the folder of models and measured data"
        )
    folder = Path(named)
    if not folder.is_dir():
        raise FileNotFoundError(f"data: {folder} is no folder")
    return folder


def needed(path: Path, what: str, where: str) -> Path:
    """A file that must be there. Raises FileNotFoundError that says what it is and where it is from."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; it is {what}, {where}")
    return path


@contextlib.contextmanager
def inside(path: Path, ending: str) -> Iterator[Path]:
    """A file, or the one in an archive (a wheel) whose name ends so, laid out while it is read.

    Raises ValueError where the archive has none or several.
    """
    if not zipfile.is_zipfile(path) or path.name.endswith(ending):
        yield path
        return
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        found = [name for name in archive.namelist() if name.endswith(ending)]
        if len(found) != 1:
            raise ValueError(f"{path}: {len(found)} files in it end in {ending!r}; one is needed")
        yield Path(archive.extract(found[0], folder))


def packaged(folder: Path, package: str, otherwise: str, what: str) -> Path:
    """The newest wheel of a package anywhere in a folder, or a file out of it.

    Raises FileNotFoundError where neither is there.
    """
    wheels = sorted(folder.glob(f"**/{package}-*.whl"))
    if wheels:
        return wheels[-1]
    return needed(folder / otherwise, what, f"in the package {package} (its wheel will do)")
