"""Remotes of weights: which addresses there are, what lies there, and bytes to and fro."""
