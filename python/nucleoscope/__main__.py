"""`python -m nucleoscope` is the command `nucleoscope`."""

from nucleoscope.cli import main

main(prog_name="nucleoscope")
