"""Genomes in, tracks out: scans that survive, over one process or many machines."""
