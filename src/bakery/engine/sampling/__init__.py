"""Prefixes in, continuations out."""
