"""How a command ends that could not do its work: one message, no traceback, no waiting."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import warnings
from collections.abc import Iterator

import click

from nucleoscope import NaiveFallback

STDERR = 2  # its file descriptor: a dying process uses no buffers


@contextlib.contextmanager
def one_message(traceback: bool = False, hint: str = "") -> Iterator[None]:
    """Whatever a user's model and data can cause becomes one message and exit code 1.

    A complaint about `target` is one about the command line: exit code 2. `traceback` lets errors
    through as they are; `hint` follows those that do not explain themselves.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if traceback:
            raise
        if isinstance(error, IndexError) and str(error).startswith("target="):
            raise click.BadParameter(str(error), param_hint="--target") from error
        if isinstance(error, ValueError | ImportError | OSError):
            raise click.ClickException(str(error)) from error
        raise click.ClickException(f"{type(error).__name__}: {error}{hint}") from error


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Say in one line that the plain loop runs, where Python would print a warning's source."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", NaiveFallback)
        # Of torch about torch, when it copies an exported program.
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, NaiveFallback):
                click.echo(f"Warning: {message}", err=True)
            else:
                plain(message, category, *rest)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        yield


@contextlib.contextmanager
def prompt_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once, with code 130, even while torch keeps Python waiting.

    For long computations that hold nothing to be put in order: no file is being written. The signal
    wakes a thread, which ends the process. Only the main thread gets signals; elsewhere this does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)

    def watch() -> None:
        if os.read(read, 1) == bytes([signal.SIGINT]):
            os.write(STDERR, b"\nInterrupted.\n")
            os._exit(130)

    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)  # wakes the watcher, which then reads nothing
        watcher.join()
        os.close(read)
