"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its name when all went well and else is gone.

    Raises OSError where nothing can be written; it names the file, or the folder where that is missing.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _opened(partial, path) as file:
            yield file
        partial.replace(path)
    finally:
        with contextlib.suppress(
            OSError
        ):  # where it could not be opened, it may not be named either
            partial.unlink()


def _opened(partial: Path, path: Path) -> BinaryIO:
    """The file beside, to write to; complaints are of the file that was asked for."""
    try:
        return partial.open("wb")
    except FileNotFoundError as error:
        said = "No such folder, make it first"
        raise FileNotFoundError(error.errno, said, str(path.parent)) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
