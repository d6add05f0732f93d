"""Genomes and what stands on them: files, regions, genes."""
