"""Layers as they are: the traced program run whole, or at the positions that something reads."""
