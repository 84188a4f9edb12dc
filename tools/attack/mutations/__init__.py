"""Spoilt files and flags, given to the real commands: what is not right is refused in a sentence."""
