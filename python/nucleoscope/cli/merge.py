"""`nucleoscope merge`: one result out of what the members of an array job have done."""

from __future__ import annotations

from pathlib import Path

import click

from nucleoscope.cli.failures import one_message
from nucleoscope.cli.running import end
from nucleoscope.scan import merge as merged


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--traceback", is_flag=True, help="Show Python's traceback of a failure.")
def merge(folder: Path, traceback: bool) -> None:
    """Put the shards in FOLDER together, as scores.zarr or variants.vcf.gz.

    For scans whose processes each ran with --shard. All shards must be done, or recorded as failed.
    """
    with one_message(traceback, "\n(--traceback shows where.)"):
        end(merged(folder))
