"""Regions and chromosomes as windows that one call takes, each reporting bases of its own."""
