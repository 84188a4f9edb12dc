"""Heads, divergences and what they are computed from."""
