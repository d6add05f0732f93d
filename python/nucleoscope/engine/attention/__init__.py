"""Attention without its matrix: layers taken apart, rows handed down through them, how determined they are."""
