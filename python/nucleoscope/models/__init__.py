"""Architectures of the field, one a file, in plain torch: what nucleoscope explains."""

from nucleoscope.models.splice_net import SpliceNet, SpliceSiteCount

__all__ = ["SpliceNet", "SpliceSiteCount"]
