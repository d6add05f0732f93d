"""A genome to read bases from: FASTA, plain or compressed, or 2bit; any region of it at any time."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

Fetch = Callable[
    [str, int, int], str
]  # (name, start, end), within the sequence, case as in the file
Note = Callable[[str], None]


@dataclass
class Genome:
    """Sequences by name. As a context manager it closes its file."""

    path: Path
    sizes: Mapping[str, int]  # bases of each sequence, in the file's order
    fetch: Fetch
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def find(self, name: str) -> str | None:
        """What this file calls the sequence: chr1 and 1, chrM and MT are the same; None without it."""
        return next((n for n in (name, other_name(name)) if n in self.sizes), None)

    def bases(self, name: str, start: int, end: int) -> str:
        """Bases [start, end), lower case where soft-masked; N beyond either end of the sequence.

        Raises ValueError where the file gives fewer than it should: it changed or is damaged.
        """
        first, last = max(start, 0), min(end, self.sizes[name])
        inside = self.fetch(name, first, last) if first < last else ""
        if len(inside) != max(last - first, 0):
            raise ValueError(
                f"{self.path} gives {len(inside):,} bases of {name}:{first + 1:,}-{last:,}: it is cut "
                "short, or its index is out of date"
            )
        left = min(max(-start, 0), end - start)
        return "N" * left + inside + "N" * (end - start - left - len(inside))

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.held.__exit__(kind, error, trace)


def open_genome(
    path: Path, scratch: Path, note: Note = lambda _: None, beside: bool = True
) -> Genome:
    """Open a genome. What cannot lie beside it, an unpacked copy and an index, lies in `scratch`.

    With `beside` an index is left beside the genome for the next time; without, nothing is.

    `.2bit` is read by py2bit, bgzipped FASTA by pysam, plain FASTA by pyfaidx; a gzipped file that is
    not bgzipped is unpacked once. Raises ValueError for a file that is none of them, ImportError for a
    library that is missing.
    """
    from nucleoscope.scan.genome import files as genome_files

    with contextlib.ExitStack() as held:  # closed again if anything below fails
        if path.suffix == ".2bit":
            sizes, fetch = genome_files.two_bit(path, held)
        elif genome_files.is_bgzipped(path):
            sizes, fetch = genome_files.bgzipped(path, scratch, held, beside)
        else:
            sizes, fetch = genome_files.fasta(path, scratch, held, note, beside)
        if not sizes:
            raise ValueError(f"{path} holds no sequences")
        return Genome(path, sizes, fetch, held.pop_all())


def other_name(name: str) -> str:
    """The same chromosome in the other naming: chr1 for 1, 1 for chr1."""
    if name in ("chrM", "MT"):
        return "MT" if name == "chrM" else "chrM"
    return name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()
