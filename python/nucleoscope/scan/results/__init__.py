"""Checkpoints of regions become one store, and the store tracks, tables and regions that are read again."""
