"""Stretches of scores that are too high to be chance."""
