"""Merged, picked, left out: what is left of bakes on `tiny`, against chains that were baked so."""
