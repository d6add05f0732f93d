"""The command line: one command, one file. `main` is the entry point."""

from __future__ import annotations

from importlib import import_module

import click

from nucleoscope import __version__

# Loaded only when called for, so that a command does not wait for what another one needs.
COMMANDS = {
    "attention": "Explain regions by your own model's attention, and how far that can be trusted.",
    "card": "Say how far scores can be trusted: the reliability card of an explanation.",
    "demo": "Explain 131 kb of human DNA with a small splice-site net; no files needed.",
    "evaluate": "Compare explainers on models, by metrics, and write a report.",
    "gradients": "Score every base of regions of a genome by gradients of your own model.",
    "mutagenesis": "Score every base of regions of a genome with your own model.",
    "merge": "Put the shards in FOLDER together, as scores.zarr or variants.vcf.gz.",
    "plot": "Draw scores as a logo, a heat-map of substitutions, or a track.",
    "scan": "Score regions, or a whole genome, with your own model.",
    "seqlets": "Find the stretches whose scores stand out, at a false discovery rate.",
    "variants": "Score the variants of a VCF with your own model.",
    "view": "Show regions of a scan in a browser: a page of its own, as a track and as a logo.",
}
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"nucleoscope.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `--help`, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; Ctrl-C ends it with the exit code that shells expect."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nucleoscope")
def main() -> None:
    """Exact and fast explanations of genomic deep-learning models."""
