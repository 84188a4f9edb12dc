"""Spoilt files and flags, given to the real commands, which answer each in a sentence."""
