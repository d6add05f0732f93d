"""Genomes in, tracks out: scans that survive, in one process or on many machines."""

from nucleoscope.scan.estimate import Estimate as Estimate
from nucleoscope.scan.estimate import estimate as estimate
from nucleoscope.scan.estimate import estimate_variants as estimate_variants
from nucleoscope.scan.run import Scan as Scan
from nucleoscope.scan.run import export as export
from nucleoscope.scan.run import merge as merge
from nucleoscope.scan.run import scan as scan
from nucleoscope.scan.shards.members import InUse as InUse
